"""TIFF through tifffile.

A TIFF of one page is a picture. One of several pages is a volume of 1 mm voxels, its pages along the
third axis.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import DataError
from .colours import as_pixels, label_of
from .format import Format
from .limits import check_promise
from .pictures import open_picture, picture_header
from .volume import Header, as_image, volume_header

if TYPE_CHECKING:
    import tifffile


def read_header(path: Path) -> Header:
    """Header of a picture, or of a TIFF of several pages; no pixels are decoded."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        return _tiff_header(path, file)


def read_image(path: Path) -> np.ndarray:
    """Values (C, rows, columns) or (C, X, Y, Z) float32; transparency is dropped."""
    return as_image(_tiff_array(path), path)


def read_label(path: Path) -> np.ndarray:
    """Label (*S): the grey value, or a code per colour."""
    return label_of(_tiff_array(path), path)


def write_label(path: Path, labels: np.ndarray, _: Header) -> None:
    """Write unsigned labels as grey of 8 or 16 bits, or as the colours that `read_label` coded."""
    import tifffile

    pixels = as_pixels(labels)
    pages = np.swapaxes(pixels, 0, 2) if labels.ndim == 3 else pixels
    coloured = pixels.ndim > labels.ndim
    tifffile.imwrite(path, pages, photometric="rgb" if coloured else "minisblack", compression="zlib")


def _tiff_header(path: Path, file: tifffile.TiffFile) -> Header:
    letters, sizes = _tiff_axes(path, file)
    size = dict(zip(letters, sizes, strict=True))
    channels, dtype = size["C"] - _alphas(file), str(file.series[0].dtype)
    _check_data_present(path, file, math.prod(sizes))
    if "Z" in size:
        return volume_header(path, (size["X"], size["Y"], size["Z"]), np.eye(4), channels, dtype)
    return picture_header(path, (size["Y"], size["X"]), channels, dtype)


def _tiff_axes(path: Path, file: tifffile.TiffFile) -> tuple[str, tuple[int, ...]]:
    """Stored axes as C (samples, channels), Z (any one other), Y and X, and their sizes."""
    series = file.series[0]
    stored = zip(series.axes, series.shape, strict=True)
    kept = [("C" if axis in "SC" else axis if axis in "YX" else "Z", size) for axis, size in stored]
    kept = [(letter, size) for letter, size in kept if size > 1 or letter in "YX"]
    letters, sizes = "".join(letter for letter, _ in kept), tuple(size for _, size in kept)
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        raise DataError(
            f"{path}: TIFF with axes {series.axes} of sizes {series.shape}; expected rows and columns, and "
            "at most one axis of pages and one of channels; split the file"
        )
    return (letters, sizes) if "C" in letters else ("C" + letters, (1, *sizes))


def _check_data_present(path: Path, file: tifffile.TiffFile, values: int) -> None:
    import tifffile

    page = file.pages.first
    kinds = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE)
    if page.compression in kinds:  # how far the others can shrink has no limit that is known
        bits = values * (page.bitspersample if isinstance(page.bitspersample, int) else 1)
        packed = page.compression != tifffile.COMPRESSION.NONE
        check_promise(path, bits // 8, path.stat().st_size, packed=packed)


def _alphas(file: tifffile.TiffFile) -> int:
    """Samples of a pixel that are transparency, always the last ones."""
    import tifffile

    alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    return sum(sample in alpha for sample in file.pages.first.extrasamples)


def _tiff_array(path: Path) -> np.ndarray:
    """(C, rows, columns) or (C, X, Y, Z) of the stored values; an alpha channel is dropped."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        channels = _tiff_header(path, file).channels
        letters, sizes = _tiff_axes(path, file)
        array = _tiff_values(path, file).reshape(sizes)
    order = "CXYZ" if "Z" in letters else "CYX"
    return array.transpose([letters.index(axis) for axis in order])[:channels]


def _tiff_values(path: Path, file: tifffile.TiffFile) -> np.ndarray:
    import tifffile

    page = file.pages.first
    try:
        array = file.series[0].asarray()
    except ValueError:
        # LZW and JPEG inside TIFF need a further package there; Pillow has them, with samples always last.
        if file.series[0].axes.find("S") not in (-1, len(file.series[0].axes) - 1):
            raise
        return _pillow_pages(path)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind in "bu":
        return ~array if array.dtype.kind == "b" else (1 << page.bitspersample) - 1 - array
    return array


def _pillow_pages(path: Path) -> np.ndarray:
    with open_picture(path) as picture:
        pages = []
        for page in range(getattr(picture, "n_frames", 1)):
            picture.seek(page)
            pages.append(np.asarray(picture))
    return np.stack(pages)


FORMATS = (
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        package="tifffile",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        write_label=write_label,
    ),
)
