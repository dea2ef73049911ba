"""PNG, JPEG and BMP, through Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import DataError
from .colours import as_pixels, label_of
from .format import Format
from .limits import check_promise
from .volume import Header, as_image, check_size

if TYPE_CHECKING:
    from PIL.Image import Image

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
    return label_of(_label_pixels(path), path)


def write_label(path: Path, labels: np.ndarray, _: Header) -> None:
    """Write unsigned labels as grey of 8 or 16 bits, or as the colours that `read_label` coded."""
    from PIL import Image

    Image.fromarray(as_pixels(labels)).save(path)


def open_picture(path: Path) -> Image:
    """Open with Pillow.

    Raises:
        DataError: more pixels than are safe to decode.
    """
    from PIL import Image

    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels ({error}); cut the picture, or save it as TIFF") from None


def picture_header(
    path: Path, shape: tuple[int, ...], channels: int, dtype: str, notes: tuple[str, ...] = ()
) -> Header:
    """Header of a picture (row, column), checked.

    Raises:
        DataError: absurd size.
    """
    header = Header(tuple(map(int, shape)), (1.0, 1.0), None, channels, dtype, path, True, notes)
    check_size(header)
    return header


def _image_mode(picture: Image) -> str:
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


FORMATS = (
    Format(
        name="PNG",
        suffixes=(".png",),
        package="pillow",
        module="PIL",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        write_label=write_label,
        mask_suffix=".png",
    ),
    Format(
        name="JPEG",
        suffixes=(".jpg", ".jpeg"),
        package="pillow",
        module="PIL",
        read_header=read_header,
        read_image=read_image,
        no_labels="a mask stored as JPEG has blurred values at every border; expected a lossless file; "
        "save masks as PNG from their source",
        mask_suffix=".png",
    ),
    Format(
        name="BMP",
        suffixes=(".bmp",),
        package="pillow",
        module="PIL",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        mask_suffix=".png",
    ),
)
