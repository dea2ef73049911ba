"""Files of every format: what is read, and that labels written back lie where the image lies."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image

from stampseg.core.errors import ConfigError, DataError
from stampseg.data.io.colours import COLOUR
from stampseg.data.io.formats import FORMATS
from stampseg.data.io.readers import output_name, read_header, read_image, read_label, write_label
from stampseg.data.io.volume import check_pair

SHAPE = (5, 6, 4)
OBLIQUE = np.array([[0.0, -2.0, 0.1, 10], [1.5, 0.0, 0.2, -20], [0.1, 0.2, 3.0, 5], [0, 0, 0, 1]])
# Orthogonal, mirrored, of unequal voxels: what ITK can hold.
MIRRORED = np.array([[0.0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])


def voxels(shape: tuple[int, ...] = SHAPE, dtype: str = "i2") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def labels_of(shape: tuple[int, ...], highest: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, highest + 1, shape)


def save_itk(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """Save (X, Y, Z[, C]) as ITK sees it, the affine converted independently of the code under test."""
    image = sitk.GetImageFromArray(np.moveaxis(array, (0, 1, 2), (2, 1, 0)), isVector=array.ndim == 4)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flip = np.diag([-1, -1, 1])
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((flip @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(path))
    return path


def save_nifti(
    path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE, kind: type = nib.Nifti1Image
) -> Path:
    nib.save(kind(array, affine), path)
    return path


def test_scripts_find_the_readers_where_they_were() -> None:
    from stampseg.data import readers as former

    assert (former.read_image, former.write_label) == (read_image, write_label)


class TestNifti:
    def test_image_header_and_voxels(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii.gz", voxels())
        header = read_header([path])
        assert (header.shape, header.channels, header.dtype, header.is_picture) == (SHAPE, 1, "int16", False)
        assert header.affine is not None
        np.testing.assert_allclose(header.affine, OBLIQUE, atol=1e-6)
        np.testing.assert_allclose(header.spacing, np.linalg.norm(OBLIQUE[:3, :3], axis=0), atol=1e-6)
        image = read_image([path]).array
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, voxels()[None])

    def test_fourth_axis_is_channels(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels((*SHAPE, 3)))
        volume = read_image([path])
        assert volume.header.channels == 3
        np.testing.assert_array_equal(volume.array[2], voxels((*SHAPE, 3))[..., 2])

    def test_axes_of_length_one_beyond_the_third_are_dropped(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels((*SHAPE, 1)))
        assert read_image([path]).array.shape == (1, *SHAPE)
        np.testing.assert_array_equal(read_label(path).array, voxels())
        vectors = save_nifti(tmp_path / "b.nii", voxels((*SHAPE, 1, 3)))
        assert read_image([vectors]).array.shape == (3, *SHAPE)

    def test_slope_and_intercept(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(voxels(), OBLIQUE)
        image.header.set_slope_inter(0.5, -3)
        nib.save(image, tmp_path / "a.nii")  # nibabel divides: the stored file reads as the values given
        raw = bytearray((tmp_path / "a.nii").read_bytes())
        raw[112:120] = struct.pack("<ff", 2.0, -1.0)
        raw[352:] = voxels().tobytes(order="F")
        (tmp_path / "a.nii").write_bytes(raw)
        np.testing.assert_array_equal(read_image([tmp_path / "a.nii"]).array[0], voxels() * 2.0 - 1)

    def test_big_endian_and_nifti2(self, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">i2")
        nib.save(nib.Nifti1Image(voxels(), OBLIQUE, header), tmp_path / "a.nii")
        save_nifti(tmp_path / "b.nii", voxels(), kind=nib.Nifti2Image)
        for name in ("a.nii", "b.nii"):
            np.testing.assert_array_equal(read_image([tmp_path / name]).array[0], voxels())
            label = read_label(tmp_path / name).array
            assert label.dtype.isnative
            np.testing.assert_array_equal(label, voxels())

    def test_colour_voxels_are_three_channels(self, tmp_path: Path) -> None:
        colours = voxels((*SHAPE, 3), "u1")
        coded = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        path = save_nifti(tmp_path / "a.nii", coded)
        np.testing.assert_array_equal(read_image([path]).array, np.moveaxis(colours, 3, 0))

    def test_complex_voxels_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"a.nii: values of type complex64; expected real numbers"):
            read_image([save_nifti(tmp_path / "a.nii", voxels(dtype="c8"))])

    def test_flat_file_is_a_volume_of_one_slice(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels((5, 6)))
        assert read_image([path]).array.shape == (1, 5, 6, 1)
        written = write_label(tmp_path / "out" / "a.nii", np.ones((5, 6, 1), np.uint8), path)
        assert nib.load(written).shape == (5, 6)

    @pytest.mark.parametrize(
        "name", ["a.nii", "a.nii.gz", "a.hdr", "a.img", "A.NII.GZ", "two.nii.gz", "a.mgz", "analyze.hdr"]
    )
    @pytest.mark.parametrize("highest", [2, 300])
    def test_written_labels_keep_grid_class_and_codes(self, tmp_path: Path, name: str, highest: int) -> None:
        kinds = {"two.nii.gz": nib.Nifti2Image, "a.mgz": nib.MGHImage, "analyze.hdr": nib.Spm2AnalyzeImage}
        pair = name in ("a.hdr", "a.img")
        kind = kinds.get(name, nib.Nifti1Pair if pair else nib.Nifti1Image)
        source = kind(voxels((*SHAPE, 2), "f4" if name == "a.mgz" else "i2"), OBLIQUE)
        if isinstance(source, nib.Nifti1Pair):
            source.set_qform(np.diag([2.0, 3, 4, 1]), code=1)
            source.set_sform(OBLIQUE, code=4)
        path = tmp_path / name
        nib.save(source, path)
        labels = labels_of(SHAPE, highest)
        written = write_label(tmp_path / "out" / name, labels, [path])
        assert written == tmp_path / "out" / name
        before, after = nib.load(path), nib.load(written)
        exact = 1e-7 if name == "analyze.hdr" else 0  # as NIfTI it holds float32
        np.testing.assert_allclose(after.affine, before.affine, atol=exact, rtol=0)
        np.testing.assert_array_equal(np.asanyarray(after.dataobj), labels)
        if isinstance(source, nib.Nifti1Pair):
            assert type(after) is type(before)
            assert after.get_data_dtype() == (np.uint8 if highest < 256 else np.uint16)
            assert (after.dataobj.slope, after.dataobj.inter) == (1, 0)
            for form in ("qform", "sform"):
                for one, other in zip(
                    *(getattr(i, f"get_{form}")(coded=True) for i in (before, after)), strict=True
                ):
                    np.testing.assert_array_equal(one, other)
        check_pair(read_header([path]), read_header([written]))
        assert [p.name for p in written.parent.iterdir() if p.name.startswith(".")] == []

    def test_written_labels_carry_no_patient_data(self, tmp_path: Path) -> None:
        source = nib.Nifti1Image(voxels(), OBLIQUE)
        source.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"name of a patient"))
        nib.save(source, tmp_path / "a.nii")
        written = write_label(tmp_path / "b.nii", labels_of(SHAPE), tmp_path / "a.nii")
        assert b"patient" in (tmp_path / "a.nii").read_bytes()
        assert b"patient" not in written.read_bytes()


class TestItk:
    @pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
    def test_same_voxels_and_place_as_nifti(self, tmp_path: Path, name: str) -> None:
        nifti = save_nifti(tmp_path / "a.nii", voxels(), MIRRORED)
        path = save_itk(tmp_path / name, voxels(), MIRRORED)
        header = read_header([path])
        check_pair(read_header([nifti]), header)
        np.testing.assert_allclose(header.affine, MIRRORED, atol=1e-9)
        np.testing.assert_array_equal(read_image([path]).array[0], voxels())
        np.testing.assert_array_equal(read_label(path).array, voxels())

    @pytest.mark.parametrize(("name", "out"), [("a.mha", "a.mha"), ("a.mhd", "a.mha"), ("a.nrrd", "a.nrrd")])
    def test_written_labels_keep_the_grid(self, tmp_path: Path, name: str, out: str) -> None:
        path = save_itk(tmp_path / name, voxels((*SHAPE, 2)), MIRRORED)
        assert read_image([path]).array.shape == (2, *SHAPE)
        labels = labels_of(SHAPE, 300)
        written = write_label(tmp_path / "out" / name, labels, path)
        assert written.name == out == output_name([path])
        np.testing.assert_array_equal(read_label(written).array, labels)
        before, after = sitk.ReadImage(str(path)), sitk.ReadImage(str(written))
        for get in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
            np.testing.assert_allclose(getattr(before, get)(), getattr(after, get)(), atol=1e-12)

    def test_flat_and_four_dimensional_files(self, tmp_path: Path) -> None:
        flat = tmp_path / "flat.mha"
        sitk.WriteImage(sitk.GetImageFromArray(voxels((6, 5))), str(flat))
        np.testing.assert_array_equal(read_image([flat]).array[0, :, :, 0], voxels((6, 5)).T)
        written = write_label(tmp_path / "out.mha", labels_of((5, 6, 1)), flat)
        np.testing.assert_array_equal(read_label(written).array, labels_of((5, 6, 1)))
        series = tmp_path / "series.mha"
        array = voxels((3, 4, 6, 5))  # T, Z, Y, X
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(series))
        image = read_image([series])
        assert image.header.channels == 3
        np.testing.assert_array_equal(image.array[1], array[1].transpose(2, 1, 0))
        with pytest.raises(
            DataError, match=r"series.mha: label with 3 channels; expected one class per voxel"
        ):
            read_label(series)

    def test_dicom_series(self, shared_data: Path, tmp_path: Path) -> None:
        for folder in ("odd_hippocampus/dicom_crop_series", "liver_ct/dicom_34_41"):
            path = shared_data / folder
            header, image = read_header([path]), read_image([path])
            files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
            oracle = save_itk_image(tmp_path / "oracle.nii.gz", sitk.ReadImage(files))
            check_pair(read_header([oracle]), header)
            np.testing.assert_array_equal(image.array, read_image([oracle]).array)
            labels = labels_of(header.shape)
            written = write_label(tmp_path / output_name([path]), labels, [path])
            assert written.name == f"{path.name}.nii.gz"
            check_pair(header, read_header([written]))
            np.testing.assert_array_equal(read_label(written).array, labels)

    def test_dicom_traps(self, shared_data: Path, tmp_path: Path) -> None:
        source = shared_data / "odd_hippocampus" / "dicom_crop_series"
        with pytest.raises(DataError, match="is a DICOM image; expected a label: a DICOM-SEG, or"):
            read_label(source)
        gap = tmp_path / "gap"
        shutil.copytree(source, gap)
        gap.chmod(0o755)
        for name in ("20.dcm", "21.dcm"):
            (gap / name).unlink()
        with pytest.raises(DataError, match="gap: slices are missing between"):
            read_image([gap])
        two = tmp_path / "two"
        two.mkdir()
        shutil.copy(source / "1.dcm", two / "a")  # no suffix
        shutil.copy(next((shared_data / "liver_ct" / "dicom_34_41").iterdir()), two / "b")
        with pytest.raises(DataError, match=r"two: 2 DICOM scans found \(series0: a; series4: b\); expected"):
            read_image([two])
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(DataError, match="empty: no DICOM series found"):
            read_header([empty])


def save_itk_image(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


class TestPictures:
    @pytest.mark.parametrize(
        ("mode", "channels"),
        [("L", 1), ("RGB", 3), ("LA", 1), ("RGBA", 3), ("1", 1), ("I;16", 1), ("P", 3)],
    )
    def test_modes_as_images(self, tmp_path: Path, mode: str, channels: int) -> None:
        grey = Image.fromarray(voxels((8, 9), "u2" if mode == "I;16" else "u1"))
        picture = grey if mode == "I;16" else Image.merge("RGB", [grey, grey.rotate(180), grey]).convert(mode)
        picture.save(tmp_path / "a.png")
        image = read_image([tmp_path / "a.png"])
        header = read_header([tmp_path / "a.png"])
        assert image.array.shape == (channels, 8, 9)
        assert (header.shape, header.channels, header.spacing, header.affine) == (
            (8, 9),
            channels,
            (1, 1),
            None,
        )
        assert header.is_picture
        if mode == "I;16":
            np.testing.assert_array_equal(image.array[0], voxels((8, 9)))

    def test_palette_is_colour_in_an_image_and_index_in_a_label(self, tmp_path: Path) -> None:
        indices = np.array([[0, 1, 2, 1]], np.uint8)
        picture = Image.fromarray(indices).convert("P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        picture.save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_label(tmp_path / "a.png").array, indices)
        np.testing.assert_array_equal(read_image([tmp_path / "a.png"]).array[0], [[0, 255, 0, 255]])
        picture.putpalette([0, 0, 0, 100, 100, 100, 200, 200, 200])
        picture.save(tmp_path / "b.png")
        np.testing.assert_array_equal(read_image([tmp_path / "b.png"]).array, [[[0, 100, 200, 100]]])

    def test_one_bit_and_transparent_labels(self, tmp_path: Path) -> None:
        mask = np.array([[True, False, True]])
        Image.fromarray(mask).save(tmp_path / "bit.png")
        np.testing.assert_array_equal(read_label(tmp_path / "bit.png").array, mask.astype(int))
        Image.fromarray(np.uint8([[0, 5]])).convert("LA").save(tmp_path / "alpha.png")
        np.testing.assert_array_equal(read_label(tmp_path / "alpha.png").array, [[0, 5]])

    def test_colour_labels_are_coded_and_written_back(self, tmp_path: Path) -> None:
        mask = np.uint8([[[0, 0, 0], [255, 0, 0], [0, 0, 255], [7, 7, 7]]])
        Image.fromarray(mask).save(tmp_path / "a.png")
        codes = read_label(tmp_path / "a.png").array
        red, blue = COLOUR | 255 << 16, COLOUR | 255
        np.testing.assert_array_equal(codes, [[0, red, blue, 7]])
        for name in ("b.png", "b.tif"):
            source = tmp_path / f"source_{name}"
            (Image.fromarray(mask) if name == "b.png" else Image.fromarray(mask[..., 0])).save(source)
            written = write_label(tmp_path / name, codes, source)
            np.testing.assert_array_equal(read_label(written).array, codes)
            np.testing.assert_array_equal(np.asarray(Image.open(written)), mask)

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.bmp", "a.gif", "a.pgm", "a.tif"])
    @pytest.mark.parametrize("highest", [1, 300])
    def test_written_labels(self, tmp_path: Path, name: str, highest: int) -> None:
        Image.fromarray(voxels((8, 9), "u1")).save(tmp_path / name)
        labels = labels_of((8, 9), highest)
        written = write_label(tmp_path / "out" / name, labels, tmp_path / name)
        assert written.name == output_name([tmp_path / name]) == ("a.tif" if name == "a.tif" else "a.png")
        np.testing.assert_array_equal(read_label(written).array, labels)
        check_pair(read_header([tmp_path / name]), read_header([written]))

    @pytest.mark.parametrize("name", ["a.gif", "a.pgm", "a.ppm"])
    def test_masks_of_old_formats(self, tmp_path: Path, name: str) -> None:
        mask = np.zeros((8, 9), np.uint8)
        mask[2:5, 3:7] = 255
        picture = Image.fromarray(mask)
        (picture.convert("RGB") if name == "a.ppm" else picture).save(tmp_path / name)
        np.testing.assert_array_equal(read_label(tmp_path / name).array, mask)
        np.testing.assert_array_equal(read_image([tmp_path / name]).array[0], mask)

    def test_masks_that_pillow_stretches_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.pgm").write_bytes(b"P5 2 2 3\n\x00\x01\x02\x03")
        with pytest.raises(
            DataError, match=r"a.pgm: a mask .* 3 is its brightest value; expected 255 or 655"
        ):
            read_label(tmp_path / "a.pgm")

    def test_a_film_is_refused(self, tmp_path: Path) -> None:
        frames = [Image.fromarray(voxels((8, 9), "u1") + np.uint8(i)) for i in range(3)]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        for read in (lambda: read_image([tmp_path / "a.gif"]), lambda: read_label(tmp_path / "a.gif")):
            with pytest.raises(DataError, match=r"a.gif: holds 3 frames; expected one"):
                read()

    def test_jpeg_masks_are_refused(self, tmp_path: Path) -> None:
        Image.fromarray(voxels((8, 9), "u1")).save(tmp_path / "a.jpg")
        with pytest.raises(DataError, match=r"a.jpg: a mask stored as JPEG .* save masks as PNG"):
            read_label(tmp_path / "a.jpg")

    def test_a_small_grey_class_of_a_jpeg_mask_is_not_made_black_or_white(self, tmp_path: Path) -> None:
        rows, columns = np.mgrid[:300, :300]
        mask = ((rows - 200) ** 2 + (columns - 200) ** 2 < 60**2).astype(np.uint8) * 255
        mask[(rows - 50) ** 2 + (columns - 50) ** 2 <= 9] = 127
        Image.fromarray(mask).save(tmp_path / "a.jpg")
        with pytest.raises(DataError, match=r"a.jpg: a mask stored as JPEG .* black and white alone"):
            read_label(tmp_path / "a.jpg")

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    @pytest.mark.parametrize("quality", [60, 75, 95])
    def test_jpeg_masks_in_black_and_white_lose_their_blur(
        self, tmp_path: Path, mode: str, quality: int
    ) -> None:
        rows, columns = np.mgrid[:90, :100]
        for name, drawn in (("disc", (rows - 40) ** 2 + (columns - 50) ** 2 < 900), ("none", rows < 0)):
            mask = drawn.astype(np.uint8) * 255
            Image.fromarray(mask).convert(mode).save(tmp_path / f"{name}.jpg", quality=quality)
            np.testing.assert_array_equal(read_label(tmp_path / f"{name}.jpg").array, mask)

    @pytest.mark.parametrize(
        "values", [(0, 1), (0, 2), (0, 120, 240), (0, 127, 255), (0, 50, 255), (0, 200, 255)]
    )
    def test_jpeg_masks_of_classes_are_refused(self, tmp_path: Path, values: tuple[int, ...]) -> None:
        classes = np.repeat(np.array(values, np.uint8), 30)[:, None].repeat(40, 1)
        Image.fromarray(classes).save(tmp_path / "a.jpg", quality=95)
        with pytest.raises(DataError, match=r"a.jpg: a mask stored as JPEG .* black and white alone;"):
            read_label(tmp_path / "a.jpg")

    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate"])
    def test_tiff_compressions(self, tmp_path: Path, compression: str | None) -> None:
        colours = voxels((8, 9, 3), "u1")
        Image.fromarray(colours).save(tmp_path / "a.tif", compression=compression)
        np.testing.assert_array_equal(read_image([tmp_path / "a.tif"]).array, np.moveaxis(colours, 2, 0))
        Image.fromarray(colours[..., 0]).save(tmp_path / "b.tif", compression=compression)
        np.testing.assert_array_equal(read_label(tmp_path / "b.tif").array, colours[..., 0])

    def test_tiff_of_pages_is_a_volume(self, tmp_path: Path) -> None:
        pages = voxels((4, 8, 9), "u2")
        tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
        image = read_image([tmp_path / "a.tif"])
        assert not image.header.is_picture
        assert image.header.shape == (9, 8, 4)
        np.testing.assert_array_equal(image.array[0], pages.transpose(2, 1, 0))
        labels = labels_of((9, 8, 4), 300)
        written = write_label(tmp_path / "b.tif", labels, tmp_path / "a.tif")
        np.testing.assert_array_equal(tifffile.imread(written), labels.transpose(2, 1, 0))
        np.testing.assert_array_equal(read_label(written).array, labels)
        pages = [Image.fromarray(page) for page in voxels((4, 8, 9), "u1")]
        pages[0].save(tmp_path / "c.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
        np.testing.assert_array_equal(read_image([tmp_path / "c.tif"]).array[0], voxels((4, 8, 9), "u1").T)

    def test_tiff_channels_alpha_and_white_is_zero(self, tmp_path: Path) -> None:
        rgba = voxels((8, 9, 4), "u1")
        tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
        np.testing.assert_array_equal(
            read_image([tmp_path / "a.tif"]).array, np.moveaxis(rgba[..., :3], 2, 0)
        )
        stack = voxels((5, 2, 8, 9), "u1")
        tifffile.imwrite(tmp_path / "b.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
        np.testing.assert_array_equal(read_image([tmp_path / "b.tif"]).array, stack.transpose(1, 3, 2, 0))
        mask = voxels((8, 9), "u1") % 2
        tifffile.imwrite(tmp_path / "c.tif", 255 - mask, photometric="miniswhite")
        np.testing.assert_array_equal(read_label(tmp_path / "c.tif").array, mask)
        tifffile.imwrite(tmp_path / "d.tif", voxels((3, 5, 8, 9)), metadata={"axes": "TZYX"})
        with pytest.raises(DataError, match=r"d.tif: TIFF with axes TZYX .* expected rows and columns"):
            read_header([tmp_path / "d.tif"])
        with pytest.raises(DataError, match=r"b.tif: label of 2 channels of uint8; expected grey values or"):
            read_label(tmp_path / "b.tif")


class TestChannels:
    def test_files_are_stacked_in_order(self, tmp_path: Path) -> None:
        first = save_nifti(tmp_path / "a_0000.nii", voxels())
        second = save_nifti(tmp_path / "a_0001.nii", voxels() * 2)
        image = read_image([first, second])
        assert image.header.channels == 2
        np.testing.assert_array_equal(image.array[1], 2 * image.array[0])

    def test_other_grid_is_refused(self, tmp_path: Path) -> None:
        first = save_nifti(tmp_path / "a_0000.nii", voxels())
        second = save_nifti(tmp_path / "a_0001.nii", voxels((5, 6, 3)))
        with pytest.raises(
            DataError, match=r"a_0001.nii: channel of shape \(5, 6, 3\) is not on the grid of .*a_0000"
        ):
            read_image([first, second])

    def test_grey_and_colour_on_request(self, tmp_path: Path) -> None:
        grey, equal, colour = (
            voxels((8, 9), "u1"),
            np.repeat(voxels((8, 9, 1), "u1"), 3, 2),
            voxels((8, 9, 3), "u1"),
        )
        for name, array in (("grey", grey), ("equal", equal), ("colour", colour)):
            Image.fromarray(array).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_image([tmp_path / "grey.png"], 3).array, np.moveaxis(equal, 2, 0))
        reduced = read_image([tmp_path / "equal.png"], 1)
        assert reduced.header.channels == 1
        np.testing.assert_array_equal(reduced.array[0], grey)
        with pytest.raises(
            DataError, match=r"colour.png: 3 channel\(s\), but 1 expected as in the other cases"
        ):
            read_image([tmp_path / "colour.png"], 1)


class TestValues:
    def test_what_is_not_finite_becomes_zero(self, tmp_path: Path) -> None:
        array = voxels(dtype="f8")
        array[0, 0, :3] = np.nan, np.inf, 1e300
        image = read_image([save_nifti(tmp_path / "a.nii", array)]).array[0]
        assert (image[0, 0, :3] == 0).all()
        np.testing.assert_array_equal(image[1:], array[1:])

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
    def test_nothing_finite_is_no_image(self, value: float, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", np.full(SHAPE, value))
        with pytest.raises(DataError, match=r"a.nii: every value is NaN or infinite, or too large for 32 bi"):
            read_image([path])

    def test_labels_are_whole_numbers(self, tmp_path: Path) -> None:
        nearly = labels_of(SHAPE) + 0.0005
        np.testing.assert_array_equal(
            read_label(save_nifti(tmp_path / "a.nii", nearly)).array, labels_of(SHAPE)
        )
        for broken in (0.4, np.nan):
            nearly[1, 2, 3] = broken
            message = f"b.nii: label values such as {broken} are not whole numbers"
            with pytest.raises(DataError, match=message):
                read_label(save_nifti(tmp_path / "b.nii", nearly))

    def test_labels_of_several_channels(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels((*SHAPE, 2)))
        with pytest.raises(DataError, match=r"a.nii: label of shape \(5, 6, 4, 2\); expected three axes"):
            read_label(path)


class TestPairs:
    def test_jitter_passes_and_a_shift_does_not(self, tmp_path: Path) -> None:
        image = read_header([save_nifti(tmp_path / "i.nii", voxels())])
        jittered = save_nifti(tmp_path / "j.nii", voxels(), OBLIQUE + 1e-5 * np.eye(4))
        check_pair(image, read_header([jittered]))
        shifted = OBLIQUE.copy()
        shifted[0, 3] += 1.5
        with pytest.raises(DataError, match=r"s.nii: the label's affine puts it 0.99\d voxels away .*i.nii"):
            check_pair(image, read_header([save_nifti(tmp_path / "s.nii", voxels(), shifted)]))

    def test_a_mirrored_label_is_refused(self, tmp_path: Path) -> None:
        image = read_header([save_nifti(tmp_path / "i.nii", voxels(), np.eye(4))])
        label = read_header([save_nifti(tmp_path / "l.nii", voxels(), np.diag([-1, 1, 1, 1]))])
        with pytest.raises(DataError, match=r"l.nii: the label's affine puts it 8 voxels away"):
            check_pair(image, label)

    def test_shapes_are_both_named(self, shared_data: Path) -> None:
        image = read_header([shared_data / "odd_hippocampus" / "image_without_label_118.nii.gz"])
        label = read_header([shared_data / "odd_hippocampus" / "foreign_label_512x512x94_281.nii.gz"])
        with pytest.raises(
            DataError, match=r"281.nii.gz: label of shape 512 x 512 x 94, but .* has 37 x 52 x 33"
        ):
            check_pair(image, label)


class TestBrokenFiles:
    def test_missing_and_unknown(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none.nii: file not found; check the path"):
            read_header([tmp_path / "none.nii"])
        (tmp_path / "a.docx").write_text("no image")
        with pytest.raises(DataError, match=r"a.docx: file type not known; expected NIfTI"):
            read_header([tmp_path / "a.docx"])

    @pytest.mark.parametrize("suffix", [suffix for each in FORMATS for suffix in each.suffixes])
    @pytest.mark.parametrize("content", [b"", b"not an image", bytes(range(256)) * 8])
    def test_junk_is_a_data_error(self, tmp_path: Path, suffix: str, content: bytes) -> None:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        for read in (lambda: read_image([path]), lambda: read_label(path)):
            with pytest.raises(DataError, match=rf"a{suffix}: "):
                read()

    @pytest.mark.parametrize(
        "name",
        [
            *("a.nii", "a.nii.gz", "a.mgz", "a.mha", "a.nrrd"),
            *("a.png", "a.jpg", "a.bmp", "a.gif", "a.pgm", "a.tif"),
        ],
    )
    def test_cut_short(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        noise = np.random.default_rng(0).integers(0, 255, (20, 20, 20)).astype(np.uint8)
        if name.endswith((".nii", ".gz", ".mgz")):
            save_nifti(path, noise, kind=nib.MGHImage if name == "a.mgz" else nib.Nifti1Image)
        elif name.endswith((".mha", ".nrrd")):
            save_itk(path, noise, MIRRORED)
        else:
            Image.fromarray(noise.reshape(80, 100)).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(DataError, match=rf"{name}: "):
            read_image([path])

    @pytest.mark.parametrize("packed", [False, True])
    def test_header_that_promises_more_than_the_file_holds(self, tmp_path: Path, packed: bool) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels())
        raw = bytearray(path.read_bytes())
        raw[42:48] = struct.pack("<hhh", 1000, 1000, 1000)
        path.write_bytes(raw)
        if packed:
            path = tmp_path / "a.nii.gz"
            path.write_bytes(gzip.compress(raw))
        with pytest.raises(
            DataError, match=r"the header promises 2,000,000,000 bytes of voxels, the file has \d+"
        ):
            read_header([path])

    def test_absurd_size_is_refused_before_decoding(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels())
        raw = bytearray(path.read_bytes())
        raw[42:48] = struct.pack("<hhh", 30000, 30000, 30000)
        path.write_bytes(raw)
        with pytest.raises(
            DataError, match=r"a.nii: shape \(30000, 30000, 30000\) .* more than 1,073,741,824 values"
        ):
            read_header([path])
        monkeypatch.setenv("STAMPSEG_MAX_VALUES", "50")
        Image.fromarray(voxels((8, 9), "u1")).save(tmp_path / "a.png")
        with pytest.raises(DataError, match=r"a.png: shape \(8, 9\) .* more than 50 values; .*MAX_VALUES=72"):
            read_image([tmp_path / "a.png"])
        monkeypatch.setenv("STAMPSEG_MAX_VALUES", "many")
        with pytest.raises(ConfigError, match=r"STAMPSEG_MAX_VALUES=many: expected a number above 0"):
            read_image([tmp_path / "a.png"])

    def test_too_many_pixels_for_pillow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.fromarray(voxels((8, 9), "u1")).save(tmp_path / "a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(
            DataError, match=r"a.png: too many pixels \(.*\); cut the picture, or save it as TIFF"
        ):
            read_header([tmp_path / "a.png"])

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    @pytest.mark.parametrize(
        ("kind", "magic"), [(nib.Nifti1Image, b"n+1"), (nib.Nifti2Image, b"n+2"), (nib.Nifti1Image, b"ni1")]
    )
    @pytest.mark.parametrize(
        ("offset", "message"), [(0, "begin at byte 0, which is within"), (336, "begin at byte 336, which")]
    )
    def test_voxels_that_begin_within_the_header(
        self, tmp_path: Path, name: str, kind: type, magic: bytes, offset: int, message: str
    ) -> None:
        """The header would be taken for voxels, the first of them 348."""
        save_nifti(tmp_path / "whole.nii", voxels(), kind=kind)
        content = bytearray((tmp_path / "whole.nii").read_bytes())
        if kind is nib.Nifti1Image:
            content[108:112], content[344:347] = struct.pack("<f", offset), magic
        else:
            content[168:176] = struct.pack("<q", offset)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        for read in (read_header, read_image, read_label):
            with pytest.raises(DataError, match=rf"{re.escape(name)}: .*({message})"):
                read([path] if read is not read_label else path)

    @pytest.mark.parametrize("name", ["a.hdr", "a.img"])
    def test_voxels_of_a_pair_begin_at_byte_0(self, tmp_path: Path, name: str) -> None:
        save_nifti(tmp_path / "a.hdr", voxels(), kind=nib.Nifti1Pair)
        assert nib.load(tmp_path / "a.hdr").dataobj.offset == 0
        assert np.array_equal(read_image([tmp_path / name]).array[0], voxels())

    def test_affine_that_places_nothing(self, tmp_path: Path) -> None:
        flat = np.diag([1.0, 1, 0, 1])
        image = nib.Nifti1Image(voxels(), None)
        image.set_sform(flat, code=1)
        nib.save(image, tmp_path / "a.nii")
        with pytest.raises(DataError, match=r"a.nii: the header's affine .* does not place voxels in space"):
            read_header([tmp_path / "a.nii"])

    def test_real_odd_files_read_or_are_refused(self, shared_data: Path, tmp_path: Path) -> None:
        folders = ("odd_headers/*/*", "spinal_cord_mri/*/*", "odd_hippocampus/image*", "liver_ct/*")
        paths = sorted(path for folder in folders for path in shared_data.glob(folder))
        refused = []
        for path in paths:
            try:
                image = read_image([path])
            except DataError as error:
                assert str(path) in str(error)
                refused.append(path.name)
                continue
            assert image.array.shape == (image.header.channels, *image.header.shape)
            assert np.isfinite(image.array).all()
            labels = (image.array[0] > np.median(image.array[0])).astype(np.uint8)
            written = write_label(tmp_path / output_name([path]), labels, path)
            check_pair(image.header, read_header([written]))
            np.testing.assert_array_equal(read_label(written).array, labels)
        assert len(paths) > 40
        assert set(refused) == {
            *("minc2_baddim.mnc", "small.mnc", "tiny.mnc", "phantom_truncated.PAR"),
            *("analyze.hdr", "nifti1.hdr"),
            *("0.dcm", "1.dcm"),  # Siemens mosaics: slices side by side
        }


class TestWriting:
    def test_shape_must_be_the_source_grid(self, tmp_path: Path) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels())
        with pytest.raises(
            DataError, match=r"b.nii: labels of shape \(5, 6\); expected \(5, 6, 4\), that of .*a.nii"
        ):
            write_label(tmp_path / "b.nii", np.zeros((5, 6), np.uint8), path)

    @pytest.mark.parametrize("labels", [np.full(SHAPE, -1), np.full(SHAPE, 2**32), np.zeros(SHAPE)])
    def test_values_must_fit(self, tmp_path: Path, labels: np.ndarray) -> None:
        path = save_nifti(tmp_path / "a.nii", voxels())
        with pytest.raises(DataError, match=r"b.nii: labels of .* expected 0 to 4294967295"):
            write_label(tmp_path / "b.nii", labels, path)

    @pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.png", "a.tif"])
    def test_folder_that_cannot_be_written(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        if name == "a.nii.gz":
            save_nifti(path, voxels())
        elif name == "a.mha":
            save_itk(path, voxels(), MIRRORED)
        else:
            Image.fromarray(voxels((8, 9), "u1")).save(path)
        (tmp_path / "file").write_text("in the way")
        labels = np.zeros(read_header([path]).shape, np.uint8)
        with pytest.raises(
            DataError, match=rf"{name}: cannot be written \(.*\); check the folder and the disk"
        ):
            write_label(tmp_path / "file" / name, labels, path)

    def test_a_failed_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.png"
        Image.fromarray(voxels((8, 9), "u1")).save(path)
        out = write_label(tmp_path / "out" / "a.png", np.ones((8, 9), np.uint8), path)

        def run_full(_: Image.Image, place: Path) -> None:
            place.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", run_full)
        with pytest.raises(DataError, match="No space left on device"):
            write_label(out, np.zeros((8, 9), np.uint8), path)
        assert [p.name for p in out.parent.iterdir()] == ["a.png"]
        assert (read_label(out).array == 1).all()

    def test_names_of_outputs(self, tmp_path: Path) -> None:
        names = {
            "scan.nii.gz": "scan.nii.gz",
            "1.2.840.nii": "1.2.840.nii",
            "photo.jpg": "photo.png",
            "x.bmp": "x.png",
            "a_0000.nii.gz": "a.nii.gz",
            "b_0001.png": "b_0001.png",
            "c.dcm": "c.nii.gz",
            "d.nhdr": "d.nrrd",
        }
        assert {name: output_name([tmp_path / name]) for name in names} == names
        assert output_name([tmp_path / "a_0000.png", tmp_path / "a_0001.png"]) == "a.png"

    def test_numbered_pictures_keep_their_number(self, tmp_path: Path) -> None:
        for number in (0, 1):
            (tmp_path / f"frame_000{number}.png").touch()
        assert output_name([tmp_path / "frame_0000.png"]) == "frame_0000.png"
