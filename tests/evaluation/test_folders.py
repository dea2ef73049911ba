"""Folders of predictions against folders of labels: pairing, values, units, files written."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from stampseg.cli.tables import print_evaluation
from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.evaluation.evaluation import Evaluation, Statistics
from stampseg.evaluation.false_positives import FalsePositives
from stampseg.evaluation.folders import evaluate_folder
from stampseg.evaluation.metrics import EMPTY_MASK_RULE, evaluate_case
from tests.cli.command import call

DATA = Path(os.environ.get("STAMPSEG_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine
    nibabel.Nifti1Image(array.astype(np.uint8), affine).to_filename(path)


def square(low: int, high: int, size: int = 12) -> np.ndarray:
    array = np.zeros((size, size), np.uint8)
    array[low:high, low:high] = 1
    return array


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three predictions and their labels, of masks 0 and 1."""
    for number in range(3):
        write_png(tmp_path / "pred" / f"case{number}.png", square(2, 8))
        write_png(tmp_path / "labels" / f"case{number}.png", square(2, 8 - number))
    return tmp_path / "pred", tmp_path / "labels"


def test_rows_equal_those_of_the_arrays(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders)
    expected = [
        evaluate_case(square(2, 8), square(2, 8 - n), (1, 1), {1: "foreground"}, case=f"case{n}")[0]
        for n in range(3)
    ]
    assert list(result.rows) == expected
    assert (result.unit, result.warnings) == ("px", ())


def test_summary_is_mean_median_and_sample_deviation(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders)
    dice = [row.dice for row in result.rows]
    numbers = result.summary()["foreground"]["dice"]
    assert (numbers.mean, numbers.median) == pytest.approx((np.mean(dice), np.median(dice)))
    assert numbers.std == pytest.approx(np.std(dice, ddof=1))
    single = Evaluation(result.rows[:1], 1.0, "px").summary()["foreground"]["dice"]
    assert (single.mean, single.std) == (dice[0], None)


@pytest.mark.parametrize(
    ("prediction", "label"),
    [
        ("000_HC.png", "000_HC_Annotation.png"),
        ("Image_01L.png", "Image_01L_1stHO.png"),
        ("a_seg.png", "a.png"),
        ("scan.png", "scan.tif"),
    ],
)
def test_names_may_differ_by_a_suffix(tmp_path: Path, prediction: str, label: str) -> None:
    write_png(tmp_path / "p" / prediction, square(2, 8))
    write_png(tmp_path / "l" / label, square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.case, row.dice) for row in result.rows] == [(Path(prediction).stem, 1.0)]


