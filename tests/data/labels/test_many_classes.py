"""Atlases: many structures, small ones among them, and values of any size."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.inverse import restore
from stampseg.data.io.colours import COLOUR, describe
from stampseg.data.labels.label_table import label_table, to_classes, to_values
from stampseg.data.preprocess import Geometry


def runs(voxels: dict[int, int], shape: tuple[int, ...] = (40, 40, 40)) -> np.ndarray:
    """A label map in which each value fills so many voxels, one after the other."""
    label = np.zeros(np.prod(shape), np.int32)
    filled = np.repeat(list(voxels), list(voxels.values()))
    label[: len(filled)] = filled
    return label.reshape(shape)


def case_of(folder: Path, *labels: np.ndarray) -> list[Case]:
    cases = []
    for number, label in enumerate(labels):
        path = folder / f"l{number}.nii.gz"
        nib.Nifti1Image(label, np.eye(4)).to_filename(path)
        cases.append(Case(f"c{number}", f"c{number}", (path,), path))
    return cases


def test_small_structures_among_many_are_classes(tmp_path: Path) -> None:
    """FreeSurfer's aseg: 3% of the volume is in structures under half a percent each, numbered up to 255."""
    large = dict.fromkeys((2, 3, 7, 8, 10, 16, 41, 42, 46, 47), 3000)
    small = dict.fromkeys((5, 14, 26, 30, 58, 62, 77, 85, 251, 255), 40)
    assert len(label_table(case_of(tmp_path, runs(large | small)), {}).values) == 21


def test_greys_between_a_few_structures_are_still_strays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stray label values 128"):
        label_table(case_of(tmp_path, runs({255: 9000, 200: 9000, 128: 10})), {})


@pytest.mark.parametrize("count", [113, 300])
def test_hundreds_of_structures_are_classes(count: int, tmp_path: Path) -> None:
    values = {1000 + 7 * k: 100 for k in range(count)}
    label = runs(values)
    table = label_table(case_of(tmp_path, label), {})
    assert table.values == (0, *values)
    classes = to_classes(label, table.values, "l")
    assert classes.max() == count and np.array_equal(to_values(classes, table.values), label)


def test_more_than_can_be_trained_are_refused_for_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"l0.nii.gz: more than 1024 label values .* at most as many classes"):
        label_table(case_of(tmp_path, runs(dict.fromkeys(range(1, 1100), 20))), {})


def test_an_image_in_the_place_of_a_label_is_told(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 200, (10, 10, 10)).astype(np.int32)
    with pytest.raises(DataError, match=r"more than 64 label values, .* looks like a photograph"):
        label_table(case_of(tmp_path, image), {})


@pytest.mark.parametrize("value", [312782, 2**24 + 5, 614454277, 2**31 - 1])
def test_values_of_any_size_come_back(value: int, tmp_path: Path) -> None:
    label = runs({value: 100}, (10, 10, 10))
    table = label_table(case_of(tmp_path, label), {})
    assert table.values == (0, value)
    assert np.array_equal(to_values(to_classes(label, table.values, "l"), table.values), label)


def test_a_large_value_is_no_colour() -> None:
    assert [describe(value) for value in (20_000_000, 614454277)] == ["20000000", "614454277"]
    assert describe(COLOUR | 0xFF0000) == "#ff0000"


@pytest.mark.parametrize("classes", [256, 257, 300])
def test_a_mask_holds_the_index_of_every_class(classes: int) -> None:
    wanted = np.arange(classes)
    scores = np.zeros((classes, classes, 1, 1), np.float32)
    scores[wanted, wanted] = 1
    assert restore(scores, Geometry.working((classes, 1, 1))).ravel().tolist() == wanted.tolist()
    double = Geometry(
        (2 * classes, 1, 1), ((0, 1), (1, 1), (2, 1)), ((0, 2 * classes), (0, 1), (0, 1)), (classes, 1, 1)
    )
    assert restore(scores, double).ravel().tolist() == np.repeat(wanted, 2).tolist()


@pytest.mark.parametrize("kind", [np.uint32, np.int64, np.float64])
def test_numbers_of_atlases_are_exact(kind: type, tmp_path: Path) -> None:
    path = tmp_path / "l.nii.gz"
    label = runs({312782: 500, 614454277: 500}).astype(np.int64).astype(kind)
    nib.Nifti1Image(label, np.eye(4), dtype=kind).to_filename(path)
    table = label_table([Case("c", "c", (path,), path)], {})
    assert table.values == (0, 312782, 614454277)
    assert table.names == ("background", "label_312782", "label_614454277")


def test_numbers_that_a_float_may_have_rounded_are_refused(tmp_path: Path) -> None:
    """614454277 becomes 614454272 in 32 bits; 2**24 is the first that two whole numbers share."""
    good = case_of(tmp_path, runs({2**24 - 1: 500}).astype(np.float32))
    assert label_table(good, {}).values == (0, 2**24 - 1)
    said = r"l0\.nii\.gz: label value 614454272 stored as float32, .* only below 16777216, .* as\s*whole"
    with pytest.raises(DataError, match=said):
        label_table(case_of(tmp_path, runs({614454277: 500}).astype(np.float32)), {})


def test_numbers_beyond_four_bytes_are_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "l.nii.gz"
    label = runs({1: 500}).astype(np.int64) * 5_000_000_000
    nib.Nifti1Image(label, np.eye(4), dtype=np.int64).to_filename(path)
    with pytest.raises(DataError, match=r"l\.nii\.gz: label value 5000000000; expected at most 4294967295"):
        label_table([Case("c", "c", (path,), path)], {})
