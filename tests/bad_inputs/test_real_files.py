"""Odd files of other projects, and misfits of a real data set: opened, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stampseg.core.errors import DataError
from stampseg.data.inputs import find_inputs
from stampseg.data.io.formats import series_format, suffix_of
from stampseg.data.io.readers import read_header, read_image

from .bench import call

READ = {  # channels and shape
    "nibabel/standard.nii.gz": (1, (4, 5, 7)),
    "nibabel/test.mgz": (2, (3, 4, 5)),
    "nibabel/anatomical.nii": (1, (33, 41, 25)),
    "nibabel/functional.nii": (20, (17, 21, 3)),
    "nibabel/example4d.nii.gz": (2, (128, 96, 24)),
    "nibabel/example_nifti2.nii.gz": (2, (32, 20, 12)),
    "nibabel/reoriented_anat_moved.nii": (1, (21, 26, 22)),
    "nibabel/resampled_anat_moved.nii": (1, (17, 21, 3)),
    "monai/anatomical_label.nii.gz": None,
    "dipy/small_64D.nii": None,
    "dipy/aniso_vox.nii.gz": None,
    "dipy/S0_10slices.nii.gz": None,
}
REFUSED = {
    "nibabel/analyze.hdr": r"analyze\.hdr: ",
    "nibabel/nifti1.hdr": r"nifti1\.hdr: ",
    "nibabel/tiny.mnc": r"tiny\.mnc: file type not known; expected NIfTI",
    "nibabel/minc2_baddim.mnc": r"minc2_baddim\.mnc: file type not known; expected NIfTI",
    "nibabel/phantom_truncated.PAR": r"phantom_truncated\.PAR: file type not known; expected NIfTI",
}


@pytest.fixture(scope="module")
def odd(shared_data: Path) -> Path:
    folder = shared_data / "odd_headers"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.mark.parametrize("name", READ)
def test_odd_headers_are_read(name: str, odd: Path) -> None:
    volume = read_image([odd / name])
    assert np.isfinite(volume.array).all() and volume.array.any()
    assert volume.array.shape == (volume.header.channels, *volume.header.shape)
    if READ[name]:
        assert (volume.header.channels, volume.header.shape) == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_headers_without_voxels_and_other_kinds_are_refused(name: str, odd: Path) -> None:
    with pytest.raises(DataError, match=REFUSED[name]):
        read_image([odd / name])


def test_every_odd_file_is_read_or_refused(odd: Path) -> None:
    found = [path for path in sorted(odd.rglob("*")) if path.is_file() and suffix_of(path)]
    assert len(found) > 15
    for path in found:
        try:
            header = read_header([path])
            assert read_image([path]).array.shape == (header.channels, *header.shape)
        except DataError as error:
            assert str(path) in str(error)


def test_misfits_of_the_hippocampus(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "odd_hippocampus"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    image = next(folder.glob("image_without_label*.nii.gz"))
    foreign = next(folder.glob("foreign_label*.nii.gz"))
    table = tmp_path / "cases.csv"
    table.write_text(f"image,label\n{image},{foreign}\n")
    said = call("check", table)
    assert said.exit_code == 3 and "a label must have its image's grid; check that they belong" in said.output
    table.write_text(f"image,label\n{image},\n")
    said = call("check", table)
    assert said.exit_code == 3 and "no image with a label found; expected" in said.output
    assert series_format(folder / "dicom_crop_series")
    (case,) = find_inputs([folder / "dicom_crop_series"])
    assert read_image(case.images).array.ndim == 4