@pytest.mark.parametrize(
    ("masks", "labels"),
    [("A{}", "a{}"), ("image_{}", "label_{}"), ("c{}_ct", "c{}_seg"), ("img{}", "mask{}")],
)
def test_masks_called_as_their_images_pair_as_a_training_does(
    masks: str, labels: str, tmp_path: Path
) -> None:
    for number in (1, 2, 10):
        array = square(2, 6 + number // 5)
        write_png(tmp_path / "images" / f"{masks.format(number)}.png", array * 99 + 5)
        write_png(tmp_path / "pred" / f"{masks.format(number)}.png", array)
        write_png(tmp_path / "labels" / f"{labels.format(number)}.png", array)
    cases = find_dataset(tmp_path, images="images", masks="labels").cases
    assert len([case for case in cases if case.label is not None]) == 3
    result = evaluate_folder(tmp_path / "pred", tmp_path / "labels")
    assert [row.dice for row in result.rows] == [1, 1, 1] and not result.missing


def test_masks_of_two_observers_pair(tmp_path: Path) -> None:
    for eye in ("01L", "01R"):
        write_png(tmp_path / "p" / f"Image_{eye}_2ndHO.png", square(2, 8))
        write_png(tmp_path / "l" / f"Image_{eye}_1stHO.png", square(2, 8))
    write_png(tmp_path / "l" / "Image_02L_1stHO.png", square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [row.case for row in result.rows] == ["Image_01L_2ndHO", "Image_01R_2ndHO"]
    assert result.missing == ("Image_02L_1stHO.png",) and not result.warnings


def test_one_file_is_not_paired_with_another_case(tmp_path: Path) -> None:
    write_png(tmp_path / "p" / "case_1.png", square(2, 8))
    write_png(tmp_path / "l" / "case_2.png", square(2, 8))
    with pytest.raises(DataError, match="no prediction fits a label"):
        evaluate_folder(tmp_path / "p", tmp_path / "l")


def test_two_files_need_no_common_name(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", square(2, 8))
    write_png(tmp_path / "other.png", square(2, 8))
    assert evaluate_folder(tmp_path / "one.png", tmp_path / "other.png").rows[0].dice == 1


def test_volumes_use_the_spacing_of_the_label(tmp_path: Path) -> None:
    array = np.zeros((6, 6, 6))
    array[2, 2, 2] = 1
    write_nifti(tmp_path / "p" / "scan.nii.gz", np.roll(array, 1, axis=2))
    write_nifti(tmp_path / "l" / "scan.nii.gz", array)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    row = result.rows[0]
    assert (row.case, row.hd95, row.reference_volume) == ("scan", 3.0, pytest.approx(0.006))
    assert (result.unit, result.to_json()["units"]) == ("mm", {"length": "mm", "volume": "ml"})


def test_voxels_are_those_of_the_file_that_knows_its_place(tmp_path: Path) -> None:
    """An affine of ones is written by what knows of no place: its millimetres are none."""
    array = np.zeros((6, 6, 6))
    array[2, 2, 2] = 1
    write_nifti(tmp_path / "p" / "scan.nii.gz", np.roll(array, 1, axis=2))
    write_nifti(tmp_path / "l" / "scan.nii.gz", array, np.eye(4))
    for ours, theirs in (("p", "l"), ("l", "p")):
        result = evaluate_folder(tmp_path / ours, tmp_path / theirs)
        assert (result.rows[0].hd95, result.rows[0].reference_volume) == (3.0, pytest.approx(0.006))
        (said,) = [text for text in result.warnings if "distances and volumes are by" in text]
        assert said.endswith(f"are by {tmp_path / 'p' / 'scan.nii.gz'}") and "1 x 2 x 3" in said


def test_pictures_and_volumes_have_no_mean_in_common(tmp_path: Path) -> None:
    for side in ("p", "l"):
        write_nifti(tmp_path / side / "scan.nii.gz", np.ones((4, 4, 4)))
        write_png(tmp_path / side / "picture.png", square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert any(text.startswith("pictures and volumes together: distances") for text in result.warnings)


def test_another_place_in_space_is_a_warning(tmp_path: Path) -> None:
    array = np.zeros((6, 6, 6))
    array[2, 2, 2] = 1
    shifted = np.diag([1.0, 2.0, 3.0, 1.0])
    shifted[0, 3] = 50
    write_nifti(tmp_path / "p" / "scan.nii.gz", array, shifted)
    write_nifti(tmp_path / "l" / "scan.nii.gz", array)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert result.rows[0].dice == 1
    assert "affine" in result.warnings[0] and "compared voxel by voxel" in result.warnings[0]


def test_masks_of_255_and_predictions_of_class_indices(tmp_path: Path) -> None:
    write_png(tmp_path / "p" / "a.png", square(2, 8))
    write_png(tmp_path / "l" / "a.png", square(2, 8) * 255)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.dice, row.value) for row in result.rows] == [(1.0, 255)]
    assert "predictions hold 1, which no label does; taken as the 255 of the labels" in result.warnings[0]
    write_png(tmp_path / "p" / "a.png", square(2, 8) * 255)
    again = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.dice, row.value) for row in again.rows] == [(1.0, 255)] and not again.warnings


def test_class_indices_are_taken_for_values_that_they_cannot_be(tmp_path: Path) -> None:
    drawn = square(2, 8).astype(int)
    drawn[2:4, 2:4] = 2
    write_png(tmp_path / "p" / "a.png", drawn.astype(np.uint8))
    write_png(tmp_path / "l" / "a.png", (drawn * 100).astype(np.uint8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.dice, row.value) for row in result.rows[:2]] == [(1.0, 100), (1.0, 200)]
    assert "class indices 0 to 2" in result.warnings[0]


