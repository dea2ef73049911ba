"""`train --test`: predicted once when the run has ended, in the folder, in the result and on the screen."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stampseg.data.labels.postprocess import LabelSteps
from stampseg.networks.model_file import store_steps
from stampseg.run import aside, launch
from stampseg.run.folder import RunFolder
from stampseg.run.records import Result, read_result
from tests.cli.command import call
from tests.run.options import COMMON, OPTIONS, SMALL
from tests.run.stopping import killed_run, outcome

GROUPS = ("--group-regex", "(p.)-IM", "--test", "25%")


@pytest.fixture(scope="module")
def ended(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run, and what it printed."""
    run = tmp_path_factory.mktemp("aside") / "run"
    return run, call("train", pictures, "-o", run, *OPTIONS, *GROUPS).output


def test_one_person_is_on_no_other_side(ended: tuple[Path, str], pictures: Path) -> None:
    splits = json.loads((ended[0] / "splits.json").read_text())
    sides = {side: {entry["group"] for entry in splits[side]} for side in ("training", "validation", "test")}
    assert len(sides["test"]) == 1 and len(splits["test"]) == 2
    assert not sides["test"] & (sides["training"] | sides["validation"])


def test_figures_and_masks_are_those_of_predict_and_evaluate(
    ended: tuple[Path, str], pictures: Path, tmp_path: Path
) -> None:
    run, _ = ended
    masks = sorted((run / "test" / "masks").iterdir())
    ids = [path.stem for path in masks]
    call("predict", run, *(pictures / "images" / path.name for path in masks), "-o", tmp_path / "again")
    for path in masks:
        assert np.array_equal(Image.open(path), Image.open(tmp_path / "again" / path.name))
    found = json.loads(call("evaluate", run / "test" / "masks", pictures / "masks", "--json").stdout)
    rows = list(csv.DictReader((run / "test" / "cases.csv").open()))
    assert [(row["case"], row["value"], float(row["dice"])) for row in rows] == [
        (row["case"], "" if row["value"] is None else str(row["value"]), pytest.approx(row["dice"]))
        for row in found["rows"]
    ]
    assert {row["value"] for row in rows} == {"255"}  # as in the files
    assert {row["person"] for row in rows} == {ids[0][:2]}
    record = read_result(run).test
    assert record is not None and (record.cases, record.people) == (2, 1)
    assert record.dice == pytest.approx(np.mean([row["dice"] for row in found["rows"]]))
    assert record.labels["foreground"].cases == 2 and record.labels["foreground"].people == 1


def test_one_table_is_printed_and_the_page_shows_it(ended: tuple[Path, str]) -> None:
    run, said = ended
    assert "2 cases of 1 person are kept aside (drawn with the seed)" in said
    assert said.count("2 cases of 1 person kept aside") == 1
    assert "one person alone" in said
    assert "; test Dice 0." in said.strip().splitlines()[-1]
    assert all(len(line) <= 80 for line in said.splitlines() if line.startswith(("│", "┃", "└", "┏")))
    page = (run / "report.html").read_text()
    assert "People kept aside" in page and "one person alone" in page


def test_images_unlike_those_of_training_are_said(pictures: Path, tmp_path: Path) -> None:
    data = shutil.copytree(pictures, tmp_path / "data")
    strange = sorted(path for path in (data / "images").iterdir() if path.name.startswith("p0"))
    for path in strange:
        large = Image.open(path).convert("L").resize((400, 400))
        large.save(path)
        mask = data / "masks" / path.name
        Image.open(mask).resize((400, 400), Image.Resampling.NEAREST).save(mask)
    rows = [f"{data / 'images' / path.name},{data / 'masks' / path.name},p0" for path in strange]
    (tmp_path / "test.csv").write_text("\n".join(["image,label,group", *rows, ""]))
    aside = ("--group-regex", "(p.)-IM", "--test", tmp_path / "test.csv")
    said = call("train", data, "-o", tmp_path / "run", *OPTIONS, *aside).output
    names = ", ".join(path.stem for path in strange)
    warning = f"of the people kept aside: 2 images unlike those the model was trained on ({names}): 400 x 400"
    assert f"WARNING: {warning}" in said
    record = read_result(tmp_path / "run").test
    assert record is not None and any(text.startswith("2 images unlike") for text in record.warnings)


