"""DICOM-SEG files and folders against labels of any format, and the other way round."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from stampseg.data.cases import find_dataset
from stampseg.data.io import segmentations
from stampseg.data.io.readers import read_header
from stampseg.data.io.segmentations import write_segmentation
from stampseg.evaluation.folders import evaluate_folder
from tests.cli.command import call
from tests.data.dicom_files import slices, values

pytest.importorskip("highdicom")
SHAPE = (12, 10, 14)
NAMES = ("background", "liver", "tumour")


@pytest.fixture
def scans(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """Three series, and classes of each."""
    found = []
    for number in range(3):
        slices(tmp_path / "images" / f"p{number}", values(SHAPE, number))
        classes = np.zeros(SHAPE, np.uint8)
        classes[2:9, 2:8, 4:10], classes[5:9, 2:8, 6:9] = 1, 2
        found.append(classes)
    return tmp_path, found


def as_dicom(
    root: Path, name: str, classes: list[np.ndarray], names: tuple[str, ...] = NAMES, inner: str = ""
) -> Path:
    """A file for each series, or a folder with a file of the name `inner`."""
    for number, one in enumerate(classes):
        path = root / name / (f"p{number}/{inner}" if inner else f"p{number}.dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_segmentation(path, one, root / "images" / f"p{number}", names)
    return root / name


def as_nifti(root: Path, name: str, classes: list[np.ndarray], of: tuple[int, ...] = (0, 1, 2)) -> Path:
    (root / name).mkdir()
    for number, one in enumerate(classes):
        affine = read_header([root / "images" / f"p{number}"]).affine
        array = np.array(of, np.uint8)[one]
        nib.Nifti1Image(array, affine).to_filename(root / name / f"p{number}.nii.gz")
    return root / name


def dice(found: object, label: str) -> float | None:
    return found.summary()[label]["dice"].mean  # type: ignore[attr-defined]


def test_all_forms_of_the_same_masks_agree(scans: tuple[Path, list[np.ndarray]]) -> None:
    root, classes = scans
    flat, inner = as_dicom(root, "flat", classes), as_dicom(root, "inner", classes, inner="1.dcm")
    nifti = as_nifti(root, "nifti", classes)
    for predictions, labels in ((flat, nifti), (nifti, flat), (flat, inner), (inner, nifti), (nifti, inner)):
        found = evaluate_folder(predictions, labels)
        names = ("label_1", "label_2") if labels == nifti else ("liver", "tumour")
        assert [dice(found, name) for name in names] == [1, 1] and not found.warnings
    for predictions, labels in ((inner / "p0", nifti / "p0.nii.gz"), (nifti / "p0.nii.gz", inner / "p0")):
        assert dice(evaluate_folder(predictions, labels), "union") == 1
    said = json.loads(call("evaluate", inner, flat, "--json").stdout)
    assert said["cases"] == 3 and said["summary"]["tumour"]["dice"]["mean"] == 1


def test_slices_that_are_left_out_are_background(
    scans: tuple[Path, list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of filled slices alone, on either side and on both, each with others."""
    root, classes = scans
    whole = as_nifti(root, "whole", classes)
    monkeypatch.setattr(segmentations, "MOST_EMPTY", 0)
    low, high = ([one.copy() for one in classes] for _ in range(2))
    for one, other in zip(low, high, strict=True):
        one[..., :6], other[..., 9:] = 0, 0
    first, second = as_dicom(root, "low", low), as_dicom(root, "high", high)
    assert read_header([first / "p0.dcm"]).shape[2] < SHAPE[2]

    def expected(a: np.ndarray, b: np.ndarray) -> float:
        return 2 * ((a > 0) & (b > 0)).sum() / ((a > 0).sum() + (b > 0).sum())

    for places, arrays in (
        ((first, whole), (low, classes)), ((whole, second), (classes, high)), ((first, second), (low, high)),
    ):  # fmt: skip
        found = dice(evaluate_folder(*places), "union")
        assert found == pytest.approx(expected(arrays[0][0], arrays[1][0]))


def test_segments_are_paired_by_name(scans: tuple[Path, list[np.ndarray]]) -> None:
    """Numbered otherwise; and numbers of classes where labels have values, the first class never found."""
    root, classes = scans
    labels = as_dicom(root, "labels", classes)
    swapped = [np.array([0, 2, 1], np.uint8)[one] for one in classes]
    others = as_dicom(root, "others", swapped, ("background", "tumour", "liver"))
    found = evaluate_folder(others, labels)
    assert (dice(found, "liver"), dice(found, "tumour")) == (1, 1)
    assert found.warnings == ("values of the predictions are paired with those of the labels by their names",)
    values_of = as_nifti(root, "values", classes, of=(0, 1, 2))
    named = as_dicom(root, "named", swapped, ("background", "label_2", "label_1"))
    assert dice(evaluate_folder(named, values_of), "label_2") == 1
    high = as_nifti(root, "high", classes, of=(0, 2, 3))
    second = [np.where(one == 2, 2, 0).astype(np.uint8) for one in classes]
    lone = as_dicom(root, "lone", second, ("background", "label_2", "label_3"))
    assert dice(evaluate_folder(lone, high), "label_3") == 1