@pytest.mark.parametrize(
    ("labels", "predicted", "dice"),
    [((2,), (1,), {2: 0.0}), ((2, 3), (1, 2), {2: 0.0, 3: 0.0}), ((3, 2), (1, 2), {2: 1.0, 3: 0.0})],
)
def test_values_of_a_subset_of_the_classes_are_no_class_indices(
    tmp_path: Path, labels: tuple[int, ...], predicted: tuple[int, ...], dice: dict[int, float]
) -> None:
    """A few cases of a data set may lack its first classes; what a mask says then is what it says."""
    for part, values in (("p", predicted), ("l", labels)):
        mask = np.zeros((10, 10), np.uint8)
        for place, value in enumerate(values):
            mask[2:8, 4 * place : 4 * place + 4] = value
        write_png(tmp_path / part / "a.png", mask)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert {row.value: row.dice for row in result.rows if row.value in dice} == dice
    assert "which no label does" in result.warnings[-1]


def test_labels_beside_their_images_in_one_folder_are_the_references(tmp_path: Path) -> None:
    """The folder that `predict` was given, whose labels it left out."""
    for name in "ab":
        write_png(tmp_path / "p" / f"{name}.png", square(2, 8))
        write_png(tmp_path / "l" / f"{name}_mask.png", square(2, 8))
        write_png(tmp_path / "l" / f"{name}.png", np.arange(100, dtype=np.uint8).reshape(10, 10))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.case, row.dice) for row in result.rows] == [("a", 1.0), ("b", 1.0)]


@pytest.mark.parametrize("folders", [("images", "masks"), ("imagesTr", "labelsTr", "imagesTs", "labelsTs")])
def test_the_data_of_a_training_hold_the_references(folders: tuple[str, ...], tmp_path: Path) -> None:
    """A folder of images beside the masks was taken for those of another organ."""
    for folder in folders:
        for name in "ab":
            values = square(2, 8) if folder[0] != "i" else np.arange(144).reshape(12, 12)
            write_png(tmp_path / "data" / folder / f"{name}{folder[6:]}.png", values)
    for name in "ab":
        write_png(tmp_path / "p" / f"{name}{folders[-1][6:]}.png", square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "data")
    assert [row.dice for row in result.rows] == [1, 1] and result.reference.name == folders[-1]


def test_predictions_numbered_from_another_number_on_are_refused(tmp_path: Path) -> None:
    """As a training refuses such labels: each was measured against that of its neighbour."""
    for number in range(6):
        write_png(tmp_path / "p" / f"scan_{number + 1}.png", square(2, 4 + number))
        write_png(tmp_path / "l" / f"scan_{number}.png", square(2, 4 + number))
    with pytest.raises(DataError, match=r"may be paired with the label of its neighbour; expected the same"):
        evaluate_folder(tmp_path / "p", tmp_path / "l")


@pytest.mark.parametrize("other", ["case1_brainmask.png", "mask.png", "case0_lesion_seg.png"])
def test_other_masks_among_the_labels_are_no_references(folders: tuple[Path, Path], other: str) -> None:
    before = evaluate_folder(*folders)
    write_png(folders[1] / other, square(5, 6))
    after = evaluate_folder(*folders)
    assert after.rows == before.rows and after.missing == (other,)


