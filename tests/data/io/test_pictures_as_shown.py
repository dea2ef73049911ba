"""Pictures are read as people see them, and their masks lie on them in a viewer."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from stampseg.core.errors import DataError, MissingPackageError
from stampseg.data.io.colours import COLOUR
from stampseg.data.io.orientation import ORIENTATION, as_shown, as_stored
from stampseg.data.io.readers import read_header, read_image, read_label, write_label

SHOWN = np.arange(30, dtype=np.uint8).reshape(5, 6)  # no two turns of it are equal
EVERY_WAY = range(1, 9)
SOME_WAYS = (1, 3, 6)  # upright, a half turn, and one whose way back is another


def save_turned(path: Path, shown: np.ndarray, orientation: int) -> Path:
    """A picture that viewers show as `shown`, stored otherwise."""
    stored = np.ascontiguousarray(as_stored(shown, orientation))
    if path.suffix == ".tif":
        tifffile.imwrite(path, stored, extratags=[(ORIENTATION, "H", 1, orientation, True)])
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        Image.fromarray(stored).save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    return path


def seen(path: Path) -> np.ndarray:
    """What Pillow, as viewers do, makes of a file."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture))


@pytest.mark.parametrize("orientation", EVERY_WAY)
def test_turning_is_what_viewers_do(orientation: int, tmp_path: Path) -> None:
    path = save_turned(tmp_path / "a.png", SHOWN, orientation)
    np.testing.assert_array_equal(seen(path), SHOWN)
    np.testing.assert_array_equal(as_shown(as_stored(SHOWN, orientation), orientation), SHOWN)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", EVERY_WAY)
