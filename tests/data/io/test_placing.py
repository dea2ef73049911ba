"""Labels that are stored otherwise than their image, and units other than millimetres."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.core.errors import DataError
from stampseg.data.io.placing import on_grid_of
from stampseg.data.io.readers import read_header, read_label

SHAPE = (7, 8, 9)
AFFINE = np.array([[-1.0, 0.1, 0, 5], [0.1, 1.0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])


def drawn() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE) -> Path:
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def image_in(folder: Path) -> Path:
    return save(folder / "image.nii.gz", np.zeros(SHAPE, np.float32))


@pytest.mark.parametrize("codes", ["LPS", "RAI", "SAR", "PSL", "IRA"])
def test_a_label_along_other_axes_is_turned_to_its_image(codes: str, tmp_path: Path) -> None:
    image, label = image_in(tmp_path), nib.Nifti1Image(drawn(), AFFINE)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(codes))
    )
    label.as_reoriented(turn).to_filename(tmp_path / "label.nii.gz")
    found = on_grid_of(read_label(tmp_path / "label.nii.gz"), read_header([image]))
    np.testing.assert_array_equal(found.array, drawn())
    np.testing.assert_allclose(found.header.affine, AFFINE, atol=1e-5)


def test_a_label_on_the_grid_is_as_it_was(tmp_path: Path) -> None:
    label = read_label(save(tmp_path / "label.nii.gz", drawn()))
    assert on_grid_of(label, read_header([image_in(tmp_path)])) is label


def test_a_label_elsewhere_is_refused_without_advice_that_would_mirror_it(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += 5
    label = read_label(save(tmp_path / "label.nii.gz", drawn(), moved))
    with pytest.raises(DataError, match=r"voxels away .* write the label anew on the image's grid"):
        on_grid_of(label, read_header([image_in(tmp_path)]))
    flipped = np.diag([1.0, -1, 1, 1])  # mirrored, and not in its place
    label = read_label(save(tmp_path / "label.nii.gz", drawn(), AFFINE @ flipped))
    with pytest.raises(DataError, match="voxels away"):
        on_grid_of(label, read_header([image_in(tmp_path)]))


def save_nrrd(path: Path, array: np.ndarray, origin: tuple[float, ...], spacing: tuple[float, ...]) -> Path:
    volume = sitk.GetImageFromArray(array.T.copy())
    volume.SetOrigin(origin)
    volume.SetSpacing(spacing)
    sitk.WriteImage(volume, str(path))
    return path


def test_a_segmentation_cut_to_its_segments_is_put_back(tmp_path: Path) -> None:
    """3D Slicer writes the voxels around the segments alone."""
    whole = np.zeros(SHAPE, np.uint8)
    whole[2:5, 3:7, 4:6] = drawn()[2:5, 3:7, 4:6]
    image = save_nrrd(tmp_path / "i.nrrd", whole.astype(np.float32), (10, 20, 30), (1, 2, 3))
    part = whole[2:5, 3:7, 4:6]
    label = save_nrrd(tmp_path / "l.seg.nrrd", part, (12, 26, 42), (1, 2, 3))
    found = on_grid_of(read_label(label), read_header([image]))
    np.testing.assert_array_equal(found.array, whole)


def test_a_segmentation_of_finer_voxels_is_brought_to_the_image(tmp_path: Path) -> None:
    image = save_nrrd(tmp_path / "i.nrrd", np.zeros(SHAPE, np.float32), (0.5, 0.5, 0.5), (2, 2, 2))
    fine = drawn().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    label = save_nrrd(tmp_path / "l.seg.nrrd", fine, (0, 0, 0), (1, 1, 1))
    found = on_grid_of(read_label(label), read_header([image]))
    np.testing.assert_array_equal(found.array, drawn())


def test_a_cut_label_that_is_no_segmentation_of_slicers_is_refused(tmp_path: Path) -> None:
    image = save_nrrd(tmp_path / "i.nrrd", np.zeros(SHAPE, np.float32), (0, 0, 0), (1, 1, 1))
    label = save_nrrd(tmp_path / "l.nrrd", drawn()[1:], (1, 0, 0), (1, 1, 1))
    with pytest.raises(DataError, match=r"l.nrrd: label of shape 6 x 8 x 9, but its image"):
        on_grid_of(read_label(label), read_header([image]))


def test_a_segmentation_of_another_scan_is_refused(tmp_path: Path) -> None:
    image = save_nrrd(tmp_path / "i.nrrd", np.zeros(SHAPE, np.float32), (0, 0, 0), (1, 1, 1))
    label = save_nrrd(tmp_path / "l.seg.nrrd", np.ones((2, 2, 2), np.uint8), (500, 0, 0), (1, 1, 1))
    with pytest.raises(
        DataError, match=r"l.seg.nrrd: all of its segments' voxels lie beyond its image .*i.nrrd"
    ):
        on_grid_of(read_label(label), read_header([image]))


@pytest.mark.parametrize(("units", "fine"), [("mm", True), ("microns", False), ("um", False), ("m", False)])
def test_nrrd_of_other_units_is_refused(units: str, fine: bool, tmp_path: Path) -> None:
    """ITK takes them for millimetres, whatever they are."""
    path = save_nrrd(tmp_path / "a.nrrd", drawn(), (0, 0, 0), (25, 25, 25))
    start, data = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(start + b'\nspace units: "%b" "%b" "%b"\n\n' % ((units.encode(),) * 3) + data)
    if fine:
        assert read_header([path]).spacing == (25, 25, 25)
        return
    with pytest.raises(DataError, match=rf"a\.nrrd: its space units are {units}; expected mm; write it anew"):
        read_header([path])


def test_an_image_without_a_place_takes_its_label_voxel_by_voxel(tmp_path: Path) -> None:
    """Neither qform nor sform: nibabel and ITK place it differently, and programs write what they thought."""
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32), None)
    image.header.set_zooms((1, 1.2, 2))
    image.header["qform_code"] = image.header["sform_code"] = 0
    image.to_filename(tmp_path / "i.nii.gz")
    assert not read_header([tmp_path / "i.nii.gz"]).placed
    source = sitk.ReadImage(str(tmp_path / "i.nii.gz"))
    mask = sitk.GetImageFromArray(drawn().T.copy())
    mask.CopyInformation(source)
    sitk.WriteImage(mask, str(tmp_path / "l.nii.gz"))
    found = on_grid_of(read_label(tmp_path / "l.nii.gz"), read_header([tmp_path / "i.nii.gz"]))
    np.testing.assert_array_equal(found.array, drawn())


@pytest.mark.parametrize(
    ("unit", "millimetres"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1), ("unknown", 1)]
)
def test_units_are_millimetres_as_itk_has_them(unit: str, millimetres: float, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(unit, "sec")
    image.to_filename(tmp_path / "a.nii")
    header = read_header([tmp_path / "a.nii"])
    np.testing.assert_allclose(header.spacing, np.multiply((2, 3, 4), millimetres), rtol=1e-6)
    if unit != "unknown":
        np.testing.assert_allclose(
            header.spacing, sitk.ReadImage(str(tmp_path / "a.nii")).GetSpacing(), rtol=1e-5
        )