def test_a_value_that_no_label_has_counts_against(tmp_path: Path) -> None:
    invented = square(2, 8)
    invented[0, 0] = 2
    write_png(tmp_path / "p" / "a.png", invented)
    write_png(tmp_path / "l" / "a.png", square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l", label_names={1: "cord"})
    assert [(row.label, row.value, row.dice) for row in result.rows] == [
        ("cord", 1, 1.0), ("union", None, pytest.approx(72 / 73))
    ]  # fmt: skip
    assert result.warnings == (
        "predictions hold 2, which no label does; 2 counts as foreground in the union only",
    )
    declared = evaluate_folder(tmp_path / "p", tmp_path / "l", label_names={1: "cord", 2: "cyst"})
    assert [(row.label, row.to_json()["dice"]) for row in declared.rows][:2] == [
        ("cord", 1.0),
        ("cyst", None),
    ]
    assert declared.false_positives()["cyst"] == FalsePositives(1, 1, 1.0, 1.0)
    assert declared.warnings == ("predictions hold 2, which no label does",)


def test_a_foreign_value_is_no_class_of_the_other_cases(tmp_path: Path) -> None:
    two = square(2, 8)
    two[2:4, 2:8] = 2
    for name in "ab":
        write_png(tmp_path / "l" / f"{name}.png", two)
        write_png(tmp_path / "p" / f"{name}.png", np.where(two == 2, 9, two) if name == "a" else two)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert result.labels == ("label_1", "label_2", "union")
    assert [(row.case, row.dice) for row in result.rows] == [
        ("a", 1.0), ("a", 0.0), ("a", 1.0), ("b", 1.0), ("b", 1.0), ("b", 1.0)
    ]  # fmt: skip


def test_masks_of_1_and_predictions_of_255(tmp_path: Path) -> None:
    write_png(tmp_path / "p" / "a.png", square(2, 8) * 255)
    write_png(tmp_path / "l" / "a.png", square(2, 8))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert [(row.label, row.value, row.dice) for row in result.rows] == [("foreground", 1, 1.0)]
    assert result.warnings == ("predictions hold 255, which no label does; taken as the 1 of the labels",)


@pytest.mark.parametrize(
    ("prediction", "label", "names", "expected"),
    [
        (0, 0, {}, [("foreground", 1, None)]),
        (0, 0, {0: "background", 7: "cord"}, [("cord", 7, None)]),
        (0, 0, {1: "cord", 2: "cyst"}, [("cord", 1, None), ("cyst", 2, None), ("union", None, None)]),
        (255, 255, {}, [("foreground", 255, 1.0)]),
        (0, 255, {}, [("foreground", 255, 0.0)]),
        (255, 0, {}, [("foreground", 255, None)]),
        (9, 0, {1: "cord"}, [("cord", 1, None), ("union", None, None)]),
    ],
)
def test_labels_of_one_value_follow_the_rule_for_empty_masks(
    tmp_path: Path, prediction: int, label: int, names: dict[int, str], expected: list[tuple[object, ...]]
) -> None:
    write_png(tmp_path / "p" / "a.png", np.full((12, 12), prediction))
    write_png(tmp_path / "l" / "a.png", np.full((12, 12), label))
    result = evaluate_folder(tmp_path / "p", tmp_path / "l", label_names=names)
    assert [(row.label, row.value, row.to_json()["dice"]) for row in result.rows] == expected
    assert result.warnings[0] == f"every label holds {label} alone"  # what that means stands below the table


def test_stray_values_in_labels_are_a_warning(tmp_path: Path) -> None:
    label = square(2, 38, size=40) * 255
    label[2, 2] = 254
    write_png(tmp_path / "l" / "a.png", label)
    write_png(tmp_path / "p" / "a.png", square(2, 38, size=40) * 255)
    result = evaluate_folder(tmp_path / "p", tmp_path / "l")
    assert "a.png: stray label values 254 (1 pixel) beside 0, 255" in result.warnings[0]


def evaluated(folder: Path, *cases: tuple[np.ndarray, np.ndarray]) -> Evaluation:
    """(prediction, reference) of cases a, b, ..."""
    for name, (prediction, reference) in zip("abcdef", cases, strict=False):
        write_png(folder / "p" / f"{name}.png", prediction)
        write_png(folder / "l" / f"{name}.png", reference)
    return evaluate_folder(folder / "p", folder / "l")


def printed(evaluation: Evaluation) -> list[str]:
    from rich.console import Console

    stream = io.StringIO()
    print_evaluation(evaluation, Console(file=stream, width=400))
    return stream.getvalue().splitlines()


def test_a_case_without_the_label_is_in_no_mean(tmp_path: Path) -> None:
    nothing, some = square(2, 2), square(2, 8)
    result = evaluated(tmp_path, (some, some), (square(2, 5), some), (nothing, nothing), (some, nothing))
    assert [row.to_json()["dice"] for row in result.rows] == [1.0, 0.4, None, None]
    for numbers in result.summary()["foreground"].values():
        assert numbers.cases == 2
    assert result.summary()["foreground"]["dice"].mean == pytest.approx(0.7)
    assert result.false_positives() == {"foreground": FalsePositives(2, 1, 36.0, 36.0)}
    assert result.missed() == ()
    said = "foreground: missing in 2 references; false positive in 1 of them, 36 px on average"
    said += "; most in d (36 px)"
    assert printed(result)[-1] == said
    rows = list(csv.DictReader(result.write(tmp_path / "m.csv").read_text("utf-8").splitlines()))
    assert [(row["dice"], row["hd95"], row["false_positive_volume"]) for row in rows[2:]] == [
        ("", "", "0.0"), ("", "", "36.0")
    ]  # fmt: skip
    assert rows[0]["false_positive_volume"] == ""
    values = json.loads(
        result.write(tmp_path / "m.json").read_text("utf-8"), parse_constant=lambda name: pytest.fail(name)
    )
    assert values["rows"][2]["dice"] is None and values["summary"]["foreground"]["dice"]["cases"] == 2
    assert values["false_positives"]["foreground"] == {
        "cases": 2, "found_in": 1, "mean_volume": 36.0, "median_volume": 36.0,
    }  # fmt: skip


def test_the_largest_false_positives_are_named(tmp_path: Path) -> None:
    """The worst by Dice holds none of them: they have no Dice."""
    nothing = square(2, 2)
    result = evaluated(tmp_path, (square(2, 4), nothing), (square(2, 8), nothing), (square(2, 5), nothing))
    assert result.worst() == [] and result.most_false() == [("b", 36.0), ("c", 9.0), ("a", 4.0)]
    assert printed(result)[-1].endswith("; most in b (36 px), c (9 px), a (4 px)")
    said = call("evaluate", tmp_path / "p", tmp_path / "l", "--overlays", tmp_path / "seen").stdout
    names = [str(tmp_path / "seen" / f"{case}.png") for case in "bca"]
    assert f"; most false positive first: {', '.join(names)}" in "".join(said.splitlines(keepends=False))


def reference(tmp_path: Path, scan: str, label: str, prediction: str) -> tuple[Path, Path]:
    """A folder with a scan beside its label, and a prediction."""
    image = np.random.default_rng(0).integers(0, 2000, (12, 12, 4)).astype(np.int16)
    folder, affine = tmp_path / "case7", np.diag([1.0, 2.0, 3.0, 1.0])
    folder.mkdir()
    nibabel.Nifti1Image(image, affine).to_filename(folder / f"{scan}.nii.gz")
    mask = np.repeat(square(2, 8)[..., None], 4, axis=2)
    write_nifti(folder / f"{label}.nii.gz", mask)
    write_nifti(tmp_path / "found" / f"{prediction}.nii.gz", mask)
    return tmp_path / "found", folder


@pytest.mark.parametrize("prediction", ["image", "case7"])
def test_the_label_beside_a_scan_is_the_reference(tmp_path: Path, prediction: str) -> None:
    result = evaluate_folder(*reference(tmp_path, "image", "label", prediction))
    assert [row.dice for row in result.rows] == [1.0]


def test_a_scan_taken_for_the_reference_is_told_as_one(tmp_path: Path) -> None:
    said = r"ct_1.nii.gz: more than 64 .*; if it is the scan, and liver_1.nii.gz beside it a label, give"
    with pytest.raises(DataError, match=said):
        evaluate_folder(*reference(tmp_path, "ct_1", "liver_1", "ct_1"))


def test_names_that_look_like_several_of_one_person_are_told(tmp_path: Path) -> None:
    for case in ("p1_slice_1", "p1_slice_2", "p2_slice_1", "p2_slice_2"):
        for side in "pl":
            write_png(tmp_path / side / f"{case}.png", square(2, 8))
    both, regex = (tmp_path / "p", tmp_path / "l"), ("--group-regex", "^([^_]+)")
    said = " ".join(call("evaluate", *both).stdout.split())
    assert "WARNING: names look like several time points or slices of one person (p1_slice_1, " in said
    assert "say --group-regex '^([^_]+)' for figures over people" in said
    assert "names look like" in call("evaluate", *both, "--json").stdout
    assert "names look like" not in call("evaluate", *both, *regex).stdout


def test_a_label_that_no_reference_holds_has_no_mean(tmp_path: Path) -> None:
    result = evaluated(tmp_path, (square(2, 2), square(2, 2)))
    assert result.summary()["foreground"]["dice"] == Statistics(None, None, None, 0)
    values = json.loads(
        result.write(tmp_path / "m.json").read_text("utf-8"), parse_constant=lambda name: pytest.fail(name)
    )
    assert values["summary"]["foreground"]["dice"]["mean"] is None and not result.missed()
    assert printed(result)[-1] == "foreground: missing in 1 reference; false positive in 0 of them"


def test_a_label_that_no_prediction_finds_is_named_in_the_last_line(tmp_path: Path) -> None:
    two = square(2, 8)
    two[2:4, 2:8] = 2
    result = evaluated(tmp_path, (np.where(two == 2, 0, two), two), (two * 0, two))
    assert [row.dice for row in result.rows if row.value == 2] == [0, 0]
    said = "label_2 is missed: no prediction overlaps it in 2 cases with it"
    assert result.missed() == (said,) and printed(result)[-1] == f"WARNING: {said}"
    assert result.to_json()["warnings"][-1] == said
    result = evaluated(tmp_path, (two * 0, two), (two * 0, two))
    assert printed(result)[-1] == "WARNING: every prediction is empty, though references are not"


def test_names_come_from_the_dataset_json_beside_the_labels(tmp_path: Path) -> None:
    labels = np.zeros((6, 6, 6))
    labels[2:4, 2, 2], labels[2:4, 3, 2] = 1, 2
    for folder in ("p", "imagesTr", "labelsTr"):
        write_nifti(tmp_path / folder / "a.nii.gz", labels)
    description = {
        "labels": {"0": "background", "1": "anterior", "2": "posterior"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    found = evaluate_folder(tmp_path / "p", tmp_path / "labelsTr")
    assert found.labels == ("anterior", "posterior", "union")
    (tmp_path / "dataset.json").write_text("{")
    assert evaluate_folder(tmp_path / "p", tmp_path / "labelsTr").labels == ("label_1", "label_2", "union")


def test_labels_without_a_prediction_are_counted_in_the_last_line(folders: tuple[Path, Path]) -> None:
    (folders[0] / "case1.png").unlink()
    found = json.loads(call("evaluate", *folders, "--json").stdout)
    assert found["missing_predictions"] == ["case1.png"] and found["cases"] == 2
    said = " ".join(call("evaluate", *folders).output.split())
    assert said.endswith("WARNING: 1 of 3 labels without a prediction, in no figure: case1.png")
    assert said.count("without a prediction") == 1  # it was told twice
    assert evaluate_folder(folders[1], folders[1]).to_json()["missing_predictions"] == []


@pytest.mark.parametrize("deep", [False, True])
def test_masks_that_only_say_that_something_is_there_are_alike(deep: bool, tmp_path: Path) -> None:
    """White of 16 bits, or a colour, is the 1 or the 255 of the other side."""
    mask = square(2, 8)
    colour = np.zeros((12, 12, 3), np.uint8)
    colour[mask > 0] = (255, 0, 0)
    (tmp_path / "other").mkdir()
    shown = Image.fromarray(mask.astype(np.uint16) * 65535 if deep else colour)
    shown.save(tmp_path / "other" / "a.png")
    for value in (1, 255):
        write_png(tmp_path / str(value) / "a.png", mask * value)
        for pair in (
            (tmp_path / "other", tmp_path / str(value)),
            (tmp_path / str(value), tmp_path / "other"),
        ):
            found = evaluate_folder(*pair)
            assert found.rows[0].dice == 1 and len(found.rows) == 1
            assert len(found.warnings) == 1


def test_files_without_partner_are_listed(folders: tuple[Path, Path]) -> None:
    write_png(folders[0] / "lonely.png", square(2, 8))
    write_png(folders[1] / "unused.png", square(2, 8))
    result = evaluate_folder(*folders)
    assert len(result.rows) == 3
    assert any("1 prediction without a label left out: lonely.png" in text for text in result.warnings)
    assert result.missing == ("unused.png",)


def test_the_same_stem_twice_is_told(folders: tuple[Path, Path]) -> None:
    write_png(folders[0] / "case0.bmp", square(2, 8))
    assert any("same stem" in text for text in evaluate_folder(*folders).warnings)


def test_errors(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, labels = folders
    with pytest.raises(DataError, match="nowhere: no such file or folder; expected the labels"):
        evaluate_folder(predictions, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no predictions found; expected NIfTI"):
        evaluate_folder(tmp_path / "empty", labels)
    write_png(tmp_path / "others" / "x.png", square(2, 8))
    with pytest.raises(DataError, match=r"no prediction fits a label in .*x\.png.*case0\.png.*equal names"):
        evaluate_folder(tmp_path / "others", labels)
    write_png(predictions / "case1.png", square(2, 8, size=15))
    with pytest.raises(DataError, match=r"case1\.png: shape \(15, 15\), but its label .* has \(12, 12\)"):
        evaluate_folder(predictions, labels)


def test_written_files_read_back(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = evaluate_folder(*folders)
    rows = list(csv.DictReader(result.write(tmp_path / "out" / "m.csv").read_text("utf-8").splitlines()))
    assert [float(row["dice"]) for row in rows] == [row.dice for row in result.rows]
    assert {(row["unit"], row["volume_unit"]) for row in rows} == {("px", "px")} and rows[0][
        "case"
    ] == "case0"
    values = json.loads(result.write(tmp_path / "out" / "m.json").read_text("utf-8"))
    assert values == json.loads(json.dumps(result.to_json()))
    assert values["empty_mask_rule"] == EMPTY_MASK_RULE and values["cases"] == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m.csv", "m.json"]


def test_writing_elsewhere_fails_clearly(tmp_path: Path) -> None:
    result = Evaluation((), 1.0, "mm")
    with pytest.raises(DataError, match=r"metrics are written as \.csv or \.json, found \.xlsx"):
        result.write(tmp_path / "m.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"m\.csv: cannot be written"):
        result.write(tmp_path / "file" / "m.csv")


def test_a_file_that_is_there_is_replaced_only_when_asked(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text("image,label\n")
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere")
    with monkeypatch.context() as patch:
        patch.setattr("stampseg.evaluation.folders.evaluate_folder", None)  # it is refused before
        for place in (cases, link):
            said = call("evaluate", *folders, "-o", place, code=3).stderr
            assert f"{place}: exists already; choose another file with -o, or say --overwrite" in said
    assert cases.read_text() == "image,label\n" and link.is_symlink()
    call("evaluate", *folders, "-o", cases, "--overwrite")
    assert cases.read_text().startswith("case,")
    with pytest.raises(DataError, match=r"cases\.csv: exists already"):
        Evaluation((), 1.0, "mm").write(cases)


def test_table_shows_labels_units_and_warnings(folders: tuple[Path, Path]) -> None:
    from rich.console import Console

    write_png(folders[0] / "lonely.png", square(2, 8))
    stream = io.StringIO()
    print_evaluation(evaluate_folder(*folders), Console(file=stream, width=120))
    shown = stream.getvalue()
    for part in (
        "3 cases",
        "foreground",
        "HD95 [px]",
        "volume error",
        "a label absent from the reference",
        "WARNING: 1 prediction",
    ):
        assert part in " ".join(shown.split())


@pytest.mark.skipif(not (DATA / "hippocampus_mri").is_dir(), reason="no real data: set STAMPSEG_DATA")
def test_real_labels_against_themselves_and_shifted(tmp_path: Path) -> None:
    source = DATA / "hippocampus_mri" / "labelsTr"
    for path in sorted(source.glob("*.nii.gz"))[:3]:
        image = nibabel.load(path)
        write_nifti(tmp_path / path.name, np.roll(np.asarray(image.dataobj), 1, axis=0), image.affine)
    result = evaluate_folder(tmp_path, source)
    assert result.labels == ("Anterior", "Posterior", "union") and result.unit == "mm"
    for row in result.rows:
        assert 0.8 < row.dice < 1 and row.surface_dice == 1 and row.hd95 == 1 and abs(row.volume_error) < 1e-9
        assert 0.3 < row.reference_volume < 6  # ml, the size of a hippocampus
    assert len(result.missing) == 200


@pytest.mark.skipif(not (DATA / "retina_vessels").is_dir(), reason="no real data: set STAMPSEG_DATA")
def test_two_real_observers_agree_about_as_published(tmp_path: Path) -> None:
    for path in sorted((DATA / "retina_vessels" / "second_observer").glob("*_2ndHO.png"))[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    result = evaluate_folder(tmp_path, DATA / "retina_vessels" / "first_observer")
    assert len(result.rows) == 2 and all(0.7 < row.dice < 0.85 for row in result.rows)


def test_maps_of_doubt_beside_masks_are_no_predictions(tmp_path: Path) -> None:
    for folder in ("masks", "labels"):
        write_png(tmp_path / folder / "a.png", square(2, 8))
    write_png(tmp_path / "masks" / "a_uncertainty.png", square(0, 12))
    write_png(tmp_path / "masks" / "lone_uncertainty.png", square(0, 12))
    found = evaluate_folder(tmp_path / "masks", tmp_path / "labels")
    assert {row.case for row in found.rows} == {"a"} and found.rows[0].dice == 1
    assert len(found.warnings) == 1 and "lone_uncertainty" in found.warnings[0]


def test_which_side_is_which_is_said_and_written(folders: tuple[Path, Path]) -> None:
    predicted, drawn = folders
    said = call("evaluate", *folders).output
    assert said.splitlines()[0] == f"predictions: {predicted}; reference: {drawn}" and "swapped" not in said
    found = json.loads(call("evaluate", *folders, "--json").stdout)
    assert (found["predictions"], found["reference"], found["warnings"]) == (str(predicted), str(drawn), [])


def test_a_reference_that_was_predicted_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """By the maps that `predict` writes beside masks; where both sides have them there is no telling."""
    predicted, drawn = folders
    write_png(predicted / "case0_uncertainty.png", square(0, 3))
    (told,) = json.loads(call("evaluate", drawn, predicted, "--json").stdout)["warnings"]
    assert f"{predicted} is taken as the reference, and looks like predictions (case0_uncertainty" in told
    assert f"say `stampseg evaluate {predicted} {drawn}`" in told
    assert f"WARNING: {told}" in call("evaluate", drawn, predicted).output
    assert evaluate_folder(predicted, drawn).warnings == ()
    write_png(drawn / "case1_uncertainty.png", square(0, 3))
    assert evaluate_folder(drawn, predicted).warnings == ()


@pytest.mark.parametrize("kind", ["drafts", "run"])
def test_masks_in_a_folder_of_ours_were_predicted(
    kind: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    _, drawn = folders
    ours = tmp_path / "ours" / ("drafts" if kind == "drafts" else "test/masks")
    for path in folders[0].iterdir():
        write_png(ours / path.name, square(2, 8))
    assert evaluate_folder(drawn, ours).warnings == ()
    for name in ("suggested.csv",) if kind == "drafts" else ("run.json", "config.yaml"):
        (tmp_path / "ours" / name).write_text("")
    (told,) = evaluate_folder(drawn, ours).warnings
    assert ("they are drafts of" if kind == "drafts" else "they lie in the run folder") in told


def test_one_folder_on_both_sides_is_told(folders: tuple[Path, Path]) -> None:
    (told,) = evaluate_folder(folders[1], folders[1]).warnings
    assert (
        told
        == f"{folders[1]}: is given as the predictions and as the reference, which says nothing of either"
    )


def test_two_files_of_other_numbers_are_told(tmp_path: Path) -> None:
    for name in ("005_HC", "060_HC_Annotation", "5_truth_0005", "found", "pred_t1", "gt_rater2"):
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / f"{name}.png")

    def told(*names: str) -> bool:
        found = evaluate_folder(*(tmp_path / f"{name}.png" for name in names))
        return any("have other numbers in their names" in text for text in found.warnings)

    assert told("005_HC", "060_HC_Annotation")
    assert not told("005_HC", "5_truth_0005") and not told("found", "060_HC_Annotation")
    assert not told("pred_t1", "gt_rater2")
