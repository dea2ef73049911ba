"""Labels that lie beside their images in one folder are not segmented."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from stampseg.data.inputs import find_inputs


def files(folder: Path, *names: str) -> list[Path]:
    for number, name in enumerate(names):
        values = np.full((4, 4, 4), number, np.uint8)
        nib.save(nib.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
    return [folder / f"{name}.nii.gz" for name in names]


@pytest.mark.parametrize(
    ("names", "scans"),
    [
        (["p1", "p1_seg", "p2", "p2_seg"], ["p1", "p2"]),  # most
        (["p1", "p1_segmentation", "p2"], ["p1", "p2"]),  # PROMISE12, partly labelled
        (["volume-0", "segmentation-0", "volume-1", "segmentation-1"], ["volume-0", "volume-1"]),  # LiTS
        (["img_1", "mask_1"], ["img_1"]),
        (["p1_ct", "p1_label"], ["p1_ct"]),
        (["p1", "P1_Seg"], ["p1"]),
        (["p1_mask", "p2_mask"], ["p1_mask", "p2_mask"]),  # of no image: what they are is not known
        (["seg_1", "seg_2"], ["seg_1", "seg_2"]),
        (["p1", "p1_t2", "p2"], ["p1", "p1_t2", "p2"]),
        (["t2s", "t2s_gmseg", "t2s_gmseg_manual", "t2s_seg-deepseg"], ["t2s"]),  # of spinalcordtoolbox
        (["t2s_gmseg_manual", "t2s_warp"], ["t2s_gmseg_manual", "t2s_warp"]),
        (["image", "label"], ["image"]),
        (["label"], ["label"]),
    ],
)
def test_labels_beside_their_images_are_left_out_and_said(
    names: list[str], scans: list[str], tmp_path: Path
) -> None:
    files(tmp_path, *names)
    said: list[str] = []
    found = find_inputs([tmp_path], 1, tell=said.append)
    assert sorted(case.id for case in found) == sorted(scans)
    left = [name for name in sorted(names) if name not in scans]
    assert len(said) == bool(left)
    for name in left:
        assert f"{name}.nii.gz" in said[0]
        assert "called as labels of others in it" in said[0] and "name such a file itself" in said[0]


def test_a_label_beside_numbered_channels_does_not_part_them(tmp_path: Path) -> None:
    files(tmp_path, "p1_0000", "p1_0001", "p1_seg", "p2_0000", "p2_0001")
    found = find_inputs([tmp_path], 2)
    assert [(case.id, len(case.images)) for case in found] == [("p1", 2), ("p2", 2)]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    image, label = files(tmp_path, "p1", "p1_seg")
    said: list[str] = []
    assert len(find_inputs([image, label], 1, tell=said.append)) == 2 and not said
