"""Training that goes on from a finished run: what is kept, what is added, what is refused."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from stampseg.core.config import Config, parse_config
from stampseg.core.errors import DataError
from stampseg.data.cases import Case, Dataset, find_dataset
from stampseg.data.io.formats import series_images
from stampseg.data.plan import PIECES, PLAN, Plan
from stampseg.data.splits.record import SplitCase, read_splits
from stampseg.networks.model_file import read_description
from stampseg.run.continuation import _check_there, _with_added, go_on, inherited
from stampseg.run.spec import RunSpec
from stampseg.run.survey import survey
from stampseg.train.trainer import Trainer
from tests.cli.command import QUICK, call
from tests.data.dicom_files import slices, values
from tests.data.scans import write_pictures
from tests.run.stopping import killed_run, outcome

OLD = [f"p{n}-IM-{k}" for n in range(5) for k in range(2)]
NEW = [f"p{n}-IM-{k}" for n in range(5, 8) for k in range(2)]
SHORT = ("--steps", "2", "--set", "train.missed_label=warn", "--set", "train.augment=false")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `old`, labelled, and `new`, labelled as well."""
    place = tmp_path_factory.mktemp("data")
    whole = place / "whole"
    whole.mkdir()
    write_pictures(whole, [*OLD, *NEW])
    for part, names in (("old", OLD), ("new", NEW)):
        for kind in ("images", "masks"):
            (place / part / kind).mkdir(parents=True)
            for name in names:
                shutil.copy(whole / kind / f"{name}.png", place / part / kind)
    return place


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people of whom one validates and one is kept aside, pruned to 40%."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    call(
        "train", data / "old", "-o", folder, "--group-regex", "(p.)-IM", "--validation", "25%", "--test",
        "20%", "--target", "40%", *QUICK,
    )  # fmt: skip
    return folder


def splits(folder: Path) -> dict[str, set[str]]:
    found = json.loads((folder / "splits.json").read_text())
    return {side: {entry["id"] for entry in found[side]} for side in ("training", "validation", "test")}


def test_the_network_keeps_its_size_and_learns_from_all(run: Path, data: Path, tmp_path: Path) -> None:
    said = call("train", data / "new", "--from", run, "-o", tmp_path / "more", *SHORT).output
    assert "6 labelled cases added" in said
    assert re.search(r"^the trained network of [\d,]+ parameters, \d+ steps", said, re.MULTILINE)
    before, now = splits(run), splits(tmp_path / "more")
    assert now == {**before, "training": before["training"] | set(NEW)}
    old, new = (read_description(place / "model.safetensors") for place in (run, tmp_path / "more"))
    assert new.kept == old.kept and new.network.name == old.network.name
    assert new.provenance["went_on_from"] == "stampseg model run"
    assert new.plan is not None and old.plan is not None and new.plan.scans is not None
    assert new.plan.spacing == old.plan.spacing and new.plan.patch_size == old.plan.patch_size
    assert new.plan.scans.cases == len(now["training"])
    assert len(new.provenance["trained_on"]) == len(now["training"])
    result = json.loads((tmp_path / "more" / "result.json").read_text())
    assert result["validation_dice_before"] is not None and result["test"]["people"] == 1


def test_what_was_learnt_is_the_start(run: Path, data: Path, tmp_path: Path) -> None:
    """With a rate of next to nothing the weights are those of before."""
    call(
        "train", data / "new", "--from", run, "-o", tmp_path / "more", *SHORT, "--set",
        "train.learning_rate=1e-12", "--unlabelled", "none",
    )  # fmt: skip
    old, new = (load_file(place / "model.safetensors") for place in (run, tmp_path / "more"))
    assert old.keys() == new.keys()
    for name in old:
        if name.endswith("weight"):
            np.testing.assert_allclose(new[name], old[name], atol=1e-6)


