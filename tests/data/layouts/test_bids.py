"""What BIDS holds several times: labels of one name in two folders of derivatives."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from tests.data.layouts.trees import tree

KINDS = ("auto", "manual")
T1W = "sub-{0}/anat/sub-{0}_T1w.nii"


@pytest.mark.parametrize("masks", [None, Path("derivatives")])
def test_labels_of_one_name_in_two_folders(tmp_path: Path, masks: Path | None) -> None:
    """Before, that of the first folder by its name was learnt from: auto before manual."""
    tree(
        tmp_path, T1W, *(f"derivatives/{kind}/sub-{{0}}/sub-{{0}}_T1w_seg.nii" for kind in ("auto", "manual"))
    )
    said = (
        r"derivatives/auto and derivatives/manual both hold sub-1_T1w_seg .4 such .*; name one with `masks`"
    )
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path, masks=masks)
    for kind in KINDS:
        found = find_dataset(tmp_path, masks=Path("derivatives", kind))
        assert not found.warnings and len(found.cases) == 4
        assert all(case.label and kind in case.label.parts for case in found.cases)
    assert len(find_inputs([tmp_path], 1)) == 4


def test_labels_of_two_observers_below_one_folder(tmp_path: Path) -> None:
    tree(tmp_path, T1W, *(f"derivatives/manual/r{n}/sub-{{}}_T1w_seg.nii" for n in (1, 2)))
    with pytest.raises(DataError, match="derivatives/manual/r1 and derivatives/manual/r2 both hold"):
        find_dataset(tmp_path)
    assert len(find_dataset(tmp_path, masks=Path("derivatives/manual/r2")).cases) == 4


def test_labels_of_one_name_beside_the_images(tmp_path: Path) -> None:
    tree(tmp_path, T1W, *(f"sub-{{0}}/{place}/sub-{{0}}_T1w_seg.nii" for place in ("anat", "auto")))
    with pytest.raises(DataError, match=r"anat and auto both hold sub-1_T1w_seg .*; take one out"):
        find_dataset(tmp_path)


def test_images_and_types_of_one_name_are_told(tmp_path: Path) -> None:
    names = ("anat/sub-1_T1w_seg.nii", "anat/sub-1_T1w_seg.nii.gz", "old/sub-1_T1w.nii")
    tree(tmp_path, T1W, *(f"sub-1/{name}" for name in names), count=1)
    (warning,) = find_dataset(tmp_path).warnings
    assert warning.endswith("same name (2): old/sub-1_T1w.nii, sub-1_T1w_seg.nii.gz")


def test_labels_that_lie_in_one_folder_or_another(tmp_path: Path) -> None:
    tree(tmp_path, T1W, "derivatives/auto/sub-1_T1w_seg.nii", count=3)
    tree(tmp_path, *(f"derivatives/manual/sub-{n}_T1w_seg.nii" for n in (2, 3)))
    (warning,) = find_dataset(tmp_path).warnings
    assert "in 2 folders of derivatives (derivatives/auto: 1, derivatives/manual: 2), which" in warning