def test_images_are_read_as_shown(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = save_turned(tmp_path / f"a{suffix}", SHOWN * 8, orientation)
    image = read_image([path])
    assert read_header([path]).shape == image.array.shape[1:] == SHOWN.shape
    expected = seen(path) if suffix == ".jpg" else SHOWN * 8
    np.testing.assert_array_equal(image.array[0], expected)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("orientation", SOME_WAYS)
def test_masks_are_read_as_shown(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = save_turned(tmp_path / f"a{suffix}", SHOWN, orientation)
    np.testing.assert_array_equal(read_label(path).array, SHOWN)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", SOME_WAYS)
@pytest.mark.parametrize("coloured", [False, True])
def test_a_mask_is_stored_as_its_picture_is(
    orientation: int, suffix: str, coloured: bool, tmp_path: Path
) -> None:
    """So it overlays both in viewers that turn pictures, and in programs that do not."""
    image = save_turned(tmp_path / f"a{suffix}", SHOWN, orientation)
    labels = np.where(SHOWN % 2, COLOUR | 0xFF0000 if coloured else 2, 0)
    mask = write_label(tmp_path / "out" / "a", labels, image)
    np.testing.assert_array_equal(read_label(mask).array, labels)
    expected = np.where(SHOWN % 2, 255, 0) if coloured else labels
    found = seen(mask)[..., 0] if coloured else seen(mask)
    np.testing.assert_array_equal(found, expected)
    raw = np.asarray(Image.open(mask)) if suffix != ".tif" else tifffile.imread(mask)
    assert raw.shape[:2] == as_stored(SHOWN, orientation).shape


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    Image.fromarray(SHOWN).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png").array, SHOWN)


def test_a_compressed_tiff_that_pillow_reads_is_turned_once(tmp_path: Path) -> None:
    stored = Image.fromarray(np.ascontiguousarray(as_stored(SHOWN, 6)))
    stored.save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={ORIENTATION: 6})
    np.testing.assert_array_equal(read_image([tmp_path / "a.tif"]).array[0], SHOWN)


def test_of_a_jpeg_with_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    """As phones and stereo cameras write them: a preview, a map or a second view follows."""
    first = np.zeros((32, 48), np.uint8)
    first[8:24, 16:40] = 200
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture, second = Image.fromarray(first), Image.fromarray(255 - first[::2, ::2])
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second], exif=exif, quality=95)
    assert Image.open(tmp_path / "a.jpg").n_frames == 2
    assert read_header([tmp_path / "a.jpg"]).shape == (48, 32)
    np.testing.assert_allclose(read_image([tmp_path / "a.jpg"]).array[0], np.rot90(first, -1), atol=6)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def save_png(path: Path, rows: list[bytes], width: int, depth: int, colour: int) -> Path:
    """A PNG of any depth: Pillow writes 16 bits of grey alone, and no 2 or 4."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


DEEP = np.arange(30, dtype=np.uint16).reshape(5, 6) * 2000 + 1


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 1), (6, 3)])
def test_all_16_bits_are_kept(colour: int, channels: int, tmp_path: Path) -> None:
    kept = [DEEP + 7 * k for k in range(channels)]
    stored = kept if colour == 2 else [*kept, np.full(DEEP.shape, 65535, np.uint16)]
    rows = [row.astype(">u2").tobytes() for row in np.stack(stored, axis=-1)]
    path = save_png(tmp_path / "a.png", rows, DEEP.shape[1], 16, colour)
    np.testing.assert_array_equal(read_image([path]).array, kept)
    assert read_header([path]).channels == channels


def test_grey_of_16_bits_with_alpha_is_a_label(tmp_path: Path) -> None:
    mask = (DEEP > 30000).astype(np.uint16)
    rows = [row.astype(">u2").tobytes() for row in np.stack([mask, np.full_like(mask, 65535)], axis=-1)]
    path = save_png(tmp_path / "a.png", rows, mask.shape[1], 16, 4)
    np.testing.assert_array_equal(read_label(path).array, mask)


@pytest.mark.parametrize("depth", [2, 4])
def test_few_bits_are_numbers_in_a_label(depth: int, tmp_path: Path) -> None:
    values = np.arange(8).reshape(1, 8) % 2**depth
    packed = sum(values.reshape(-1, 8 // depth)[:, k] << (8 - depth * (k + 1)) for k in range(8 // depth))
    path = save_png(tmp_path / "a.png", [np.asarray(packed, np.uint8).tobytes()], 8, depth, 0)
    np.testing.assert_array_equal(read_label(path).array, values)


def test_what_is_transparent_in_a_mask_is_background(tmp_path: Path) -> None:
    """White all over, and seen only where the object is."""
    alpha = np.uint8([[0, 255, 128]])
    white = np.full((1, 3, 3), 255, np.uint8)
    Image.fromarray(np.dstack([white, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([white[..., 0], alpha])).save(tmp_path / "la.png")
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([white, alpha]), photometric="rgb", extrasamples=["unassalpha"]
    )
    for name in ("rgba.png", "la.png", "a.tif"):
        assert read_label(tmp_path / name).array.tolist() == [[0, 255, 255]], name


def test_alpha_that_hides_all_hides_nothing(tmp_path: Path) -> None:
    Image.fromarray(np.uint8([[[0, 0], [9, 0]]])).save(tmp_path / "la.png")
    assert read_label(tmp_path / "la.png").array.tolist() == [[0, 9]]


def test_a_mask_of_one_colour_that_is_all_transparent_is_empty(tmp_path: Path) -> None:
    """White all over, with nothing drawn: not an object that fills the picture."""
    Image.fromarray(np.full((2, 3, 4), (255, 255, 255, 0), np.uint8)).save(tmp_path / "rgba.png")
    assert not read_label(tmp_path / "rgba.png").array.any()


def test_black_on_transparent_is_refused(tmp_path: Path) -> None:
    """What is drawn in black cannot be told from the ground, nor be left out unsaid."""
    drawn = np.zeros((2, 3, 4), np.uint8)
    drawn[0, 1, 3] = 255
    Image.fromarray(drawn).save(tmp_path / "rgba.png")
    with pytest.raises(
        DataError, match=r"rgba\.png: is black wherever .* in its transparency alone; .* white on"
    ):
        read_label(tmp_path / "rgba.png")


class TestTiff:
    def test_a_palette_is_its_colours_in_an_image(self, tmp_path: Path) -> None:
        inverted = np.tile(np.arange(255, -1, -1, dtype=np.uint16) * 257, (3, 1))
        tifffile.imwrite(tmp_path / "grey.tif", SHOWN, photometric="palette", colormap=inverted)
        np.testing.assert_array_equal(read_image([tmp_path / "grey.tif"]).array, [255 - SHOWN.astype(int)])
        coloured = inverted.copy()
        coloured[1] = 0
        tifffile.imwrite(tmp_path / "colour.tif", SHOWN, photometric="palette", colormap=coloured)
        array = read_image([tmp_path / "colour.tif"]).array
        assert array.shape == (3, *SHOWN.shape) and not array[1].any()
        assert read_header([tmp_path / "colour.tif"]).channels == 3

    @pytest.mark.parametrize("first", [False, True])
    def test_thumbnails_are_left_aside(self, first: bool, tmp_path: Path) -> None:
        pages = [SHOWN[::2, ::2], SHOWN] if first else [SHOWN, SHOWN[::2, ::2]]
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for page in pages:
                file.write(page, photometric="minisblack")
        np.testing.assert_array_equal(read_image([tmp_path / "a.tif"]).array[0], SHOWN)

    def test_two_pictures_of_one_size_are_refused(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(SHOWN, photometric="minisblack")
            file.write(SHOWN.T, photometric="minisblack")
        with pytest.raises(
            DataError, match=r"a.tif: holds 2 pictures \(5 x 6, 6 x 5\), and none is the largest"
        ):
            read_image([tmp_path / "a.tif"])

    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_pages_that_were_written_one_by_one_are_a_stack(
        self, compression: str | None, tmp_path: Path
    ) -> None:
        pages = np.stack([SHOWN, 255 - SHOWN, SHOWN // 2])
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for page in pages:
                file.write(page, photometric="minisblack", compression=compression, contiguous=False)
        np.testing.assert_array_equal(read_image([tmp_path / "a.tif"]).array[0], pages.T)

    def test_two_stacks_are_not_one(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for stack in (np.stack([SHOWN] * 3), np.stack([255 - SHOWN] * 3)):
                file.write(stack, photometric="minisblack", contiguous=False)
        with pytest.raises(DataError, match=r"a.tif: holds 2 pictures \(3 x 5 x 6, 3 x 5 x 6\)"):
            read_image([tmp_path / "a.tif"])

    def test_a_mask_packed_as_jpeg_is_refused(self, tmp_path: Path) -> None:
        Image.fromarray(SHOWN).save(tmp_path / "a.tif", compression="jpeg")
        assert read_image([tmp_path / "a.tif"]).array.shape == (1, *SHOWN.shape)
        with pytest.raises(DataError, match=r"a.tif: is packed as JPEG: .*; save masks as PNG"):
            read_label(tmp_path / "a.tif")

    def test_a_missing_codec_is_called_by_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tifffile.imwrite(tmp_path / "a.tif", SHOWN)
        data = bytearray((tmp_path / "a.tif").read_bytes())
        at = data.index(struct.pack("<HHI", 259, 3, 1))  # the tag of the compression
        data[at + 8 : at + 10] = struct.pack("<H", 34712)
        (tmp_path / "a.tif").write_bytes(data)
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
        with pytest.raises(
            MissingPackageError, match=r"a.tif: a TIFF compressed by JPEG2000 needs imagecodecs"
        ):
            read_image([tmp_path / "a.tif"])

    @pytest.mark.parametrize("value", [70000, 614454277, 2**31])
    def test_large_numbers_are_written_as_they_are(self, value: int, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", SHOWN)
        labels = np.where(SHOWN > 9, value, 0).astype(np.uint32)
        np.testing.assert_array_equal(
            tifffile.imread(write_label(tmp_path / "m.tif", labels, tmp_path / "a.tif")), labels
        )

    def test_a_number_too_large_for_png_is_refused(self, tmp_path: Path) -> None:
        Image.fromarray(SHOWN).save(tmp_path / "a.png")
        labels = np.full(SHOWN.shape, 70000, np.uint32)
        with pytest.raises(
            DataError, match=r"its masks are PNG files, which hold labels to 65535, and not 70000; .* TIFF"
        ):
            write_label(tmp_path / "m.png", labels, tmp_path / "a.png")
