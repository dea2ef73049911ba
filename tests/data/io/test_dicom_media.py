"""DICOM as CDs and old scanners leave it: folders with a DICOMDIR, files without a mark, odd pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ParametricMapStorage

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import read_image
from tests.data.dicom_files import affine_of, slices, values


def check(path: Path, expected: np.ndarray) -> None:
    volume = read_image([path])
    np.testing.assert_allclose(volume.array[0], expected, rtol=1e-6)
    np.testing.assert_allclose(volume.header.affine, affine_of(), atol=1e-4)


def cd(folder: Path, volume: np.ndarray, *series: str) -> Path:
    """A person's folder as a CD has it."""
    for name in series:
        slices(folder / "DICOM" / name, volume, name="IM{:03d}")
    source = Dataset()
    source.FileSetID, source.DirectoryRecordSequence = "CD", []
    source.file_meta = pydicom.dataset.FileMetaDataset()
    source.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    source.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    source.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dcmwrite(folder / "DICOMDIR", source, enforce_file_format=True)
    return folder


def label(path: Path, shape: tuple[int, ...]) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine_of()), path)


def test_a_dicomdir_does_not_hide_the_series_below_it(tmp_path: Path) -> None:
    volume = values()
    for name in ("p0", "p1"):
        cd(tmp_path / "images" / name, volume, "ST1/SE1")
        label(tmp_path / "labels" / f"{name}.nii.gz", volume.shape)
    found = find_dataset(tmp_path)
    assert [case.id for case in found.cases] == ["p0", "p1"]
    check(tmp_path / "images" / "p0", volume)
    assert [case.images[0].name for case in find_inputs([tmp_path / "images"])] == ["p0", "p1"]


def test_a_person_with_two_series_is_told_rather_than_left_out(tmp_path: Path) -> None:
    volume = values()
    for name, *series in (("p0", "SE1"), ("p1", "SE1", "SE2")):
        cd(tmp_path / "images" / name, volume, *series)
        label(tmp_path / "labels" / f"{name}.nii.gz", volume.shape)
    said = (
        r"images/p1: holds 2 series, DICOM/SE1, DICOM/SE2; expected one, .*; leave one in, name those meant"
    )
    with pytest.raises(DataError, match=said):
        find_dataset(tmp_path)
    with pytest.raises(DataError, match=said):
        find_inputs([tmp_path / "images"])
    inner = tmp_path / "images" / "p1" / "DICOM"
    assert [case.id for case in find_inputs([inner / "SE1", inner / "SE2"])] == ["SE1", "SE2"]


def test_the_series_that_volumes_were_made_of_may_lie_beside_them(tmp_path: Path) -> None:
    volume = values()
    for name in ("p0", "p1"):
        slices(tmp_path / "images" / "dicom" / name, volume)
        for part in ("images", "labels"):
            label(tmp_path / part / f"{name}.nii.gz", volume.shape)
    assert [case.id for case in find_inputs([tmp_path / "images"])] == ["p0", "p1"]
    assert [case.id for case in find_dataset(tmp_path).cases] == ["p0", "p1"]


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["{:02d}.dcm", "IM{:04d}"])
def test_files_without_mark_and_ending_are_read(name: str, implicit: bool, tmp_path: Path) -> None:
    volume = values()
    slices(tmp_path / "scan", volume, name=name)
    for path in (tmp_path / "scan").iterdir():
        source = pydicom.dcmread(path)
        del source.file_meta, source.preamble
        dcmwrite(path, Dataset(source), implicit_vr=implicit, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    check(tmp_path / "scan", volume)


def _rewritten(folder: Path, change: Callable[[Dataset], None], **how: bool) -> Path:
    for path in folder.iterdir():
        source = pydicom.dcmread(path)
        change(source)
        dcmwrite(path, source, **how)
    return folder


def _big_endian(source: Dataset) -> None:
    source.PixelData = source.pixel_array.astype(">i2").tobytes()
    source.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    source["PixelData"].VR = "OW"


def _deflated(source: Dataset) -> None:
    source.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _floats(source: Dataset) -> None:
    """A parametric map, such as of diffusion."""
    pixels = source.pixel_array.astype(np.float32)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(source, keyword)
    source.BitsAllocated, source.FloatPixelData = 32, pixels.tobytes()
    source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = ParametricMapStorage


def _at_the_top(source: Dataset) -> None:
    source.PixelData = (source.pixel_array.astype(np.uint16) << 4 | 5).tobytes()  # five of an overlay
    source.BitsStored, source.HighBit, source.PixelRepresentation = 12, 15, 0


def _signed_at_the_top(source: Dataset) -> None:
    source.PixelData = ((source.pixel_array - 500) << 4).astype(np.int16).tobytes()
    source.BitsStored, source.HighBit, source.RescaleIntercept, source.RescaleSlope = 12, 15, 500, 1


def _under_an_overlay(source: Dataset) -> None:
    source.PixelData = (source.pixel_array.astype(np.uint16) | 3 << 12).tobytes()
    source.BitsStored, source.HighBit, source.PixelRepresentation = 12, 11, 0


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (_big_endian, {"force_encoding": True, "little_endian": False, "implicit_vr": False}),
        (_deflated, {}),
        (_floats, {}),
        (_at_the_top, {}),
        (_signed_at_the_top, {}),
        (_under_an_overlay, {}),
    ],
)
def test_pixels_as_they_may_be_stored(
    change: Callable[[Dataset], None], how: dict[str, bool], tmp_path: Path
) -> None:
    volume = values()
    slices(tmp_path / "scan", volume)
    check(_rewritten(tmp_path / "scan", change, **how), volume)


def test_values_in_the_middle_of_their_bits_are_refused(tmp_path: Path) -> None:
    def change(source: Dataset) -> None:
        source.BitsStored, source.HighBit = 10, 12

    slices(tmp_path / "scan", values())
    said = (
        r"00\.dcm: its values lie in the bits 3 to 12 of 16 \(HighBit, BitsStored\); expected .*; convert it"
    )
    with pytest.raises(DataError, match=said):
        read_image([_rewritten(tmp_path / "scan", change)])
