"""Slicer's segments in several layers: one map of them, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.readers import read_label, read_names
from stampseg.data.labels.label_table import label_table

SHAPE = (6, 5, 8)
LIVER, TUMOUR = np.zeros((2, *SHAPE), np.uint8)
LIVER[1:3, 1:3, 2:5] = 1
TUMOUR[3:5, 1:3, 2:5] = 1


def layered(path: Path, *layers: np.ndarray, **fields: object) -> Path:
    """A .seg.nrrd with a component for each layer."""
    volume = sitk.GetImageFromArray(np.stack([layer.T for layer in layers], -1).copy(), isVector=True)
    for key, value in fields.items():
        volume.SetMetaData(key, str(value))
    sitk.WriteImage(volume, str(path))
    return path


def segments(*parts: tuple[str, int, int]) -> dict[str, object]:
    return {
        f"Segment{place}_{field}": value
        for place, part in enumerate(parts)
        for field, value in zip(("Name", "Layer", "LabelValue"), part, strict=True)
    }


def test_segments_of_one_value_in_layers_of_their_own_are_numbered(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", LIVER, TUMOUR, **segments(("liver", 0, 1), ("tumour", 1, 1)))
    np.testing.assert_array_equal(read_label(path).array, LIVER + 2 * TUMOUR)
    assert read_names(path) == {1: "liver", 2: "tumour"}
    table = label_table([Case("a", "a", (path,), path)], {})
    assert table.names == ("background", "liver", "tumour")


def test_values_that_differ_are_kept(tmp_path: Path) -> None:
    first = LIVER * 4 + TUMOUR * 9
    third = np.zeros_like(LIVER)
    third[5, 4, 7] = 2
    path = layered(
        tmp_path / "a.seg.nrrd", first, third, **segments(("liver", 0, 4), ("tumour", 0, 9), ("cyst", 1, 2))
    )
    np.testing.assert_array_equal(read_label(path).array, first + third)
    assert read_names(path) == {4: "liver", 9: "tumour", 2: "cyst"}


@pytest.mark.parametrize(
    ("layers", "parts", "words"),
    [
        ((LIVER | TUMOUR, TUMOUR), (("liver", 0, 1), ("tumour", 1, 1)), "tumour and liver overlap in 12"),
        ((LIVER, TUMOUR), (("liver", 0, 1), ("", 2, 1)), "segment 2 is said to be in layer 2 of 2"),
        ((LIVER, TUMOUR), (("liver", 0, 1),), "12 voxels of its layers are of none of its segments"),
        ((LIVER, TUMOUR), (), "label with 2 channels; expected one class per voxel"),
    ],
)  # fmt: skip
def test_what_is_no_single_map_is_refused(layers: tuple, parts: tuple, words: str, tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", *layers, **segments(*parts))
    with pytest.raises(DataError, match=words):
        read_label(path)