def test_a_run_that_was_killed_while_it_predicts_them_ends_the_same(
    ended: tuple[Path, str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", pictures, "-o", tmp_path / "run", *OPTIONS, *GROUPS)
    killed_run(monkeypatch, command, aside, "write_label", 2, True)
    assert not read_result(tmp_path / "run").test
    call("train", "--resume", tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(ended[0])


def test_a_signal_while_they_are_predicted_ends_the_work_and_it_goes_on(
    ended: tuple[Path, str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = tmp_path / "run", aside.write_label

    def signalled(*args: Any, **kwargs: Any) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        assert callable(handler), "nobody listens"
        handler(signal.SIGTERM, None)  # as the signal would; one that nobody heard would end the tests
        write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(aside, "write_label", signalled)
        said = call("train", pictures, "-o", run, *OPTIONS, *GROUPS, code=143)
    assert f"resume it with: stampseg train --resume {run}" in said.stderr
    assert not read_result(run).test
    call("train", "--resume", run)
    assert outcome(run) == outcome(ended[0])


def test_they_are_predicted_with_the_model_as_it_stays(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Post-processing that validation finds counts for them as well: here one that leaves nothing."""
    run = tmp_path / "run"

    def emptying(folder: RunFolder, result: Result, *_: object) -> Result:
        store_steps(folder.model, (LabelSteps(label=1, least=1e9),), ())
        return result

    monkeypatch.setattr(launch, "postprocess_by_validation", emptying)
    call("train", pictures, "-o", run, *OPTIONS, *GROUPS)
    masks = list((run / "test" / "masks").iterdir())
    assert len(masks) == 2 and not any(np.any(Image.open(path)) for path in masks)
    record = read_result(run).test
    assert record is not None and record.dice == 0 and record.people == 1


def test_check_names_them(pictures: Path) -> None:
    found = json.loads(call("check", pictures, "--no-timing", "--json", *GROUPS).stdout)
    assert len(found["test_cases"]) == 2
    assert not set(found["test_cases"]) & {*found["training_cases"], *found["validation_cases"]}


def test_a_label_that_does_not_fit_is_told_and_loses_no_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (pictures / "masks").iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "test.csv"
    table.write_text(f"image,label\n{pictures}/images/p0-IM-0.png,{masks}/p0-IM-0.png\n")
    odd = np.array(Image.open(masks / "p0-IM-0.png"))
    odd[:9] = 77
    Image.fromarray(odd).save(masks / "p0-IM-0.png")
    options = (*COMMON, *SMALL, "--group-regex", "(p.)-IM", "--test", table)
    said = call("train", pictures, "-o", tmp_path / "run", *options).output
    assert "kept aside, not compared: " in said and "label value 77; expected one of 0, 255" in said
    record = read_result(tmp_path / "run").test
    assert record is not None and list(record.problems) == ["p0-IM-0"] and record.dice is None
    assert (record.cases, record.people) == (0, 0), "of those with a figure"
    assert "test Dice not measured over 0 people" in said


def test_what_is_found_in_cases_without_a_label_is_said(pictures: Path, tmp_path: Path) -> None:
    """Of those kept aside, and of those that validate."""
    data = Path(shutil.copytree(pictures, tmp_path / "data"))
    for person in ("p0-IM-0", "p1-IM-2"):
        mask = data / "masks" / f"{person}.png"
        Image.fromarray(np.zeros_like(np.array(Image.open(mask)))).save(mask)
    for option, people in (("validation", ("p1-IM-2", "p1-IM-3")), ("test", ("p0-IM-0", "p0-IM-1"))):
        rows = "".join(f"{data}/images/{person}.png,{data}/masks/{person}.png\n" for person in people)
        (tmp_path / f"{option}.csv").write_text(f"image,label\n{rows}")
    run, given = tmp_path / "run", ("--group-regex", "(p.)-IM", "--test", tmp_path / "test.csv")
    given = (*OPTIONS, *given, "--validation", tmp_path / "validation.csv")
    said = " ".join(call("train", data, "-o", run, *given).output.split())
    page, record = (run / "report.html").read_text(), read_result(run)
    assert record.test is not None and len(record.test.false_alarms) == 1
    for words, beginning in (
        (record.test.false_alarms[0], "1 test case without foreground: "),
        (record.remarks[-1], "1 validation case without foreground: "),
    ):
        assert words.startswith(beginning) and words in said and words in page


def test_options_of_the_command_line_are_named_in_messages(pictures: Path, tmp_path: Path) -> None:
    said = call("train", pictures, "-o", tmp_path / "run", "--test", "many", code=2).output
    assert "--test 'many' is not understood; expected a .csv file of cases, a share such as 0.2" in said
    assert not (tmp_path / "run").exists()


def test_those_with_the_lowest_dice_are_named(pictures: Path, tmp_path: Path) -> None:
    """Of nobody else is a mean of .9 a warning."""
    said = call(
        "train", pictures, "-o", tmp_path / "run", *OPTIONS, "--group-regex", "(p.)-IM", "--test", "50%"
    ).output
    rows = list(csv.DictReader((tmp_path / "run" / "test" / "cases.csv").open()))
    own: dict[str, list[float]] = {}
    for row in rows:
        own.setdefault(row["person"], []).append(float(row["dice"]))
    lowest = sorted((float(np.mean(dice)), person) for person, dice in own.items())
    assert "lowest mean Dice: " + ", ".join(f"{person} {dice:.3f}" for dice, person in lowest) in said