def test_with_a_target_it_is_cut_further(run: Path, data: Path, tmp_path: Path) -> None:
    call(
        "train", data / "new", "--from", run, "-o", tmp_path / "less", "--target", "60%", *SHORT[2:],
        "--steps", "8", "--set", "prune.rounds=2", "--set", "prune.ready_dice=0",
    )  # fmt: skip
    result = json.loads((tmp_path / "less" / "result.json").read_text())
    assert result["parameters_after"] < 0.7 * result["parameters_before"]


def suggested(folder: Path, data: Path, names: list[str]) -> Path:
    """What `suggest` leaves, without its pictures."""
    (folder / "corrected").mkdir(parents=True)
    with (folder / "suggested.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["rank", "image", "draft", "group", "figure", "reason"])
        for rank, name in enumerate(names, 1):
            image, draft = data / "new" / "images" / f"{name}.png", folder / "drafts" / f"{name}.png"
            table.writerow([rank, image, draft, name[:2], "0.5", "doubt"])
    return folder


def test_drafts_are_no_labels_until_they_lie_among_the_corrected(
    run: Path, data: Path, tmp_path: Path
) -> None:
    todo = suggested(tmp_path / "todo", data, ["p5-IM-0", "p6-IM-1"])
    refused = call("train", todo, "--from", run, "-o", tmp_path / "more", *SHORT, code=3).output
    said = " ".join(refused.split())
    assert "none of 2 drafts was corrected; save each corrected mask under the name of its draft in" in said
    assert not (tmp_path / "more").exists() and "found" not in said
    mask, place = data / "new" / "masks" / "p5-IM-0.png", todo / "corrected"
    shutil.copy(mask, place / "p5_corrected.png")
    shutil.copy(mask, place / "p5-IM-0_uncertainty.png")  # what lies beside a draft, copied with it
    refused = call("train", todo, "--from", run, "-o", tmp_path / "more", *SHORT, code=3).output
    said = " ".join(refused.split())
    assert "none of 2 drafts was corrected; found p5_corrected.png in" in said
    assert "which is no draft's name; save each corrected mask" in said
    shutil.copy(mask, place / "p5-IM-0.png")
    shutil.copy(mask, place / "again.png")
    said = " ".join(call("train", todo, "--from", run, "-o", tmp_path / "more", *SHORT).output.split())
    assert "found again.png, p5_corrected.png in" in said and "are no drafts' names, and left out" in said
    assert "not corrected yet, and left out: p6-IM-1" in said
    assert splits(tmp_path / "more")["training"] == splits(run)["training"] | {"p5-IM-0"}


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_folder_of_suggest_alone_is_no_data_set(command: str, data: Path, tmp_path: Path) -> None:
    todo = suggested(tmp_path / "todo", data, ["p5-IM-0"])
    words = ("-o", tmp_path / "run") if command == "train" else ()
    said = " ".join(call(command, todo, *words, code=3).output.split())
    assert "todo: was written by `stampseg suggest`, and is no data set of its own: its drafts are" in said
    assert "with `stampseg train DATA --from RUN -o NEW`" in said
    assert not (tmp_path / "run").exists()
    shutil.copytree(data / "old" / "images", todo / "images")  # written into a data set, which it stays
    shutil.copytree(data / "old" / "masks", todo / "masks")
    assert len(find_dataset(todo).cases) == len(OLD)


def test_people_who_validated_or_were_kept_aside_stay_there(run: Path, data: Path, tmp_path: Path) -> None:
    """A new scan of such a person trains nobody."""
    before = splits(run)
    (aside,), (validates,) = ({name[:2] for name in before[side]} for side in ("test", "validation"))
    place = tmp_path / "more-scans"
    for kind in ("images", "masks"):
        (place / kind).mkdir(parents=True)
        for source, person in zip(NEW, (aside, validates, "p9"), strict=False):
            shutil.copy(data / "new" / kind / f"{source}.png", place / kind / f"{person}-IM-9.png")
    said = call("train", place, "--from", run, "-o", tmp_path / "more", *SHORT).output
    assert "of people who validate or are kept aside, and so on their side" in " ".join(said.split())
    now = splits(tmp_path / "more")
    assert now["test"] == before["test"] | {f"{aside}-IM-9"}
    assert now["validation"] == before["validation"] | {f"{validates}-IM-9"}
    assert now["training"] == before["training"] | {"p9-IM-9"}


def test_a_suggested_scan_of_a_person_who_validates_or_was_kept_aside_does_not_train(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """Whatever suggested.csv calls the person: the run's own `group_regex` says who it is."""
    before = splits(run)
    (aside,), (validates,) = ({name[:2] for name in before[side]} for side in ("test", "validation"))
    names = [f"{aside}-IM-9", f"{validates}-IM-9", "p9-IM-9"]
    for kind in ("images", "masks"):
        (tmp_path / "new" / kind).mkdir(parents=True)
        for source, name in zip(NEW, names, strict=False):
            shutil.copy(data / "new" / kind / f"{source}.png", tmp_path / "new" / kind / f"{name}.png")
    todo = suggested(tmp_path / "todo", tmp_path, names)
    table = todo / "suggested.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    with table.open("w", newline="") as file:  # as `suggest` writes it without a regex
        csv.writer(file).writerows([rows[0], *([*row[:3], Path(row[1]).stem, *row[4:]] for row in rows[1:])])
    for name in names:
        shutil.copy(tmp_path / "new" / "masks" / f"{name}.png", todo / "corrected" / f"{name}.png")
    dataset, _, _ = go_on(RunSpec("train", todo, Config(), model=run))
    assert {name: dataset.sides[name] for name in names} == dict(
        zip(names, ("test", "validation", "training"), strict=True)
    )


@pytest.fixture(scope="module")
def told(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run whose CSV names people, and the one who validates."""
    folder = tmp_path_factory.mktemp("told")
    with (folder / "pool.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "group"])
        for name in OLD:
            files = (data / "old" / kind / f"{name}.png" for kind in ("images", "masks"))
            writer.writerow([*files, name[:2]])
    call("train", folder / "pool.csv", "-o", folder / "run", "--validation", "25%", *QUICK)
    (person,) = {name[:2] for name in splits(folder / "run")["validation"]}
    return folder / "run", person


def more(folder: Path, data: Path, names: list[str], bare: tuple[str, ...] = ()) -> Path:
    """Other scans under these names, with masks and without."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for source, name in zip(NEW, [*names, *bare], strict=False):
        for kind in ("images",) if name in bare else ("images", "masks"):
            shutil.copy(data / "new" / kind / f"{source}.png", folder / kind / f"{name}.png")
    return folder


def test_scans_of_people_whom_a_csv_named_are_known_by_their_names(
    told: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    """Neither `suggest` nor going on has them learnt from, beside a validation of the same person."""
    run, validates = told
    names, bare = [f"{validates}-other", "q7-other"], f"{validates}-third"
    place = more(tmp_path / "new", data, names, (bare,))
    call("suggest", run, place / "images", "-o", tmp_path / "todo", "-n", "2")
    with (tmp_path / "todo" / "suggested.csv").open() as file:
        assert {row["group"] for row in csv.DictReader(file)} == {validates, "q7-other"}
    dataset, _, _ = go_on(RunSpec("train", place, Config(), model=run))
    assert [dataset.sides[name] for name in names] == ["validation", "training"]
    assert [case.group for case in dataset.unlabelled] == [validates]
    assert (
        "; q7-other counted as a person each, as nothing says whose they are: say it in a column group"
        in dataset.warnings[-1]
    )


def test_who_is_who_is_as_a_regex_or_a_column_says(
    told: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    run, validates = told
    place = more(tmp_path / "new", data, [f"{validates}-twin", "q7-other"])
    config = Config(group_regex="(.+)")
    dataset, _, _ = go_on(RunSpec("train", place, config, model=run))
    assert dataset.sides[f"{validates}-twin"] == "training"
    table = tmp_path / "more.csv"
    rows = [
        f"new/images/{n}.png,new/masks/{n}.png,{g}"
        for n, g in ((f"{validates}-twin", "z1"), ("q7-other", "z2"))
    ]
    table.write_text("\n".join(["image,label,group", *rows, ""]))
    dataset, _, _ = go_on(RunSpec("train", table, Config(), model=run))
    assert dataset.sides[f"{validates}-twin"] == "training" and "counted as" not in dataset.warnings[-1]


def test_people_whose_names_are_nearly_alike_are_named(
    told: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    """Where what is added says who is who as well: P1 of it may be p1 of the earlier run, who validates."""
    run, validates = told
    more(tmp_path / "new", data, ["x1"])
    table = tmp_path / "more.csv"
    table.write_text(f"image,label,group\nnew/images/x1.png,new/masks/x1.png,{validates.upper()}\n")
    dataset, _, _ = go_on(RunSpec("train", table, Config(), model=run))
    assert f"{validates.upper()} and {validates}" in dataset.warnings[-1] or (
        f"{validates} and {validates.upper()}" in dataset.warnings[-1]
    )
    assert "write each in one way if it is one" in dataset.warnings[-1]


def test_a_folder_of_scans_without_labels_is_not_read_anew() -> None:
    """The earlier run left those of people who judge out of it; whose they are nobody says any more."""
    before = Config(unlabelled="/data/scans")
    assert inherited(before, Config()).unlabelled == "auto"
    assert inherited(before, Config(unlabelled="/data/others")).unlabelled == "/data/others"
    assert inherited(Config(unlabelled="none"), Config()).unlabelled == "none"


@pytest.mark.parametrize("its_own", [True, False])
def test_a_copy_among_what_is_added_hides_no_person(
    its_own: bool, told: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    """A scan of a person who validates trained, where another scan beside it had a copy."""
    run, validates = told
    place = more(tmp_path / "new", data, [f"{validates}-other", "q7-other"])
    twin = f"{validates}-other" if its_own else "q7-other"
    for kind in ("images", "masks"):
        shutil.copy(place / kind / f"{twin}.png", place / kind / "q8-other.png")
    dataset, _, _ = go_on(RunSpec("train", place, Config(), model=run))
    assert dataset.sides[f"{validates}-other"] == "validation"
    assert dataset.sides["q8-other"] == ("validation" if its_own else "training")
    assert "; q7-other" in dataset.warnings[-1] and "counted as a person each" in dataset.warnings[-1]


def test_scans_that_are_called_as_one_whose_person_nobody_told_are_named(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", data / "old", "-o", run, "--validation", "25%", *QUICK)
    (validates, *_) = sorted(splits(run)["validation"])
    place = more(tmp_path / "new", data, [f"{validates}_visit2"])
    dataset, _, _ = go_on(RunSpec("train", place, Config(), model=run))
    assert (
        f"called alike: {validates}_visit2 as {validates}; if they are of one person" in dataset.warnings[-1]
    )


def test_two_scans_of_one_person_may_be_added_by_a_regex_without_brackets(
    told: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    place = more(tmp_path / "new", data, ["p9-IM-0", "p9-IM-1"])
    dataset, _, _ = go_on(RunSpec("train", place, Config(group_regex=r"p\d+"), model=told[0]))
    assert {case.group for case in dataset.cases if case.id.startswith("p9")} == {"p9"}


def test_a_label_that_is_in_pieces_in_an_added_scan_keeps_its_pieces(
    run: Path, data: Path, tmp_path: Path
) -> None:
    old = read_description(run / "model.safetensors").plan
    assert old is not None and old.one_piece == (1,) and any(map(_of_pieces, old.notes))
    place = tmp_path / "split"
    for kind in ("images", "masks"):
        (place / kind).mkdir(parents=True)
        shutil.copy(data / "new" / kind / f"{NEW[0]}.png", place / kind / "p9-IM-9.png")
    mask = np.asarray(Image.open(place / "masks" / "p9-IM-9.png")).copy()
    mask[:, mask.shape[1] // 2 - 2 : mask.shape[1] // 2 + 2] = 0
    Image.fromarray(mask).save(place / "masks" / "p9-IM-9.png")

    def planned(data: Path, **options: object) -> Plan:
        spec = RunSpec("train", data, Config().merged({"data": options}), model=run)
        return survey(*go_on(spec)).plan

    new = planned(place)
    assert new.one_piece == () and not any(map(_of_pieces, new.notes))
    assert new.scans is not None and new.scans.labels[1] is not None and new.scans.labels[1].pieces > 1
    again = planned(data / "new")
    assert again.one_piece == (1,) and sum(map(_of_pieces, again.notes)) == 1
    assert planned(data / "new", pieces="all").one_piece == ()


def _of_pieces(note: str) -> bool:
    return note.startswith(PIECES)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"compile": True}, "--devices 2 with --set train.compile: compiled layers cannot look at the rows"),
        (
            {"batch_size": 1},
            "--devices 2 with --set train.batch_size 1: each process needs a window of every batch",
        ),
    ],
)
def test_options_of_the_earlier_run_are_checked_beside_those_that_are_given(
    run: Path, data: Path, tmp_path: Path, train: dict[str, object], message: str
) -> None:
    before = shutil.copytree(run, tmp_path / "before")
    asked = json.loads((before / "run.json").read_text())
    asked["config"]["train"] |= train
    (before / "run.json").write_text(json.dumps(asked))
    words = ("train", data / "new", "--from", before, "-o", tmp_path / "x", *SHORT, "--devices", "2")
    assert message in " ".join(call(*words, code=2).output.split())
    assert not (tmp_path / "x").exists()


def test_a_label_that_was_corrected_takes_the_place_of_the_old_one(
    run: Path, data: Path, tmp_path: Path
) -> None:
    name = min(splits(run)["training"])
    for kind in ("images", "masks"):
        (tmp_path / "fixed" / kind).mkdir(parents=True)
        shutil.copy(data / "old" / kind / f"{name}.png", tmp_path / "fixed" / kind / "p9-IM-again.png")
    refused = call("train", tmp_path / "fixed", "--from", run, "-o", tmp_path / "more", *SHORT, code=3).output
    assert "all 1 case of it are labelled so in" in " ".join(refused.split())
    mask = tmp_path / "fixed" / "masks" / "p9-IM-again.png"
    Image.fromarray(np.roll(np.asarray(Image.open(mask)), 3, axis=0)).save(mask)
    said = call("train", tmp_path / "fixed", "--from", run, "-o", tmp_path / "more", *SHORT).output
    assert f"1 label corrected: {name}" in " ".join(said.split())
    training = json.loads((tmp_path / "more" / "splits.json").read_text())["training"]
    assert {entry["id"]: entry["label"] for entry in training}[name] == str(mask)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--labels", "3"], 2, "--labels 3: all labels of the earlier run and all that are added train"),
        (["--method", "flat"], 2, "--method flat makes a network, and there is one already"),
        (["--set", "network.width=8"], 2, "network.width: the network is that of the earlier run (unet)"),
        (["--grid", "2"], 2, "images and labels are prepared as in the earlier run; leave it out"),
        (["--validation", "20%"], 2, "--validation: who validates and who is kept aside stay as in the"),
        (["--folds", "2"], 2, "the network may have learnt from everybody who would be held out"),
        (["--search"], 2, "--search: it trains networks anew, and a trained one is the start"),
    ],
)
def test_what_the_earlier_run_has_settled_is_not_asked_anew(
    run: Path, data: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    said = call("train", data / "new", "--from", run, "-o", tmp_path / "x", *SHORT, *words, code=code).output
    assert message in " ".join(said.split())
    assert not (tmp_path / "x").exists()


def test_labels_of_another_meaning_are_refused(run: Path, data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(data / "new", tmp_path / "other")
    for mask in (other / "masks").iterdir():
        Image.fromarray((np.asarray(Image.open(mask)) > 0).astype(np.uint8) * 7).save(mask)
    said = call("train", other, "--from", run, "-o", tmp_path / "x", *SHORT, code=3).output
    assert (
        f"{run}: knows the label values [0, 255], the masks also hold [7] (the first: "
        f"{other / 'masks' / 'p5-IM-0.png'}); give masks of the structures it was trained on, in the values "
        "that these have there: where 7 is foreground, write 255\n"
    ) in said


def test_a_run_that_has_not_ended_or_lost_its_files_is_named(run: Path, data: Path, tmp_path: Path) -> None:
    stopped = shutil.copytree(run, tmp_path / "stopped")
    (stopped / "result.json").unlink()
    said = call("train", data / "new", "--from", stopped, "-o", tmp_path / "x", *SHORT, code=2).output
    assert "this run has not ended; resume it, and go on from it then" in " ".join(said.split())
    gone = shutil.copytree(run, tmp_path / "gone")
    text = (gone / "splits.json").read_text()
    (gone / "splits.json").write_text(text.replace(str(data / "old"), str(tmp_path / "nowhere")))
    said = call("train", data / "new", "--from", gone, "-o", tmp_path / "x", *SHORT, code=3).output
    assert "is not there any more; put it back, or train anew with what there is" in " ".join(said.split())
    said = call("train", data / "new", "--from", data, "-o", tmp_path / "x", *SHORT, code=3).output
    assert "not a run folder" in said


def test_an_image_that_was_replaced_in_place_is_no_second_case(run: Path, data: Path, tmp_path: Path) -> None:
    """It was learnt from twice, as what it was and as what it is."""
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    old = Path(shutil.copytree(data / "old", tmp_path / "old"))
    splits = (moved / "splits.json").read_text()
    (moved / "splits.json").write_text(splits.replace(str(data / "old"), str(old)))
    replaced = old / "images" / f"{OLD[0]}.png"
    Image.fromarray(np.asarray(Image.open(replaced))[::-1]).save(replaced)
    said = call("train", old, "--from", moved, "-o", tmp_path / "again", *SHORT, code=3).output
    assert f"{replaced}: was learnt from in {moved}, and is another image now; put it back" in said
    assert not (tmp_path / "again").exists()


def test_the_second_run_that_goes_on_has_the_options_of_the_first(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """Who a person is among them: a new scan of one who validates would train, and nobody be told."""
    (validates,) = {name[:2] for name in splits(run)["validation"]}
    first, second = shutil.copytree(run, tmp_path / "first"), tmp_path / "second"
    call("train", data / "new", "--from", first, "-o", second, *SHORT)
    place = tmp_path / "more-scans"
    for kind in ("images", "masks"):
        (place / kind).mkdir(parents=True)
        with Image.open(
            data / "old" / kind / f"{OLD[0]}.png"
        ) as picture:  # another one than any that is known
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(place / kind / f"{validates}-IM-7.png")
    call("train", place, "--from", second, "-o", tmp_path / "third", *SHORT)
    assert splits(tmp_path / "third")["validation"] == splits(second)["validation"] | {f"{validates}-IM-7"}
    shutil.rmtree(first)
    said = call("train", place, "--from", second, "-o", tmp_path / "fourth", *SHORT, code=3).output
    assert "is gone, and the run that you go on from has options of it" in " ".join(said.split())


def test_options_of_the_earlier_run_hold_but_for_those_of_that_run_alone() -> None:
    before = parse_config(
        {
            "labels": 5, "group_regex": "(p.)", "method": "stamp", "preset": "one-shot", "unlabelled": "none",
            "train": {"steps": 50, "validation": "20%", "folds": 3}, "data": {"spacing": [1, 2]},
            "prune": {"target": "20%"}, "network": {"width": 4},
        },
        "before",
    )  # fmt: skip
    assert inherited(before.merged({"devices": 4}), Config()).devices == 1
    quick = before.merged({"train": {"learning_rate": 0.003}})
    assert inherited(quick, Config()).train.learning_rate == Config().train.learning_rate
    config = inherited(before, parse_config({"train": {"steps": 7}}, "now"))
    assert (config.method, config.labels, config.group_regex, config.unlabelled) == (
        "dense",
        None,
        "(p.)",
        "none",
    )
    assert (config.train.steps, config.train.validation, config.train.folds) == (7, "auto", None)
    assert config.data.spacing is None and not config.network.model_fields_set
    assert inherited(before, parse_config({"prune": {"target": "50%"}}, "now")).method == "stamp+"
    assert inherited(before, parse_config({"method": "stamp"}, "now")).method == "stamp"
    dropping = before.merged({"method": "dense", "train": {"channel_dropout": 0.05}})
    assert inherited(dropping, Config()).train.channel_dropout == 0.05
    cut = inherited(dropping, parse_config({"prune": {"target": "50%"}}, "now"))
    assert (cut.method, cut.train.channel_dropout) == ("stamp+", 0), "it is for methods that do not prune"


def test_a_stopped_one_is_resumed_and_ends_the_same(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", data / "new", "--from", run, *SHORT[2:], "--steps", "6", "--unlabelled", "none")
    kept = ("--set", "train.checkpoint_minutes=0")
    call(*words, *kept, "-o", tmp_path / "whole")
    killed_run(monkeypatch, (*words, *kept, "-o", tmp_path / "stopped"), Trainer, "_step", 4, True)
    call("train", "--resume", tmp_path / "stopped")
    whole, stopped = (outcome(tmp_path / name) for name in ("whole", "stopped"))
    assert whole["models"] == stopped["models"] and whole["inputs"] == stopped["inputs"]
    said = call(*words, *kept, "-o", tmp_path / "stopped", code=2).output
    assert "holds this run, finished" in " ".join(said.split())


def test_one_of_several_series_that_was_learnt_from_is_there(tmp_path: Path) -> None:
    """No file has its path, so that a second training could not go on from the first."""
    for number in (1, 2):
        slices(tmp_path / "s", values(seed=number), name=f"{number}-{{}}.dcm", SeriesNumber=number)
    label = tmp_path / "label.nii.gz"
    label.touch()
    images = series_images(tmp_path / "s")
    assert len(images) == 2
    _check_there(tmp_path / "run", [Case("s", "s", (image,), label) for image in images])
    with pytest.raises(DataError, match=r"other: was learnt from in .*, and is not there any more"):
        _check_there(tmp_path / "run", [Case("s", "s", (tmp_path / "s" / "other",), label)])


def test_a_scan_without_label_called_as_another_case_is_learnt_from_still(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """Each of them once, though the earlier run and the data that are added both have it."""
    earlier, added = read_splits(run), find_dataset(data / "new")
    assert earlier is not None
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    name = earlier.training[0].id
    scans = [
        Case(
            name,
            name,
            (Path(shutil.copy(data / "new" / "images" / f"{NEW[place]}.png", folder / f"{name}.png")),),
            None,
        )
        for place, folder in enumerate((tmp_path / "a", tmp_path / "b"))
    ]
    before = earlier.model_copy(update={"unlabelled": (SplitCase.of(scans[0]),)})
    whole = Dataset(added.root, "csv", added.cases[4:], tuple(scans), {}, (), ())
    found = _with_added(run, before, whole, PLAN.read(run))
    assert sorted(case.images for case in found.unlabelled) == sorted(case.images for case in scans)
    assert len({case.id for case in (*found.cases, *found.unlabelled)}) == len(found.cases) + 2