def test_other_names_of_a_number_are_told(scans: tuple[Path, list[np.ndarray]]) -> None:
    root, classes = scans
    found = evaluate_folder(
        as_dicom(root, "a", classes, ("background", "liver", "spleen")), as_dicom(root, "b", classes)
    )
    assert found.warnings == (
        "p0.dcm calls 2 spleen, the labels call it tumour: they are compared by their numbers; check that "
        "they mean the same",
    )


def test_labels_in_folders_of_their_cases_are_trained_on(scans: tuple[Path, list[np.ndarray]]) -> None:
    root, classes = scans
    as_dicom(root, "labels", classes, inner="seg.dcm")
    dataset = find_dataset(root)
    assert [(case.id, case.label) for case in dataset.cases] == [
        (f"p{n}", root / "labels" / f"p{n}") for n in range(3)
    ]
    shutil.rmtree(root / "labels" / "p2")
    assert [case.id for case in find_dataset(root).unlabelled] == ["p2"]


def other_grid(root: Path, shape: tuple[int, int, int], affine: np.ndarray) -> Path:
    (root / "other").mkdir()
    label = np.zeros(shape, np.uint8)
    label[2:9, 2:8, 4:10] = 1
    nib.Nifti1Image(label, affine).to_filename(root / "other" / "p0.nii.gz")
    return root / "other"


SCALED, MOVED, TILTED = np.eye(4), np.eye(4), np.eye(4)
SCALED[:2, :2] *= 1.25
MOVED[0, 3] = 0.5
TILTED[1:3, 1:3] = [[0.96, -0.28 * 2 / 0.9], [0.28 * 0.9 / 2, 0.96]]  # rotates voxels of 0.9 x 2 mm
THINNER, BEHIND = np.diag([1, 1, 2.0, 1]), np.eye(4)
BEHIND[2, 3] = 2


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ((24, 20, 30), np.diag([0.5, 0.5, 1, 1])),
        ((14, 12, 14), np.eye(4)),
        (SHAPE, SCALED), (SHAPE, MOVED), (SHAPE, TILTED), (SHAPE, THINNER),
        ((12, 10, 6), BEHIND),
    ],
    ids=["finer", "larger", "scaled", "moved", "tilted", "thicker", "cut"],
)  # fmt: skip
def test_another_grid_is_refused_on_either_side(
    scans: tuple[Path, list[np.ndarray]],
    shape: tuple[int, int, int],
    change: np.ndarray,
    sparse: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a segmentation does not span was taken for empty, and the figures were wrong without a word."""
    root, classes = scans
    if sparse:
        monkeypatch.setattr(segmentations, "MOST_EMPTY", 0)
    mask = as_dicom(root, "seg", classes[:1])
    affine = read_header([root / "images" / "p0"]).affine
    assert affine is not None
    other = other_grid(root, shape, affine @ change)
    for places in ((mask, other), (other, mask)):
        said = " ".join(call("evaluate", *places, code=3).output.split())
        assert "expected one grid, of which a DICOM-SEG may leave out slices alone; predict on the" in said
        assert f"{shape[0]} x {shape[1]} x {shape[2]} voxels of" in said and "but its label" in said
        if not sparse:  # what differs is seen
            assert ("in other directions" in said) == (change is TILTED)


def test_two_segmentations_of_other_grids_are_refused(
    scans: tuple[Path, list[np.ndarray]],
) -> None:
    root, classes = scans
    mask = as_dicom(root, "seg", classes[:1])
    shutil.rmtree(root / "images" / "p0")
    slices(root / "images" / "p0", values((14, 10, 6)))
    large = as_dicom(root, "large", [np.ones((14, 10, 6), np.uint8)])
    said = " ".join(call("evaluate", mask, large, code=3).output.split())
    assert "12 x 10 x 14 voxels of" in said and "14 x 10 x 6 voxels of" in said


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PSL"])
@pytest.mark.parametrize("places", [(4,), (4, 6, 8), (4, 5, 6, 7, 8, 9)])
def test_a_label_stored_along_other_axes_is_the_same_grid(
    scans: tuple[Path, list[np.ndarray]],
    codes: str,
    places: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, (classes, *_) = scans
    monkeypatch.setattr(segmentations, "MOST_EMPTY", 0)
    few = np.zeros_like(classes)
    few[..., list(places)] = classes[..., list(places)]
    mask = as_dicom(root, "seg", [few])
    label = nib.load(as_nifti(root, "nifti", [few]) / "p0.nii.gz")
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(label.affine), nib.orientations.axcodes2ornt(tuple(codes))
    )
    (root / "turned").mkdir()
    label.as_reoriented(turn).to_filename(root / "turned" / "p0.nii.gz")
    for sides in ((mask, root / "turned"), (root / "turned", mask)):
        assert {row.dice for row in evaluate_folder(*sides).rows} == {1}


def test_a_label_without_a_place_is_compared_where_its_size_is_that_of_the_segmentation(
    scans: tuple[Path, list[np.ndarray]],
) -> None:
    root, classes = scans
    mask = as_dicom(root, "seg", classes[:1])
    (root / "bare").mkdir()
    for array, code in ((classes[0], 0), (classes[0][:-1], 3)):
        bare = nib.Nifti1Image(array, None)
        bare.header["qform_code"] = bare.header["sform_code"] = 0
        bare.to_filename(root / "bare" / "p0.nii.gz")
        said = call("evaluate", mask, root / "bare", code=code).output
        assert ("expected one grid" in " ".join(said.split())) == bool(code)
