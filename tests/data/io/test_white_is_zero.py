"""A TIFF in which white is 0 gives the numbers that it shows, whoever decodes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from stampseg.data.io.readers import read_image, read_label

GREY = np.zeros((16, 24), np.uint8)
GREY[4:8, 5:12] = 200
BIT = GREY > 0
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize(
    ("shown", "compression"),
    [
        (GREY, None),
        (GREY, "tiff_adobe_deflate"),
        (GREY, "packbits"),
        (GREY, "tiff_lzw"),
        (BIT, None),
        (BIT, "tiff_adobe_deflate"),
        (BIT, "tiff_lzw"),
        (BIT, "group3"),
        (BIT, "group4"),
    ],
)
def test_what_is_shown_is_read(
    shown: np.ndarray, compression: str | None, photometric: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(shown).save(path, compression=compression, tiffinfo={262: photometric})
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].photometric == photometric
    np.testing.assert_array_equal(read_image([path]).array, shown[None].astype(np.float32))
    np.testing.assert_array_equal(read_label(path).array, shown.astype(np.uint8))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_sixteen_bits(compression: str | None, tmp_path: Path) -> None:
    """Pillow writes and reads them as they are stored."""
    shown, path = GREY.astype(np.uint16) * 300, tmp_path / "a.tif"
    Image.fromarray(65535 - shown).save(path, compression=compression, tiffinfo={262: WHITE_IS_ZERO})
    np.testing.assert_array_equal(read_image([path]).array, shown[None].astype(np.float32))
    np.testing.assert_array_equal(read_label(path).array, shown)
