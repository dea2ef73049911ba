"""Whoever has been learnt from is known: no validation while pruning, and a word beside predicted masks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from stampseg.data.cases import Case, find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.splits.known import trained_on
from stampseg.data.splits.record import SplitCase, Splits, read_splits
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import SMALL

SHORT = (
    "--steps",
    "4",
    "--set",
    "prune.rounds=2",
    "--set",
    "prune.ready_dice=0",
    "--set",
    "train.augment=false",
    "--set",
    "train.missed_label=warn",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(10)))


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense run on six of ten people."""
    output = tmp_path_factory.mktemp("runs") / "dense"
    call(
        "train",
        pictures,
        "-o",
        output,
        "--method",
        "dense",
        *SHORT,
        *SMALL,
        "--labels",
        "6",
    )
    return output


def splits_of(run: Path) -> Splits:
    splits = read_splits(run)
    assert splits is not None
    return splits


def ids(entries: tuple[SplitCase, ...]) -> set[str]:
    return {entry.id for entry in entries}


def test_pruning_never_validates_on_who_trained_the_source(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    """Nor does pruning what was pruned, whose own training cases are others."""
    first = ids(splits_of(trained).training)
    for seed in range(2):
        run = tmp_path / f"one{seed}"
        call("prune", trained, pictures, "-o", run, "--target", "60%", *SHORT, "--seed", seed)
        splits = splits_of(run)
        assert splits.validation and not ids(splits.validation) & first
        assert ids(splits.known) == first
    second = tmp_path / "two"
    call("prune", tmp_path / "one0" / "rounds" / "001.safetensors", pictures, "-o", second,
         "--target", "50%", *SHORT, "--validation", "40%")  # fmt: skip
    learnt = first | ids(splits_of(tmp_path / "one0").training)
    assert not ids(splits_of(second).validation) & learnt and ids(splits_of(second).known) == learnt


def test_a_model_file_alone_says_who_trained_it(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """Away from its run folder, as a colleague is sent it."""
    alone = shutil.copy(trained / "model.safetensors", tmp_path / "sent.safetensors")
    call("prune", alone, pictures, "-o", tmp_path / "run", "--target", "60%", *SHORT)
    validation = ids(splits_of(tmp_path / "run").validation)
    assert validation and not validation & ids(splits_of(trained).training)


def test_where_all_are_known_none_validates_and_it_is_said(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "known").mkdir()
    subset = write_pictures(tmp_path / "known", [])
    for entry in splits_of(trained).training:
        for part in ("images", "masks"):
            shutil.copy(pictures / part / f"{entry.id}.png", subset / part)
    output = call("prune", trained, subset, "-o", tmp_path / "run", "--target", "60%", *SHORT).output
    assert "none validates (the network that is trained on has learnt from the others already)" in output
    assert "WARNING: all 6 cases train" in output


def test_copies_of_the_same_name_are_known_and_namesakes_are_not(pictures: Path, tmp_path: Path) -> None:
    cases = find_dataset(pictures).cases
    entries = [SplitCase.of(case) for case in cases[:2]]
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert [case.id for case in trained_on(find_dataset(moved).cases, entries)] == ["0", "1"]
    Image.new("L", (48, 40)).save(moved / "images" / "0.png")
    assert [case.id for case in trained_on(find_dataset(moved).cases, entries)] == ["1"]
    old = SplitCase(id="0")  # of before the files were written down
    assert trained_on(cases, [old]) == []
    gone = Case("0", "0", (tmp_path / "gone.png",), tmp_path / "gone_mask.png")
    assert trained_on([gone], entries) == []


def test_predict_says_which_images_trained_the_model(trained: Path, pictures: Path, tmp_path: Path) -> None:
    known = ids(splits_of(trained).training)
    said = call("predict", trained, pictures / "images", "-o", tmp_path / "out").output.splitlines()
    marked = {line for line in said if line.endswith("(trained on)")}
    assert {Path(line.split("  ")[0]).stem for line in marked} == known
    assert said[-2:] == [
        "WARNING: the model was trained on 6 of these 10 images: masks of new images will be less good",
        f"10 masks written to {tmp_path / 'out'}",
    ]
    others = [case.images[0] for case in find_inputs([pictures / "images"]) if case.id not in known]
    output = call("predict", trained / "model.safetensors", *others, "-o", tmp_path / "new").output
    assert "(trained on)" not in output and "was trained on 6" not in output


def test_damaged_splits_do_not_keep_a_model_from_predicting(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "splits.json").write_text("{")
    said = call("predict", run, pictures / "images", "-o", tmp_path / "out").output
    assert "(trained on)" in said, "the model file knows its images as well"


def test_pruning_keeps_aside_whom_its_network_kept_aside(pictures: Path, tmp_path: Path) -> None:
    """Even on a copy of the data under other names, and once more when the pruned network is pruned."""
    run, renamed = tmp_path / "run", tmp_path / "renamed"
    call("train", pictures, "-o", run, *SHORT, *SMALL, "--test", "20%")
    tested = {entry.id for entry in splits_of(run).test}
    assert len(tested) == 2
    for part in ("images", "masks"):
        (renamed / part).mkdir(parents=True)
        for path in (pictures / part).iterdir():
            shutil.copyfile(path, renamed / part / f"other-{path.name}")
    said = call("prune", run, renamed, "-o", tmp_path / "once", *SHORT, "--target", "80%").output
    assert "kept aside (as from the network that is trained on)" in " ".join(said.split())
    once = splits_of(tmp_path / "once")
    assert {entry.id for entry in once.test} == {f"other-{name}" for name in tested}
    assert not {entry.id for entry in (*once.training, *once.validation)} & {entry.id for entry in once.test}
    assert len(list((tmp_path / "once" / "test" / "masks").iterdir())) == 2
    call("prune", tmp_path / "once", pictures, "-o", tmp_path / "twice", *SHORT, "--target", "90%")
    assert {entry.id for entry in splits_of(tmp_path / "twice").test} == tested


def test_a_pruned_file_alone_knows_whom_its_source_learnt_from(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    """Other people pruned it, and the scans are there under other names and in another format."""
    first = ids(splits_of(trained).training)
    (tmp_path / "others").mkdir()
    others = write_pictures(tmp_path / "others", [])
    for case in find_dataset(pictures).cases:
        if case.id not in first:
            for part in ("images", "masks"):
                shutil.copy(pictures / part / f"{case.id}.png", others / part)
    call("prune", trained, others, "-o", tmp_path / "run", "--target", "60%", "--validation", "none", *SHORT)
    model = shutil.copy(tmp_path / "run" / "model.safetensors", tmp_path / "alone.safetensors")
    (tmp_path / "new").mkdir()
    for number, name in enumerate(sorted(first)):
        with Image.open(pictures / "images" / f"{name}.png") as picture:
            picture.save(tmp_path / "new" / f"scan{number}.bmp")
    said = call("predict", model, tmp_path / "new", "-o", tmp_path / "out").output
    assert said.count("(trained on)") == len(first)


def second_visits(folder: Path, seed: int) -> Path:
    """Scans of eight people, who are called alike whatever the seed."""
    folder.mkdir()
    write_pictures(folder, [f"v{seed}-{n}" for n in range(8)], (16, 16), seed)
    rows = [f"images/v{seed}-{n}.png,masks/v{seed}-{n}.png,patient-{n}" for n in range(8)]
    table = folder / "scans.csv"
    table.write_text("\n".join(["image,label,group", *rows, ""]))
    return table


def people(entries: tuple[SplitCase, ...]) -> set[str | None]:
    return {entry.group for entry in entries}


def test_people_are_known_by_their_names_on_other_scans(tmp_path: Path) -> None:
    """Who trained the network does not validate, and who was kept aside from it stays aside."""
    first, later = second_visits(tmp_path / "first", 0), second_visits(tmp_path / "later", 1)
    dense, pruned = tmp_path / "dense", tmp_path / "pruned"
    call(
        "train",
        first,
        "-o",
        dense,
        "--method",
        "dense",
        *SHORT,
        *SMALL,
        "--validation",
        "25%",
        "--test",
        "25%",
    )
    call("prune", dense, later, "-o", pruned, "--target", "60%", *SHORT, "--seed", "1")
    before, now = splits_of(dense), splits_of(pruned)
    assert people(now.test) == people(before.test)
    assert now.validation and not people(now.validation) & people(before.training)
