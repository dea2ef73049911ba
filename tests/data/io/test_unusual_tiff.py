"""TIFF that decoders read otherwise than it was written: other colours, more bits, thumbnails."""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stampseg.core.errors import DataError, MissingPackageError
from stampseg.data.io.readers import read_header, read_image


def lzw(path: Path, array: np.ndarray, photometric: str) -> None:
    """As written without a packing, its bytes packed as Pillow packs them."""
    raw, packed = array.tobytes(), io.BytesIO()
    Image.frombytes("L", (len(raw), 1), raw).save(packed, "TIFF", compression="tiff_lzw")
    packed.seek(0)
    with tifffile.TiffFile(packed) as file:
        page = file.pages[0]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    encoded = packed.getvalue()[start : start + count]
    tifffile.imwrite(path, array, photometric=photometric, rowsperstrip=len(array), metadata=None)
    data, sizes = bytearray(path.read_bytes()), {3: "H", 4: "I"}
    with tifffile.TiffFile(path) as file:
        order, tags = file.byteorder, file.pages[0].tags
        for name, value in (("StripOffsets", len(data)), ("StripByteCounts", len(encoded))):
            struct.pack_into(order + sizes[tags[name].dtype], data, tags[name].valueoffset, value)
        struct.pack_into(order + "H", data, tags["Compression"].valueoffset, 5)
    path.write_bytes(bytes(data) + encoded)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs reads it as it is")
def test_colours_of_16_bits_are_not_cut_to_8(tmp_path: Path) -> None:
    """Pillow unpacks them, and drops the lower bits."""
    array = np.random.default_rng(0).integers(0, 4096, (16, 16, 3)).astype(np.uint16)
    lzw(tmp_path / "a.tif", array, "rgb")
    with pytest.raises(MissingPackageError, match="a TIFF compressed by LZW needs imagecodecs"):
        read_image([tmp_path / "a.tif"])


def test_signed_values_of_8_bits_stay_signed(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(-100, 100, (16, 16)).astype(np.int8)
    lzw(tmp_path / "a.tif", array, "minisblack")
    assert np.array_equal(read_image([tmp_path / "a.tif"]).array[0], array)


@pytest.mark.parametrize(("photometric", "samples"), [("separated", 4), ("cielab", 3), ("ycbcr", 3)])
def test_inks_and_other_colours_are_not_taken_for_red_green_and_blue(
    tmp_path: Path, photometric: str, samples: int
) -> None:
    array = np.full((8, 9, samples), 90, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=photometric, metadata=None)
    said = f"a TIFF of {photometric.upper()} colours; expected grey, a palette, or red, green and blue"
    with pytest.raises(DataError, match=said):
        read_image([tmp_path / "a.tif"])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_largest_picture_is_read_however_its_samples_lie(tmp_path: Path, planar: str) -> None:
    large = np.random.default_rng(0).integers(0, 255, (3, 30, 400)).astype(np.uint8)
    small = np.ascontiguousarray(large[:, :10, ::2].transpose(1, 2, 0))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        whole = large if planar == "separate" else np.moveaxis(large, 0, 2)
        file.write(whole, photometric="rgb", planarconfig=planar, metadata=None)
        file.write(small, photometric="rgb", subfiletype=1, metadata=None)
    assert read_header([tmp_path / "a.tif"]).shape == (30, 400)


def test_voxels_of_a_stack_are_told_to_be_of_no_known_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 9), np.uint8), photometric="minisblack")
    (note,) = read_header([tmp_path / "a.tif"]).notes
    assert note.endswith("what a TIFF says of the size of its voxels is not read; 1 mm is assumed")
