"""A mask of each organ: one map of classes, in which an organ inside another is painted over it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.core.remarks import gathered
from stampseg.data.labels.organs import read_label_files
from stampseg.evaluation.folders import evaluate_folder

BOXES = {"liver": (4, 28), "tumour": (8, 18), "core": (10, 12), "kidney": (30, 38)}


def mask_of(name: str) -> np.ndarray:
    low, high = BOXES[name]
    found = np.zeros((40, 40), np.uint8)
    found[low:high, low:high] = 255
    return found


def written(folder: Path, name: str, mask: np.ndarray) -> Path:
    path = folder / name / "s0.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


@pytest.mark.parametrize("names", list(permutations(BOXES)))
def test_the_inner_organ_is_painted_over_the_outer_one_in_any_order(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    files = tuple(written(tmp_path, name, mask_of(name)) for name in names)
    with gathered() as remarks:
        found = read_label_files(files).array
    wanted = np.zeros((40, 40), np.uint8)
    for name in BOXES:  # the large ones first
        wanted[mask_of(name) > 0] = names.index(name) + 1
    np.testing.assert_array_equal(found, wanted)
    assert remarks.files == {
        "lies inside liver, which is learnt without it": [tmp_path / "tumour" / "s0.png"],
        "lies inside tumour, which is learnt without it": [tmp_path / "core" / "s0.png"],
    }


def test_a_few_voxels_over_the_edge_are_a_slip_and_more_are_refused(tmp_path: Path) -> None:
    liver, tumour = mask_of("liver"), np.zeros((40, 40), np.uint8)
    tumour[20:29, 10:20] = 1  # of ten columns and nine rows, the last one beyond the liver
    files = written(tmp_path, "liver", liver), written(tmp_path, "tumour", tumour)
    with pytest.raises(
        DataError, match=r"tumour/s0.png: 80 of its 90 voxels in .*liver/s0.png as well, which has 576"
    ):
        read_label_files(files)
    tumour[28, 12:] = 0  # two of them alone
    written(tmp_path, "tumour", tumour)
    assert np.count_nonzero(read_label_files(files).array == 2) == 82


def test_two_masks_that_are_nearly_the_same_are_refused(tmp_path: Path) -> None:
    liver = mask_of("liver")
    again = liver.copy()
    again[4] = 0
    files = written(tmp_path, "liver", liver), written(tmp_path, "organ", again)
    with pytest.raises(
        DataError, match=r"552 of its 552 voxels in .* as well, which has 576; expected every voxel"
    ):
        read_label_files(files)


def test_evaluation_reads_them_the_same_way(tmp_path: Path) -> None:
    for name in ("liver", "tumour"):
        written(tmp_path / "truth", name, mask_of(name))
    map_of = np.where(mask_of("tumour") > 0, 2, mask_of("liver") > 0).astype(np.uint8)
    written(tmp_path, "predicted", map_of)
    found = evaluate_folder(tmp_path / "predicted", tmp_path / "truth")
    assert [(row.label, row.dice) for row in found.rows[:2]] == [("liver", 1), ("tumour", 1)]
