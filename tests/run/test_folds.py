"""Runs with folds: who is kept from whom, what is left, and that a stopped one goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stampseg.core.level import Level
from stampseg.data.cases import Case, Dataset
from stampseg.data.fingerprint import FINGERPRINT
from stampseg.data.io.readers import write_label
from stampseg.data.labels.postprocess import LabelSteps
from stampseg.data.labels.shapes import one_piece_classes
from stampseg.data.plan import PLAN
from stampseg.data.splits.folds import Fold
from stampseg.data.splits.record import SPLITS
from stampseg.evaluation.evidence import StepTrial
from stampseg.evaluation.folders import evaluate_folder
from stampseg.evaluation.people import over_people
from stampseg.networks.model_file import load_model, read_description
from stampseg.report.writing import write_report
from stampseg.run import launch
from stampseg.run.folder import RunFolder
from stampseg.run.folds import cross_validation
from stampseg.run.folds.out_of_fold import _held as held_out
from stampseg.run.folds.records import Folds, read_folds
from stampseg.run.postprocess import keep_steps
from stampseg.run.records import NOTES, read_result
from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.stopping import killed_run

QUICK = (
    "--method", "dense", "--steps", "2", "--set", "network.width=2", "--set", "network.poolings=1",
    "--set", "train.validate_every=2",
    "--set", "train.augment=false", "--set", "train.missed_label=warn", "--group-regex", "(p.)-IM",
)  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of three people, and one more of each without a mask."""
    names = [f"p{index % 3}-IM-{index}" for index in range(9)]
    folder = write_pictures(tmp_path_factory.mktemp("pictures"), names, (16, 16))
    for name in names[6:]:
        (folder / "masks" / f"{name}.png").unlink()
    return folder


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that was never stopped, and what it said."""
    output = tmp_path_factory.mktemp("whole") / "run"
    return output, call("train", pictures, "-o", output, "--folds", "3", *QUICK).output


def people(entries: Any) -> set[str]:
    return {entry.group for entry in entries}


def test_nothing_is_learnt_of_who_is_held_out(whole: tuple[Path, str]) -> None:
    run, held = whole[0], set[str]()
    for number in range(3):
        splits = SPLITS.read(run / "folds" / str(number))
        assert len(people(splits.held_out)) == 1 and len(splits.held_out) == 2
        assert not people(splits.held_out) & (people(splits.training) | people(splits.unlabelled))
        assert len(splits.training) == 4 and len(splits.unlabelled) == 2 and not splits.validation
        held |= people(splits.held_out)
        assert not json.loads((run / "folds" / str(number) / "run.json").read_text())["config"]["train"][
            "folds"
        ]
    assert held == {"p0", "p1", "p2"}
    final = SPLITS.read(run)
    assert (len(final.training), len(final.unlabelled), final.held_out) == (6, 3, ())


def test_what_is_noted_is_kept_once(whole: tuple[Path, str]) -> None:
    texts = [note.text for note in NOTES.read_lines(whole[0])]
    assert any("fold 1 of 3" in text for text in texts) and len(texts) == len(set(texts))


def test_each_fold_is_a_run_of_its_own(whole: tuple[Path, str]) -> None:
    for number in range(3):
        fold = RunFolder(whole[0] / "folds" / str(number))
        assert fold.ended and fold.model.is_file()
        page = (fold.path / "report.html").read_text()
        assert "Cases held out" in page and page.count("-IM-") >= 2
        assert "4 cases train" in (fold.path / "log.txt").read_text()


def test_every_case_is_predicted_by_the_network_that_has_not_seen_it(
    whole: tuple[Path, str], pictures: Path, tmp_path: Path
) -> None:
    run, folds = whole[0], read_folds(whole[0])
    assert folds is not None
    assert sorted(case.mask for case in folds.cases) == sorted(
        p.name for p in (run / "out_of_fold").iterdir()
    )
    for case in folds.cases:
        image = pictures / "images" / f"{case.id}.png"
        call("predict", run / "folds" / str(case.fold), image, "-o", tmp_path / str(case.fold))
        assert case.id in folds.folds[case.fold].held_out
        own = (tmp_path / str(case.fold) / case.mask).read_bytes()
        assert (run / "out_of_fold" / case.mask).read_bytes() == own


def test_the_figures_are_those_of_evaluate(whole: tuple[Path, str], pictures: Path) -> None:
    folds = read_folds(whole[0])
    assert folds is not None
    found = evaluate_folder(whole[0] / "out_of_fold", pictures / "masks")
    dice = {row.case: row.dice for row in found.rows}
    assert {case.id: case.dice["foreground"] for case in folds.cases} == pytest.approx(dice)
    (label,) = folds.labels
    over = over_people((name[:2], value) for name, value in dice.items())
    assert label.model_dump(exclude={"label"}) == over.model_dump()
    assert (label.people, label.cases, label.kind) == (3, 6, "range")
    rows = (whole[0] / "out_of_fold.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[0].startswith("case,label,value,dice,hd95")


def test_what_is_said(whole: tuple[Path, str]) -> None:
    said = whole[1]
    for line in (
        "3 folds of 6 cases, 3 people: each is held out once, leave one out",
        "fold 1 of 3 (folds/0): 4 cases to learn from, 2 held out",
        "2 cases of 1 person held out; 2 images without labels are learnt from as well (1 left out: of "
        "people who are held out, or copies)",
        "predicting 6 cases that were held out",
        "the network of the run: it learns from all of them",
        "(all 3 people)",
        "each case was predicted by a network that had not seen its person",
        "out-of-fold Dice",
    ):
        assert line in said, line
    table = said[said.index("Out of fold") : said.index("of fewer than 10 people")]
    assert max(map(len, table.splitlines())) <= 80
    assert "Out of fold" in (whole[0] / "report.html").read_text()


MOMENTS = [
    pytest.param(cross_validation, "_opened", 2, True, id="a fold begins"),
    pytest.param(cross_validation, "measured", 1, False, id="measured"),
    pytest.param(cross_validation, "store_steps", 2, True, id="steps", marks=pytest.mark.slow),
    pytest.param(RunFolder, "append_round", 4, False, id="the last round", marks=pytest.mark.slow),
    pytest.param(RunFolder, "append_round", 2, True, id="in a fold", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("owner", "name", "count", "before"), MOMENTS)
def test_stopped_it_goes_on_and_trains_no_fold_twice(
    owner: Any, name: str, count: int, before: bool, pictures: Path, whole: tuple[Path, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    command = ("train", pictures, "-o", run, "--folds", "3", *QUICK)
    killed_run(monkeypatch, command, owner, name, count, before)
    done = {p.parent: p.stat().st_mtime_ns for p in run.glob("folds/*/result.json")}
    said = call("train", "--resume", run).output
    assert said.count("done before") == len(done)
    assert {
        p.parent: p.stat().st_mtime_ns for p in run.glob("folds/*/result.json") if p.parent in done
    } == done
    for file in ("model.safetensors", "folds/0/model.safetensors", "folds/2/model.safetensors", "folds.json"):
        assert (run / file).read_bytes() == (whole[0] / file).read_bytes(), file


def test_resumed_with_a_case_gone_nothing_is_mixed_up(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_pictures(tmp_path, [f"p{n}-IM-{n}" for n in range(3)], (16, 16))
    run = tmp_path / "run"
    killed_run(
        monkeypatch, ("train", data, "-o", run, "--folds", "3", *QUICK), cross_validation, "_opened", 2, True
    )
    (data / "masks" / "p2-IM-2.png").unlink()
    refused = call("train", "--resume", run, code=3).output
    assert "p2-IM-2 not there any more, of the cases that the folds were made of; put things back" in refused
    assert (run / "folds" / "0" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (
            ("--folds", "4"),
            2,
            "--folds 4: 3 people are labelled, and each fold holds out one at least; take at",
        ),
        (("--folds", "1"), 2, "--folds"),
        (("--folds", "2", "--validation", "v.csv"), 2, "v.csv: with folds everybody is held out once"),
        (("--fold-column", "site"), 2, "--fold-column site:"),
        (
            ("--folds", "2", "--distil", "--set", "teacher.weight=0"),
            2,
            "--distil with --set teacher.weight 0:",
        ),
        (
            ("--folds", "2", "--distil", "--validation", "20%"),
            2,
            "--validation 20% with --distil: those who validate have trained networks that teach, so that "
            "their Dice would say too much; leave out --validation",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    options: tuple[str, ...], code: int, said: str, pictures: Path, tmp_path: Path
) -> None:
    refused = call("train", pictures, "-o", tmp_path / "run", *options, *QUICK, code=code)
    assert said in refused.output
    assert not (tmp_path / "run").exists()


def test_a_model_of_others_is_not_pruned_in_folds(
    whole: tuple[Path, str], pictures: Path, tmp_path: Path
) -> None:
    refused = call(
        "prune", whole[0], pictures, "-o", tmp_path / "run", "--set", "train.folds=3",
        "--group-regex", "(p.)-IM", code=2,
    )  # fmt: skip
    assert (
        "may have learnt from everybody who would be held out; leave out --set train.folds" in refused.output
    )


def test_two_cases_are_enough_and_a_share_may_validate(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, ["a", "b"], (16, 16))
    said = call(
        "train", data, "-o", tmp_path / "run", "--folds", "2", "--validation", "50%", *QUICK[:-2]
    ).output
    assert (
        "2 folds of 2 cases, 2 people (each case counts as one person): each is held out once, leave one"
        in said
    )
    assert "1 case trains, 1 validate" in said  # of the run itself


def test_equal_names_keep_their_masks_apart(tmp_path: Path) -> None:
    cases = tuple(
        Case(f"{site}/a", site, (tmp_path / site / "a.jpg",), tmp_path / site / "a_mask.png") for site in "bg"
    )
    every = (*cases, Case("c", "c", (tmp_path / "c.nii.gz",), None))
    dataset = Dataset(tmp_path, "csv", every, (), {}, (), ())
    folds = Folds(words="", folds=(Fold("b", (), ("b/a", "c")), Fold("g", (), ("g/a",))))
    assert [each.mask.name for each in held_out(tmp_path, folds, dataset)] == [
        "b_a.png",
        "c.nii.gz",
        "g_a.png",
    ]


def test_a_mask_that_was_held_out_is_looked_for_under_the_name_it_was_written_with(tmp_path: Path) -> None:
    """Scanners write IMG.TIF, in capitals."""
    places = [tmp_path / site / "IMG.TIF" for site in "bg"]
    for place in places:
        place.parent.mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(place)
    cases = tuple(Case(f"{place.parent.name}/IMG", "p", (place,), place) for place in places)
    folds = Folds(words="", folds=(Fold("b", (), ("b/IMG", "g/IMG")),))
    for each in held_out(tmp_path, folds, Dataset(tmp_path, "csv", cases, (), {}, (), ())):
        written = write_label(each.mask, np.zeros((4, 4), np.uint8), each.case.images)
        assert written == each.mask and written.exists()


def test_steps_that_helped_go_into_the_model_and_the_result(whole: tuple[Path, str], tmp_path: Path) -> None:
    run = RunFolder(Path(shutil.copytree(whole[0], tmp_path / "run")))
    steps = (LabelSteps(label=1, largest=True),)
    values = {"gain": 0.1, "without_best": 0.1, "better": 4, "worse": 0, "people": 4}
    trials = (StepTrial(label="foreground", step="largest piece kept", kept=True, **values),)
    said: list[str] = []

    class Ears:
        def note(self, text: str, level: Level = Level.INFO) -> None:
            said.append(text)

    plan, before = PLAN.read(run.path), read_result(run.path)
    keep_steps(run, before, plan, steps, trials, (), "out of fold", Ears())  # type: ignore[arg-type]
    assert said == ["post-processing that helped out of fold: foreground: largest piece kept"]
    assert read_description(run.model).postprocess == steps
    assert read_result(run.path).postprocess == "foreground: largest piece kept"
    assert read_result(run.path).trials == trials
    page = write_report(run.path, overwrite=True).read_text()
    assert "Kept in the model: foreground: largest piece kept." in page and "+0.1000" in page
    keep_steps(run, before, plan, (), trials, (), "out of fold", Ears())  # type: ignore[arg-type]
    assert read_description(run.model).postprocess == () and len(said) == 1
    assert read_result(run.path).postprocess == "none"


def test_folds_teach_one_network(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All prepare images alike, labelled scans are taught too, the file holds one network; also resumed."""
    run, again = tmp_path / "run", tmp_path / "again"
    options = ("--folds", "2", "--distil", *QUICK, "--set", "train.checkpoint_minutes=0")
    said = call("train", pictures, "-o", run, *options).output
    assert "2 networks teach it, on all 9 scans" in said
    whole, folds = PLAN.read(run), [PLAN.read(run / "folds" / number) for number in "01"]
    for number, plan in enumerate(folds):
        seen, of_labels = FINGERPRINT.read(run / "folds" / str(number)), {"scans", "one_piece", "notes"}
        assert plan.model_dump(exclude=of_labels) == whole.model_dump(exclude=of_labels)
        assert plan.scans == seen.scans != whole.scans
        assert plan.one_piece == one_piece_classes(seen.label_shapes)
    sizes = {len(load_model(m).network.state_dict()) for m in run.rglob("model.safetensors")}
    assert len(sizes) == 1
    assert len(SPLITS.read(run).unlabelled) == 3
    killed_run(monkeypatch, ("train", pictures, "-o", again, *options), Trainer, "_step", 6, True)
    assert "2 networks teach it, on all 9 scans" in call("train", "--resume", again).output
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_networks_that_find_nothing_and_shall_teach_are_said(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "FOUND_DICE", 1.01)
    options = ("--folds", "2", *QUICK)
    said = call("train", pictures, "-o", tmp_path / "taught", *options, "--distil").output
    assert "WARNING: the networks that teach find next to nothing of foreground in people held out" in said
    assert "networks that teach" not in call("train", pictures, "-o", tmp_path / "folds", *options).output


def test_without_folds_nobody_teaches(pictures: Path, tmp_path: Path) -> None:
    refused = call("train", pictures, "-o", tmp_path / "run", "--distil", *QUICK, code=2).output
    assert "--distil: the networks of folds teach, and there are none; give --folds" in refused
    assert not (tmp_path / "run").exists()
