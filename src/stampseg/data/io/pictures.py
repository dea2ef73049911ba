"""PNG, JPEG and BMP through Pillow; colours of labels as whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import DataError
from .formats import LOSSY_SUFFIXES, suffix_of
from .limits import check_promise
from .volume import Header, as_image, as_label, check_size

# A coloured pixel's code is this plus r << 16 | g << 8 | b, so that no colour equals a grey value.
COLOUR = 1 << 24
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F"}


def read_header(path: Path) -> Header:
    """Header of a picture; no pixels are decoded."""
    with open_picture(path) as picture:
        mode = _image_mode(picture)
        shape = (picture.height, picture.width)
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise DataError(f"{path}: holds {frames} frames; expected one; save each as a file of its own")
        header = picture_header(path, shape, 3 if mode == "RGB" else 1, picture.mode)
        if picture.format == "PNG":
            bits = 1 if picture.mode in ("1", "P") else 8  # of a pixel, at the least
            check_promise(
                path, header.shape[0] * header.shape[1] * bits // 8, path.stat().st_size, packed=True
            )
        return header


def read_image(path: Path) -> np.ndarray:
    """Pixels (C, rows, columns) float32, C 1 or 3; a palette is resolved, transparency dropped."""
    with open_picture(path) as picture:
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
    return label_of(_label_pixels(path), path)


def label_of(channels: np.ndarray, path: Path) -> np.ndarray:
    """(C, *S) of one grey channel or three 8-bit colours -> label (*S).

    Raises:
        DataError: other channels, or values that are not whole numbers.
    """
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
    Image.fromarray(as_pixels(labels)).save(path)


def as_pixels(labels: np.ndarray) -> np.ndarray:
    """Labels (*S) as they are, or the colours (*S, 3) uint8 that `read_label` coded."""
    return _decode_colours(labels) if labels.max(initial=0) >= COLOUR else labels


def open_picture(path: Path) -> Image.Image:
    """Open with Pillow.

    Raises:
        DataError: more pixels than are safe to decode.
    """
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels ({error}); cut the picture, or save it as TIFF") from None


def picture_header(path: Path, shape: tuple[int, ...], channels: int, dtype: str) -> Header:
    """Header of a picture (row, column), checked.

    Raises:
        DataError: absurd size.
    """
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
    with open_picture(path) as picture:
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
