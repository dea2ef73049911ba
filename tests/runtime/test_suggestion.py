"""Which scans to label next: by doubt and distance, one of each person, never one that is labelled."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.formats import series_images
from stampseg.data.splits.record import SPLITS, SplitCase
from stampseg.networks.model_file import load_model, save_model
from stampseg.runtime import suggestion
from stampseg.runtime.suggestion import read_suggested, suggest
from tests.cli.command import QUICK, call
from tests.data.dicom_files import slices, values
from tests.data.scans import write_pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    data = write_pictures(
        tmp_path_factory.mktemp("data"), [f"p{n}-IM-{k}" for n in range(4) for k in range(2)]
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    labelled = data.parent / "labelled"
    for part in ("images", "masks"):
        (labelled / part).mkdir(parents=True, exist_ok=True)
        for name in ("p0-IM-0.png", "p0-IM-1.png"):
            shutil.copy(data / part / name, labelled / part / name)
    words = ("--validation", "none", "--group-regex", "(p.)", "--set", "train.learning_rate=0.01")
    call("train", labelled, "-o", folder, *words, *QUICK)
    return data, folder


def test_suggest_writes_drafts_of_scans_that_nobody_labelled(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = run
    new = tmp_path / "new"
    shutil.copytree(data / "images", new)
    for name in ("p0-IM-0.png", "p0-IM-1.png"):  # as on disk: the very files that were trained on
        (new / name).unlink()
    said = call("suggest", model, new, "-o", tmp_path / "todo", "-n", "5", "--group-regex", "(p.)").output
    with (tmp_path / "todo" / "suggested.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["group"] for row in rows} == {"p1", "p2", "p3"}
    for row in rows:
        draft = Path(row["draft"])
        assert Image.open(draft).size == Image.open(row["image"]).size
        assert draft.with_name(draft.stem + "_uncertainty.png").exists()
        assert (tmp_path / "todo" / "pictures" / draft.name).exists()
        assert row["reason"].startswith("certainty 0.") and row["reason"] in said
    assert "nothing of them is a label before you say so" in said
    lines = said.splitlines()
    assert lines[0].startswith("6 scans of 3 people looked at: certainty 0.")
    assert "middle 0." in lines[0] and lines[0].endswith("with something unusual")
    assert lines[1] == "label next:" and len(lines) == 8  # no line for every scan
    assert "stampseg train" in lines[-1] and f"--from {model} -o RUN" in lines[-1]
    (name,) = {Path(row["draft"]).name for row in rows if row["rank"] == "1"}
    shutil.copy(data / "masks" / Path(rows[0]["image"]).name, tmp_path / "todo" / "corrected" / name)
    call("train", tmp_path / "todo", "--from", model, "-o", tmp_path / "more", *QUICK[:2], *QUICK[8:12])
    trained = json.loads((tmp_path / "more" / "splits.json").read_text())["training"]
    assert {entry["group"] for entry in trained} == {"p0", rows[0]["group"]}
    again = call("suggest", model, new, "-o", tmp_path / "todo", code=3).output
    assert "suggested.csv: exists already; choose another folder with -o" in again


def test_people_are_told_as_in_the_run_and_paths_hold_from_anywhere(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two scans of one person, by the run's own regex, and a semicolon in the name of a file."""
    data, model = run
    (tmp_path / "new").mkdir()
    for name, new in (("p1-IM-0", "p1-IM-0;1"), ("p1-IM-1", "p1-IM-1"), ("p2-IM-0", "p2-IM;0")):
        shutil.copy(data / "images" / f"{name}.png", tmp_path / "new" / f"{new}.png")
    monkeypatch.chdir(tmp_path)
    call("suggest", model, "new", "-o", "todo", "-n", "3")
    monkeypatch.chdir(data)
    found = read_suggested(tmp_path / "todo")
    assert {case.group for case in found} == {"p1", "p2"} and len(found) == 2
    assert all(case.images[0].is_absolute() and case.images[0].is_file() for case in found)
    with (tmp_path / "todo" / "suggested.csv").open() as file:
        assert all(Path(row["draft"]).is_file() for row in csv.DictReader(file))
    (tmp_path / "odd").mkdir()
    shutil.copy(data / "images" / "p2-IM-0.png", tmp_path / "odd" / "other.png")
    said = call("suggest", model, tmp_path / "odd", "-o", tmp_path / "no", code=2).output
    assert "--group-regex '(p.)' finds nothing in the case id 'other'" in " ".join(said.split())
    call("suggest", model, tmp_path / "odd", "-o", tmp_path / "given", "--group-regex", "(.+)")


