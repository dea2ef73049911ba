"""A mask never takes the place of the image that it is of."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.readers import write_label, write_percent
from stampseg.data.io.sources import replaced
from stampseg.runtime.output_files import refuse_overwriting
from stampseg.runtime.predictor import Predictor

VALUES = np.arange(1, 61, dtype=np.int16).reshape(3, 4, 5)
MASK = np.zeros(VALUES.shape, np.uint8)
REFUSED = r": would replace the image that the mask is of; expected another file; choose another name or"


def volume(path: Path) -> Path:
    nib.save(nib.Nifti1Image(VALUES, np.eye(4)), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("write", [write_label, write_percent])
@pytest.mark.parametrize("name", ["scan", "scan.nii.gz", "scan.mha", "../{}/scan"])
def test_the_suffix_may_lead_back_to_the_image(write, name: str, tmp_path: Path) -> None:
    image = volume(tmp_path / "scan.nii.gz")
    before = contents(tmp_path)
    with pytest.raises(DataError, match=rf"scan\.nii\.gz{REFUSED}"):
        write(tmp_path / name.format(tmp_path.name), MASK, image)
    assert contents(tmp_path) == before
    assert write(tmp_path / "other", MASK, image).name == "other.nii.gz"


def test_through_a_link(tmp_path: Path) -> None:
    volume(tmp_path / "scan.nii")
    (tmp_path / "link.nii").symlink_to("scan.nii")
    for image, target in (("link.nii", "scan"), ("scan.nii", "link")):
        with pytest.raises(DataError, match=rf"{target}\.nii{REFUSED}"):
            write_label(tmp_path / target, MASK, tmp_path / image)


def test_any_channel(tmp_path: Path) -> None:
    images = [volume(tmp_path / f"scan_000{channel}.nii") for channel in (0, 1)]
    with pytest.raises(DataError, match=rf"scan_0001\.nii{REFUSED}"):
        write_label(tmp_path / "scan_0001", MASK, images)


@pytest.mark.parametrize(("image", "target"), [("scan.hdr", "scan.img"), ("scan.img", "scan.hdr")])
def test_both_files_of_a_pair(image: str, target: str, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(VALUES, np.eye(4)), tmp_path / "scan.img")
    before = contents(tmp_path)
    with pytest.raises(DataError, match=rf"scan\.(hdr|img){REFUSED}"):
        write_label(tmp_path / target, MASK, tmp_path / image)
    assert contents(tmp_path) == before


def test_voxels_beside_a_header(tmp_path: Path) -> None:
    """Whose header calls them by a name that the mask would have."""
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(tmp_path / "scan.mhd"))
    shutil.move(tmp_path / "scan.raw", tmp_path / "voxels.mha")
    header = tmp_path / "scan.mhd"
    header.write_text(header.read_text().replace("scan.raw", "voxels.mha"))
    assert replaced([tmp_path / "scan.mha"], [header]) is None
    with pytest.raises(DataError, match=rf"voxels\.mha{REFUSED}"):
        write_label(tmp_path / "voxels", np.zeros((5, 4, 3), np.uint8), header)
    case = Case("scan", "scan", (header,), None)
    with pytest.raises(DataError, match=r"voxels\.mha: would replace an image that is to be segmented"):
        refuse_overwriting([case], {case.images: tmp_path / "voxels.mha"}, None, overwrite=True)


def test_a_picture(tmp_path: Path) -> None:
    Image.fromarray(np.full((3, 4), 9, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png{REFUSED}"):
        write_percent(tmp_path / "a", np.zeros((3, 4), np.uint8), tmp_path / "a.png")


def test_a_predictor_refuses_before_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = volume(tmp_path / "scan.nii")
    monkeypatch.setattr(Predictor, "__init__", lambda self: None)
    monkeypatch.setattr(Predictor, "predict", lambda self, images: pytest.fail("was segmented"))
    with pytest.raises(DataError, match=rf"scan\.nii{REFUSED}"):
        Predictor().predict_file(str(image), str(tmp_path / "scan"))
