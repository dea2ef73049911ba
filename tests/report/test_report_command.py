"""`stampseg report` and the page that `train` and `prune` leave, as a user meets them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import stampseg.report
from stampseg.core.errors import MissingPackageError, StoppedError
from stampseg.data.labels.postprocess import LabelSteps
from stampseg.networks.model_file import store_steps
from stampseg.report import cases, writing
from stampseg.report.comparison import writing as comparing
from stampseg.report.record import read_record
from tests.cli.command import call
from tests.report.runs import make_run
from tests.run.options import SMALL

SHORT = ("--steps", "8", "--set", "prune.rounds=2", "--set", "train.missed_label=warn")
QUICK = (*SHORT, *SMALL, "--set", "train.augment=false")


def shown_of(page: Path) -> dict[str, Any]:
    """The data that the page's scripts read."""
    found = re.search(r'id="run">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def outlines_of(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All that is drawn on all slices of these cases."""
    return [lines for case in cases for each in case["view"]["slices"] for lines in each["outlines"]]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six volumes, thick slices from left to right, stored with flipped axes, of two classes."""
    folder, rng = tmp_path_factory.mktemp("scans"), np.random.default_rng(1)
    affine = np.diag([-4.0, -1.0, 1.0, 1.0])
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for index in range(6):
        mask = np.zeros((8, 24, 16), np.uint8)
        mask[2:6, 6:18, 4:12] = 1
        mask[2:6, 12:18, 4:12] = 2
        image = mask * 50 + rng.normal(60, 10, mask.shape)
        nib.Nifti1Image(image.astype(np.float32), affine).to_filename(folder / "images" / f"v{index}.nii.gz")
        nib.Nifti1Image(mask, affine).to_filename(folder / "labels" / f"v{index}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def run(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    call("train", scans, "-o", folder, *QUICK)
    return folder


def test_training_leaves_a_page_with_every_case(run: Path) -> None:
    shown = shown_of(run / "report.html")
    splits = json.loads((run / "splits.json").read_text())
    assert {case["id"] for case in shown["cases"]} == {case["id"] for case in splits["validation"]}
    assert shown["chosen"] == json.loads((run / "result.json").read_text())["chosen_round"]
    assert max(layer["level"] for layer in shown["drawing"]["layers"]) >= 1
    assert f"report: {run / 'report.html'}" in (run / "log.txt").read_text()


@pytest.fixture(scope="module")
def tested(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two people kept aside, and nobody to validate."""
    folder = tmp_path_factory.mktemp("tested") / "run"
    call("train", scans, "-o", folder, *QUICK, "--test", "34%", "--set", "train.validation=none")
    return folder


def test_people_kept_aside_are_pictured_with_the_masks_that_were_made_of_them(tested: Path) -> None:
    shown = shown_of(tested / "report.html")["cases"]
    with (tested / "test" / "cases.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["value"]]
    dice: dict[str, list[float]] = {}
    for row in rows:
        dice.setdefault(row["case"], []).append(float(row["dice"]))
    means = {name: sum(each) / len(each) for name, each in dice.items()}
    assert len(means) == 2 and {case["of"] for case in shown} == {"aside"}
    assert [case["dice"] for case in shown] == pytest.approx(sorted(means.values()))
    assert {case["id"] for case in shown} == set(means)
    assert any(lines["reference"] for lines in outlines_of(shown))
    assert "Masks of test/masks, lowest Dice first: 2 of 2 cases." in (tested / "report.html").read_text(
        encoding="utf-8"
    )


def test_every_case_kept_aside_has_a_row_lowest_dice_first(tested: Path) -> None:
    page = (tested / "report.html").read_text(encoding="utf-8")
    table = page.partition("Every case, lowest Dice first")[2].partition("</table>")[0]
    rows = re.findall(
        r'<th scope="row">(.+?)</th><td>(.+?)</td>\s*<td class="number" data-value="(.+?)"', table
    )
    with (tested / "test" / "cases.csv").open(encoding="utf-8", newline="") as stream:
        people = {row["case"]: row["person"] for row in csv.DictReader(stream)}
    assert {(case, person) for case, person, _ in rows} == set(people.items()) and len(rows) == 2
    means = [float(dice) for *_, dice in rows]
    assert (
        means
        == sorted(means)
        == pytest.approx([c["dice"] for c in shown_of(tested / "report.html")["cases"]])
    )


def test_the_mask_that_is_shown_is_the_one_on_the_disk(tested: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(tested, copy)
    masks = sorted((copy / "test" / "masks").iterdir())
    image = nib.load(masks[0])
    drawn = np.zeros(image.shape, np.uint8)
    drawn[3:5, 2:4, 2:4] = 2
    nib.Nifti1Image(drawn, image.affine).to_filename(masks[0])
    masks[1].unlink()
    call("report", copy, "--overwrite")
    (case,) = shown_of(copy / "report.html")["cases"]
    assert case["id"] == masks[0].name.removesuffix(".nii.gz"), "without its mask nothing is shown of a case"
    found = [lines for lines in outlines_of([case]) if lines["prediction"]]
    assert found and {lines["label"] for lines in found} == {2}
    words = "1 of 2 cases; of 1 more the files are not there any more, or have changed."
    assert words in (copy / "report.html").read_text(encoding="utf-8")


def test_other_scans_of_the_same_names_are_not_shown_under_these_masks(
    tested: Path, scans: Path, tmp_path: Path
) -> None:
    copy, moved, other = tmp_path / "run", tmp_path / "moved", tmp_path / "other"
    shutil.copytree(tested, copy)
    shutil.copytree(scans, moved)
    shutil.copytree(scans, other)
    for path in (other / "images").iterdir():
        image = nib.load(path)
        nib.Nifti1Image(np.asanyarray(image.dataobj)[::-1], image.affine).to_filename(path)
    for data, count in ((moved, 2), (other, 0)):
        call("report", copy, "--overwrite", "--data", data)
        assert len(shown_of(copy / "report.html")["cases"]) == count


@pytest.mark.parametrize("text", ["", "case,label\n1,2\n", "\x00"])
def test_damaged_figures_of_people_kept_aside_cost_their_pictures_alone(
    tested: Path, tmp_path: Path, text: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(tested, copy)
    (copy / "test" / "cases.csv").write_text(text)
    call("report", copy, "--overwrite")
    assert not shown_of(copy / "report.html")["cases"]
    assert "People kept aside" in (copy / "report.html").read_text(encoding="utf-8")


def test_pictures_that_fail_cost_no_page(
    tested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(writing, "pictures_aside", fails)
    call("report", tested, "-o", tmp_path / "page.html")
    said = "no pictures of people kept aside or of scans without labels: MemoryError: too large"
    assert said in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert shown_of(tmp_path / "page.html")["rounds"]


def test_where_nobody_is_held_out_scans_without_labels_are_pictured(scans: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(scans, data)
    for name in ("v4", "v5"):
        (data / "labels" / f"{name}.nii.gz").unlink()
    call("train", data, "-o", tmp_path / "run", *QUICK, "--set", "train.validation=none")
    page = tmp_path / "run" / "report.html"
    shown = shown_of(page)["cases"]
    assert [(case["id"], case["of"], case["dice"]) for case in shown] == [
        ("v4", "unlabelled", None), ("v5", "unlabelled", None),
    ]  # fmt: skip
    assert not any(lines["reference"] for lines in outlines_of(shown))
    assert (
        "2 of the 2 scans without labels that were learnt from, and what the network finds"
        in page.read_text(encoding="utf-8")
    )
    steps = tuple(LabelSteps(label=label, least=10**6) for label in (1, 2))
    store_steps(tmp_path / "run" / "model.safetensors", steps)
    call("report", tmp_path / "run", "--overwrite")
    assert not outlines_of(shown_of(page)["cases"]), "they are the masks that predict writes"
    call("train", data, "-o", tmp_path / "folds", *QUICK, "--folds", "2")
    folds = tmp_path / "folds" / "report.html"
    assert not shown_of(folds)["cases"] and "nobody was held out" not in folds.read_text(encoding="utf-8")
    call("train", data, "-o", tmp_path / "held", *QUICK, "--set", "train.validation=25%")
    assert {case["of"] for case in shown_of(tmp_path / "held" / "report.html")["cases"]} == {"validation"}


def test_thick_slices_are_shown_in_plane_and_in_proportion(run: Path) -> None:
    view = shown_of(run / "report.html")["cases"][0]["view"]
    assert (view["plane"], view["compass"], view["depth"]) == ("sagittal", "PASI", 8)
    assert (view["width"], view["height"]) == (24, 16) and view["ratio"] == pytest.approx(1.5)


def test_the_fingerprint_is_recorded_and_told(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "8 × 24 × 16 voxels" in page and "4 × 1 × 1 mm" in page


def test_pruning_leaves_a_page(run: Path, scans: Path, tmp_path: Path) -> None:
    call(
        "prune",
        run,
        scans,
        "-o",
        tmp_path / "small",
        *SHORT,
        "--target",
        "60%",
        "--set",
        "prune.rankable=all",
    )
    assert shown_of(tmp_path / "small" / "report.html")["cases"]


def test_a_page_elsewhere_and_the_policy_for_one_that_is_there(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    assert str(page) in call("report", run, "-o", page).output
    said = call("report", run, "-o", page, code=3).output
    assert said == f"stampseg: {page}: exists already; choose another file with -o, or say --overwrite\n"
    call("report", run, "-o", page, "--overwrite")


def test_wrong_folders_end_in_one_line(tmp_path: Path) -> None:
    assert call("report", tmp_path / "none", code=3).output == (
        f"stampseg: {tmp_path / 'none'}: no such folder; name a run folder, as `stampseg train` and `prune` "
        "make\n"
    )
    assert call("report", tmp_path, code=3).output == (
        f"stampseg: {tmp_path}: holds neither config.yaml nor rounds.jsonl; expected a run folder, as "
        "`stampseg train` and `prune` make\n"
    )


def test_a_page_that_cannot_be_written_ends_in_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    said = call("report", run, "-o", tmp_path / "file" / "page.html", code=3).output
    assert said.count("\n") == 1 and "page.html: cannot be written (" in said


def test_vanished_scans_are_said_and_found_elsewhere(run: Path, scans: Path, tmp_path: Path) -> None:
    moved, copy = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(scans, moved)
    shutil.copytree(run, copy)
    splits = json.loads((copy / "splits.json").read_text())
    for case in splits["validation"]:
        case["images"] = [str(tmp_path / "gone" / Path(path).name) for path in case["images"]]
    (copy / "splits.json").write_text(json.dumps(splits))
    said = call("report", copy, "--overwrite").output
    count = len(splits["validation"])
    assert f"WARNING: the page lacks {count} of {count} cases; {splits['validation'][0]['id']}: " in said
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "is not there any more; if the scans have moved, name their data set when this" in page
    assert not shown_of(copy / "report.html")["cases"] and shown_of(copy / "report.html")["rounds"]
    assert "lacks" not in call("report", copy, "--overwrite", "--data", moved).output
    assert len(shown_of(copy / "report.html")["cases"]) == len(splits["validation"])


def test_labels_that_were_changed_since_are_not_measured_by(run: Path, scans: Path, tmp_path: Path) -> None:
    copy, labels = tmp_path / "run", tmp_path / "labels"
    shutil.copytree(run, copy)
    labels.mkdir()
    splits = json.loads((copy / "splits.json").read_text())
    for case in splits["validation"]:
        label = Path(shutil.copy(case["label"], labels))
        label.write_bytes(label.read_bytes() + b" ")
        case["label"] = str(label)
    (copy / "splits.json").write_text(json.dumps(splits))
    call("report", copy, "--overwrite")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "it or its image is another than in the run; put it back, or name their data set" in page
    assert not shown_of(copy / "report.html")["cases"]


def test_what_was_added_to_the_methods_stays(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    (copy / "methods.md").write_text("mine")
    call("report", copy)
    assert (copy / "methods.md").read_text() == "mine" and (copy / "report.html").is_file()
    call("report", copy, "--overwrite")
    assert (copy / "methods.md").read_text() != "mine"


def test_a_run_that_has_not_ended_is_shown_by_its_last_round(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for name in ("result.json", "model.safetensors", "report.html"):
        (copy / name).unlink()
    call("report", copy)
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "this run has not ended" in page and "Predicted with the network of the last round" in page
    shown = shown_of(copy / "report.html")
    assert shown["chosen"] is None and shown["cases"]


def test_a_damaged_model_costs_its_part_of_the_page_alone(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "model.safetensors").write_bytes(b"nothing")
    call("report", copy, "--overwrite")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "the validation cases are not predicted" in page and "its layers in a row" in page
    assert shown_of(copy / "report.html")["rounds"]


def test_pictures_are_shown_in_colour_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for index in range(6):
        mask = np.zeros((32, 48), np.uint8)
        mask[8:24, 10:30] = 255
        image = np.stack([mask // 2, 0 * mask, mask // 3], -1) + rng.integers(0, 60, (32, 48, 3))
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "data" / "images" / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / "data" / "masks" / f"{index}.png")
    call("train", tmp_path / "data", "-o", tmp_path / "run", *QUICK, "--method", "dense")
    view = shown_of(tmp_path / "run" / "report.html")["cases"][0]["view"]
    assert view["plane"] == "picture" and len(view["slices"]) == 1 and view["ratio"] == pytest.approx(1.5)


def test_a_signal_is_no_failure_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> Path:
        raise StoppedError("stopped by a signal")

    monkeypatch.setattr(writing, "write_report", stop)
    with pytest.raises(StoppedError):
        writing.report_of_run(tmp_path)
    monkeypatch.setattr(cases, "open_network", stop)
    record = read_record(make_run(tmp_path / "run"))
    (tmp_path / "run" / "model.safetensors").touch()
    with pytest.raises(StoppedError):
        cases.predict_validation(record)


def test_a_run_is_not_lost_for_its_page(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise MissingPackageError("drawing the report's charts needs vl_convert, which is not installed")

    monkeypatch.setattr(writing, "write_report", refuse)
    said = call("train", scans, "-o", tmp_path / "run", *QUICK, "--method", "dense").output
    assert "no report was written: drawing the report's charts needs vl_convert" in said
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_wheel_holds_the_templates() -> None:
    """The patterns in pyproject.toml name every file that the page is made of."""
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    patterns = tomllib.loads(text)["tool"]["setuptools"]["package-data"]["stampseg.report"]
    folder = Path(stampseg.report.__file__).parent
    held = {path.name for pattern in patterns for path in folder.glob(pattern)}
    comparison = {comparing.TEMPLATE, *comparing.SCRIPTS}
    assert {"page.html.j2", "pictures.html.j2", "page.css", *writing.SCRIPTS} | comparison == held