def test_what_is_labelled_is_not_suggested(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = run
    trained = data.parent / "labelled" / "images"
    with pytest.raises(DataError, match="all 2 scans are labelled already; name scans without labels"):
        suggest(model, [trained], tmp_path / "todo")
    assert not (tmp_path / "todo").exists()


def test_a_scan_it_was_trained_on_is_known_in_another_format(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = run
    for name in ("p0-IM-0", "p1-IM-0"):
        Image.open(data / "images" / f"{name}.png").save(tmp_path / f"{name} again.bmp")
    said: list[str] = []
    found = suggest(model, [tmp_path], tmp_path / "todo", echo=said.append)
    assert [one.case.id for one in found] == ["p1-IM-0 again"]
    assert any(text.endswith("p0-IM-0 again.bmp has trained the network, in another file") for text in said)
    (tmp_path / "p1-IM-0 again.bmp").unlink()
    with pytest.raises(DataError, match="all 1 scan are labelled already"):
        suggest(model, [tmp_path], tmp_path / "again")


def test_what_was_kept_aside_with_its_label_is_not_suggested(run: tuple[Path, Path], tmp_path: Path) -> None:
    """A corrected draft would take the place of the label that the network is measured with."""
    data, model = run
    shutil.copytree(model, tmp_path / "run")

    def entry(name: str, label: bool = True) -> SplitCase:
        image, mask = (data / part / f"{name}.png" for part in ("images", "masks"))
        return SplitCase.of(Case(name, name[:2], (image,), mask if label else None))

    aside = {"test": (entry("p1-IM-0"), entry("p3-IM-0", False)), "held_out": (entry("p2-IM-0"),)}
    SPLITS.write(tmp_path / "run", SPLITS.read(model).model_copy(update=aside))
    (tmp_path / "new").mkdir()
    for name in ("p0-IM-0", "p1-IM-0", "p1-IM-1", "p2-IM-0", "p3-IM-0"):
        shutil.copy(data / "images" / f"{name}.png", tmp_path / "new" / f"{name} again.png")
    said: list[str] = []
    found = suggest(tmp_path / "run", [tmp_path / "new"], tmp_path / "todo", echo=said.append)
    assert {one.case.id for one in found} == {"p1-IM-1 again", "p3-IM-0 again"}
    assert "; 3 labelled already, and left out: " in said[0]


def test_damaged_splits_suggest_nothing(run: tuple[Path, Path], tmp_path: Path) -> None:
    """Scans that validated the network would be drawn for labelling."""
    data, model = run
    shutil.copytree(model, tmp_path / "run")
    place = tmp_path / "run" / SPLITS.name
    place.write_text(place.read_text()[:-9])
    said = call("suggest", tmp_path / "run", data / "images", "-o", tmp_path / "todo", code=3).output
    assert f"{place}: is damaged (" in said and "put back the file as it was written" in said
    assert not (tmp_path / "todo").exists()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_stopped_call_is_in_nobodys_way(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its drafts and its table; killed, it cannot clear up behind itself."""
    data, model = run
    todo = tmp_path / "todo"

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    for killed in (False, True):
        with monkeypatch.context() as patched:
            patched.setattr(suggestion, "_write_table", stopped)
            if killed:
                patched.setattr(suggestion.Staged, "clear", lambda self: None)
            with pytest.raises(KeyboardInterrupt):
                suggest(model, [data / "images"], todo, 1)
        assert bool(files(todo)) == killed
    found = suggest(model, [data / "images"], todo, 2)
    assert len(found) == 2 and all(one.draft.is_file() for one in found)
    assert {path.parent.name for path in files(todo)} == {"todo", "drafts", "pictures"}
    assert (todo / "corrected").is_dir()


def test_a_file_that_is_called_as_a_draft_is_not_replaced(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = run
    drafts = tmp_path / "todo" / "drafts"
    drafts.mkdir(parents=True)
    for path in (data / "images").iterdir():
        (drafts / path.name).write_text("drawn for hours")
    before = files(tmp_path)
    with pytest.raises(DataError, match="exists already"):
        suggest(model, [data / "images"], tmp_path / "todo")
    assert files(tmp_path) == before and {path.read_text() for path in before} == {"drawn for hours"}


def test_one_of_several_series_of_a_folder_is_there(tmp_path: Path) -> None:
    """No file has its path, which names the folder and the series."""
    for number in (1, 2):
        slices(
            tmp_path / "scans", values(seed=number), name=f"{number}-{{:02d}}.dcm", SeriesNumber=number,
            SeriesDescription=f"series {number}",
        )  # fmt: skip
    first, second = series_images(tmp_path / "scans")
    table = tmp_path / "todo" / "suggested.csv"
    table.parent.mkdir()

    def named(image: Path) -> None:
        table.write_text(f"rank,image,draft,group,figure,reason\n1,{image},x.nii.gz,p,0.5,doubt\n")

    named(second)
    (case,) = read_suggested(tmp_path / "todo")
    assert case.images == (second,) and not second.exists() and first != second
    named(second.with_name("scans_other"))
    with pytest.raises(DataError, match=r"scans_other: named in .*, and is not there any more; put it back"):
        read_suggested(tmp_path / "todo")


def test_a_model_file_alone_knows_the_scans_it_was_trained_on(run: tuple[Path, Path], tmp_path: Path) -> None:
    data, model = run
    alone = Path(shutil.copy(model / "model.safetensors", tmp_path / "m.safetensors"))
    copies = tmp_path / "copies"
    copies.mkdir()
    for name in ("p0-IM-0.png", "p0-IM-1.png"):
        shutil.copy(data / "images" / name, copies / f"other-{name}")
    with pytest.raises(DataError, match="all 2 scans are labelled already"):
        suggest(alone, [copies], tmp_path / "todo")


def test_what_is_unusual_is_said_of_the_draft(run: tuple[Path, Path], tmp_path: Path) -> None:
    """Sizes were those on the working grid, in the file's pixels: 18 of a draft of 35."""
    data, folder = run
    model = load_model(folder / "model.safetensors", "cpu")
    plan = model.plan
    assert plan is not None and plan.scans is not None and plan.scans.labels
    tiny = plan.scans.labels[1].model_copy(update={"size": (1.0, 1.0)})  # type: ignore[union-attr]
    scans = plan.scans.model_copy(update={"labels": (plan.scans.labels[0], tiny)})
    plan = plan.model_copy(update={"spacing": (2.0, 2.0), "scans": scans})
    description = model.description.model_copy(update={"plan": plan})
    save_model(tmp_path / "coarse.safetensors", model.network, description)
    shutil.copytree(data / "images", tmp_path / "new")
    call("suggest", tmp_path / "coarse.safetensors", tmp_path / "new", "-o", tmp_path / "todo", "-n", "2")
    with (tmp_path / "todo" / "suggested.csv").open() as file:
        reasons = {Path(row["draft"]).name: row["reason"] for row in csv.DictReader(file)}
    scans = json.loads((tmp_path / "todo" / "drafts" / "confidence.json").read_text())["scans"]
    assert len(scans) == 2
    for scan in scans:
        pixels = int((np.asarray(Image.open(tmp_path / "todo" / "drafts" / scan["mask"])) > 0).sum())
        assert f"{pixels} pixels (trained on 1 to 1)" in reasons[scan["mask"]]
        assert reasons[scan["mask"]].endswith("; ".join(scan["flags"]))
