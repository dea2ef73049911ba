"""PNG, JPEG and BMP through Pillow, TIFF through tifffile.

A TIFF of one page is a picture. One of several pages is a volume of 1 mm voxels, its pages along the
third axis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from ..errors import DataError
from .formats import LOSSY_SUFFIXES, TIFF_SUFFIXES, suffix_of
from .volume import Header, as_image, as_label, check_size, volume_header

# A coloured pixel's code is this plus r << 16 | g << 8 | b, so that no colour equals a grey value.
COLOUR = 1 << 24
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F"}


def read_header(path: Path) -> Header:
    """Header of a picture, or of a TIFF of several pages; no pixels are decoded."""
    if suffix_of(path) in TIFF_SUFFIXES:
        with tifffile.TiffFile(path) as file:
            return _tiff_header(path, file)
    with _open(path) as picture:
        mode = _image_mode(picture)
        shape = (picture.height, picture.width)
        return _picture_header(path, shape, 3 if mode == "RGB" else 1, picture.mode)


def read_image(path: Path) -> np.ndarray:
    """Pixels (C, rows, columns) float32, C 1 or 3; a palette is resolved, transparency dropped."""
    if suffix_of(path) in TIFF_SUFFIXES:
        return as_image(_tiff_array(path), path)
    with _open(path) as picture:
        mode = _image_mode(picture)
        array = np.asarray(picture.convert(mode) if picture.mode != mode else picture)
    return as_image(np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None], path)


def read_label(path: Path) -> np.ndarray:
    """Label (*S): the palette's index, 0 and 1 of one bit, the grey value, or a code per colour."""
    if suffix_of(path) in LOSSY_SUFFIXES:
        raise DataError(
            f"{path}: a mask stored as JPEG has blurred values at every border; expected a lossless file; "
            "save masks as PNG from their source"
        )
    channels = _tiff_array(path) if suffix_of(path) in TIFF_SUFFIXES else _label_pixels(path)
    if len(channels) == 1:
        return as_label(channels[0], path)
    if len(channels) != 3 or channels.dtype != np.uint8:
        raise DataError(
            f"{path}: label of {len(channels)} channels of {channels.dtype}; expected grey values or "
            "8-bit colours; merge the channels into one label map"
        )
    return _code_colours(channels)


def write_label(path: Path, labels: np.ndarray) -> None:
    """Write unsigned labels as grey of 8 or 16 bits, or as the colours that `read_label` coded."""
    coloured = labels.max(initial=0) >= COLOUR
    pixels = _decode_colours(labels) if coloured else labels
    if suffix_of(path) not in TIFF_SUFFIXES:
        Image.fromarray(pixels).save(path)
        return
    pages = np.swapaxes(pixels, 0, 2) if labels.ndim == 3 else pixels
    tifffile.imwrite(path, pages, photometric="rgb" if coloured else "minisblack", compression="zlib")


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels ({error}); cut the picture, or save it as TIFF") from None


def _picture_header(path: Path, shape: tuple[int, ...], channels: int, dtype: str) -> Header:
    header = Header(tuple(map(int, shape)), (1.0, 1.0), None, channels, dtype, path, True)
    check_size(header)
    return header


def _image_mode(picture: Image.Image) -> str:
    """Pillow mode that holds the picture's intensities without its palette or transparency."""
    if picture.mode.startswith("I;16"):
        return picture.mode
    if picture.mode in ("P", "PA"):
        palette = np.reshape(picture.getpalette("RGB") or [0, 0, 0], (-1, 3))
        return "L" if (palette == palette[:, :1]).all() else "RGB"
    return GREY_MODES.get(picture.mode, "RGB")


def _label_pixels(path: Path) -> np.ndarray:
    """(1, rows, columns) of indices or grey values, or (3, rows, columns) of colours."""
    with _open(path) as picture:
        if picture.mode in ("1", "L", "P", "I", "F") or picture.mode.startswith("I;16"):
            return np.asarray(picture)[None]
        if picture.mode in ("LA", "PA"):
            return np.asarray(picture.getchannel(0))[None]
        return np.moveaxis(np.asarray(picture.convert("RGB")), 2, 0)


def _code_colours(channels: np.ndarray) -> np.ndarray:
    """(3, *S) 8-bit colours -> (*S) one whole number per colour; a grey pixel is its grey value."""
    red, green, blue = channels.astype(np.int64)
    return np.where((red == green) & (green == blue), red, COLOUR | red << 16 | green << 8 | blue)


def _decode_colours(codes: np.ndarray) -> np.ndarray:
    codes = codes.astype(np.int64)
    coloured = codes >= COLOUR
    shifted = [np.where(coloured, codes >> shift & 255, codes) for shift in (16, 8, 0)]
    return np.stack(shifted, axis=-1).astype(np.uint8)


def _tiff_header(path: Path, file: tifffile.TiffFile) -> Header:
    letters, sizes = _tiff_axes(path, file)
    size = dict(zip(letters, sizes, strict=True))
    channels, dtype = size["C"] - _alphas(file), str(file.series[0].dtype)
    if "Z" in size:
        return volume_header(path, (size["X"], size["Y"], size["Z"]), np.eye(4), channels, dtype)
    return _picture_header(path, (size["Y"], size["X"]), channels, dtype)


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


def _alphas(file: tifffile.TiffFile) -> int:
    """Samples of a pixel that are transparency, always the last ones."""
    alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    return sum(sample in alpha for sample in file.pages.first.extrasamples)


def _tiff_array(path: Path) -> np.ndarray:
    """(C, rows, columns) or (C, X, Y, Z) of the stored values; an alpha channel is dropped."""
    with tifffile.TiffFile(path) as file:
        channels = _tiff_header(path, file).channels
        letters, sizes = _tiff_axes(path, file)
        array = _tiff_values(path, file).reshape(sizes)
    order = "CXYZ" if "Z" in letters else "CYX"
    return array.transpose([letters.index(axis) for axis in order])[:channels]


def _tiff_values(path: Path, file: tifffile.TiffFile) -> np.ndarray:
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
    with _open(path) as picture:
        pages = []
        for page in range(getattr(picture, "n_frames", 1)):
            picture.seek(page)
            pages.append(np.asarray(picture))
    return np.stack(pages)
