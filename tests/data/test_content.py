"""The same voxels have one digest, whatever the file format and the axes they are stored along."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from stampseg.data import content
from stampseg.data.content import content_of
from stampseg.data.io.readers import read_image


def digest(path: Path) -> str:
    return content_of(read_image([path]))


def volume_in(folder: Path) -> tuple[np.ndarray, Path]:
    array = np.random.default_rng(0).integers(-1000, 1000, (9, 8, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, -2, 3, 1])), folder / "a.nii.gz")
    return array, folder / "a.nii.gz"


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".nii"])
def test_a_volume_in_another_format(suffix: str, tmp_path: Path) -> None:
    _, path = volume_in(tmp_path)
    image = SimpleITK.ReadImage(str(path))
    SimpleITK.WriteImage(image, str(tmp_path / f"b{suffix}"))
    assert digest(tmp_path / f"b{suffix}") == digest(path)


def test_axes_in_another_order_are_the_same_and_a_mirrored_body_is_not(tmp_path: Path) -> None:
    array, path = volume_in(tmp_path)
    turned = nib.as_closest_canonical(nib.load(path))
    nib.save(turned, tmp_path / "turned.nii.gz")
    nib.save(nib.Nifti1Image(array[::-1], np.diag([-1.0, -2, 3, 1])), tmp_path / "mirrored.nii.gz")
    assert digest(tmp_path / "turned.nii.gz") == digest(path) != digest(tmp_path / "mirrored.nii.gz")


def test_one_voxel_and_the_shape_count(tmp_path: Path) -> None:
    array = np.zeros((6, 8), np.uint8)
    array[1, 2] = 1
    other = array.copy()
    other[3, 3] = 1
    found = set()
    for number, each in enumerate((array, other, array.reshape(8, 6))):
        Image.fromarray(each).save(tmp_path / f"{number}.png")
        found.add(digest(tmp_path / f"{number}.png"))
    assert len(found) == 3 and "" not in found


def test_a_blank_image_may_be_anybodys(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 8), 7, np.uint8)).save(tmp_path / "blank.png")
    assert digest(tmp_path / "blank.png") == ""


def test_of_large_images_some_voxels_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array, path = volume_in(tmp_path)
    monkeypatch.setattr(content, "VOXELS", 100)
    other = array.copy()
    other[::-1, ::-1][::2, ::2, ::2] += 1
    nib.save(nib.Nifti1Image(other, np.diag([-1.0, -2, 3, 1])), tmp_path / "b.nii.gz")
    turned = nib.as_closest_canonical(nib.load(path))
    nib.save(turned, tmp_path / "turned.nii.gz")
    assert digest(tmp_path / "turned.nii.gz") == digest(path) != digest(tmp_path / "b.nii.gz")
