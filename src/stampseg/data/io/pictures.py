"""PNG, JPEG, BMP, GIF and PPM, through Pillow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import DataError
from .colours import as_pixels, drop_transparent, label_of, resolve
from .deep_png import bits_of, deep_pixels, is_deep, is_deep_grey
from .format import Format
from .limits import check_promise
from .orientation import ORIENTATION, UPRIGHT, as_shown, as_stored, known, swaps
from .volume import Header, as_image, check_size

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

NO_JPEG_LABELS = (
    "a mask stored as JPEG has blurred values at every border; expected a lossless file, or black and white "
    "alone; save masks as PNG from their source"
)
BLACK, WHITE = 64, 192  # as far as these a JPEG blurs what was 0 or 255
BETWEEN = 0.01  # of its pixels at the most
FLAT = 4  # 0 and 255 stay so near, away from borders
# Colours of some per cent, linear between them: black, orange, white.
GLOW = ((0, 0, 0, 0), (50, 255, 150, 0), (100, 255, 255, 255))
GREY_MODES = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F"}


def read_header(path: Path) -> Header:
    """Header of a picture; no pixels are decoded."""
    with open_picture(path) as picture:
        mode, turned = _image_mode(picture), _orientation(picture)
        shape = (picture.height, picture.width)
        frames = getattr(picture, "n_frames", 1)
        # A JPEG of a phone may have a preview, a map or a second view behind the picture that viewers show.
        if frames != 1 and picture.format != "MPO":
            raise DataError(f"{path}: holds {frames} frames; expected one; save each as a file of its own")
        header = picture_header(path, shape, 3 if mode == "RGB" else 1, picture.mode, turned)
        if picture.format == "PNG":
            bits = 1 if picture.mode in ("1", "P") else 8  # of a pixel, at the least
            check_promise(
                path, header.shape[0] * header.shape[1] * bits // 8, path.stat().st_size, packed=True
            )
        return header


def read_image(path: Path) -> np.ndarray:
    """Pixels (C, rows, columns) float32, C 1 or 3, as shown; a palette is resolved, transparency dropped."""
    with open_picture(path) as picture:
        mode, turned = _image_mode(picture), _orientation(picture)
        if is_deep(picture, path):
            array = deep_pixels(picture, path)
            array = array[..., : 1 if array.shape[2] == 2 else 3]
        else:
            array = np.asarray(picture.convert(mode) if picture.mode != mode else picture)
    array = as_shown(array, turned)
    return as_image(np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None], path)


def read_label(path: Path) -> np.ndarray:
    """Label (*S) as shown: what a palette stands for, 0 and 1 of one bit, a grey value, a code per colour.

    What is transparent is 0; of a JPEG in black and white, what is brighter than half is 255.

    Raises:
        DataError: a JPEG that is not black and white; a PPM whose brightest value is not 255 or 65535.
    """
    with open_picture(path) as picture:
        if picture.format in ("JPEG", "MPO"):
            return as_shown(_black_and_white(picture, path), _orientation(picture))
        if picture.format == "PPM":
            _check_not_stretched(picture, path)
        turned = _orientation(picture)
        label = _label_of(picture, path)
    return np.ascontiguousarray(as_shown(label, turned))


def read_palette(path: Path) -> np.ndarray | None:
    """Colours (n, 3) uint8 by index of an indexed picture, None of any other."""
    with open_picture(path) as picture:
        return _palette(picture) if picture.mode in ("P", "PA") else None


def write_label(path: Path, labels: np.ndarray, like: Header) -> None:
    """Write unsigned labels as grey of 8 or 16 bits, or as the colours that `read_label` coded.

    They are stored turned as the picture of `like` is, with its orientation.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(as_stored(as_pixels(labels), like.turned)))
    _save(picture, path, like)


def write_percent(path: Path, percent: np.ndarray, like: Header) -> None:
    """Write 0 to 100 as a PNG: the numbers are indices of a palette, bright where they are high.

    It is stored turned as the picture of `like` is, with its orientation.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(as_stored(percent.astype(np.uint8), like.turned)))
    steps, *colours = zip(*GLOW, strict=True)
    palette = np.stack([np.interp(range(256), steps, colour) for colour in colours], axis=1)
    picture.putpalette(palette.astype(np.uint8).tobytes())
    _save(picture, path, like)


def _save(picture: Image.Image, path: Path, like: Header) -> None:
    from PIL.Image import Exif

    if like.turned == UPRIGHT:
        picture.save(path)
    else:
        exif = Exif()
        exif[ORIENTATION] = like.turned
        picture.save(path, exif=exif)


def open_picture(path: Path) -> ImageFile:
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
    path: Path,
    shape: tuple[int, ...],
    channels: int,
    dtype: str,
    turned: int = UPRIGHT,
    notes: tuple[str, ...] = (),
) -> Header:
    """Header of a picture stored as (row, column) and turned so, checked.

    Raises:
        DataError: absurd size.
    """
    shown = shape[::-1] if swaps(turned) else shape
    header = Header(
        tuple(map(int, shown)), (1.0, 1.0), None, channels, dtype, path, True, turned=turned, notes=notes
    )
    check_size(header)
    return header


def _image_mode(picture: ImageFile) -> str:
    """Pillow mode that holds the picture's intensities without its palette or transparency."""
    if picture.mode.startswith("I;16"):
        return picture.mode
    if is_deep_grey(picture):
        return "L"
    if picture.mode in ("P", "PA"):
        palette = _palette(picture)
        return "L" if (palette == palette[:, :1]).all() else "RGB"
    return GREY_MODES.get(picture.mode, "RGB")


def _palette(picture: ImageFile) -> np.ndarray:
    return np.reshape(picture.getpalette("RGB") or [0, 0, 0], (-1, 3)).astype(np.uint8)


def _orientation(picture: ImageFile) -> int:
    """As the file says; of a PNG only what stands before its pixels, or all of them would be decoded here."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return UPRIGHT
    return known(picture.getexif().get(ORIENTATION))


def _black_and_white(picture: ImageFile, path: Path) -> np.ndarray:
    """0 and 255 (rows, columns) of a JPEG that holds nothing else, but for borders that are blurred."""
    colours = np.asarray(picture.convert("RGB"))
    least, most = colours.min(2), colours.max(2)
    between, grey = (most >= BLACK) & (least < WHITE), (most > FLAT) & (least < 255 - FLAT)
    # a grey class is wider than a border, a dark or bright one than the blocks of 8 that a border disturbs
    wide = _is_wide(between, 1) or _is_wide(grey, 4)
    if between.mean() > BETWEEN or wide or 0 < most.max() < WHITE:
        named = "" if path.suffix.lower() in (".jpg", ".jpeg") else "is a JPEG, whatever its name says: "
        raise DataError(f"{path}: {named}{NO_JPEG_LABELS}")
    return np.where(most >= 128, 255, 0).astype(np.uint8)


def _is_wide(mask: np.ndarray, reach: int) -> bool:
    """Whether a square of 2 * `reach` + 1 pixels lies within a mask (rows, columns)."""
    from PIL import Image, ImageFilter

    left = Image.fromarray(mask.astype(np.uint8))
    for _ in range(reach):
        left = left.filter(ImageFilter.MinFilter(3))
    return left.getbbox() is not None


def _check_not_stretched(picture: ImageFile, path: Path) -> None:
    """Pillow stretches a PPM to the whole range by the brightest value that its header states."""
    brightest = {tile.args[-1] for tile in picture.tile if isinstance(tile.args, tuple)}
    if not brightest <= {255, 65535}:
        raise DataError(
            f"{path}: a mask whose header says that {min(brightest)} is its brightest value; expected 255 or "
            "65535, as other masks are read stretched; save it as PNG from its source"
        )


def _alpha(picture: ImageFile, indices: np.ndarray) -> np.ndarray:
    """How opaque (rows, columns) indices into a palette are, 0 where they are hidden."""
    if picture.mode == "PA":
        return np.asarray(picture.getchannel(1))
    given = picture.info.get("transparency", b"")
    alpha = np.full(256, 255, np.uint8)
    if isinstance(given, bytes):
        alpha[: len(given)] = np.frombuffer(given, np.uint8)
    else:
        alpha[given] = 0
    return alpha[indices]


def _label_of(picture: ImageFile, path: Path) -> np.ndarray:
    """(rows, columns) as stored."""
    mode = picture.mode
    if mode in ("1", "L", "I", "F") or mode.startswith("I;16"):
        label = label_of(np.asarray(picture)[None], path)
        bits = bits_of(path) if mode == "L" and picture.format == "PNG" else 8
        return label if bits == 8 else label // (255 // (2**bits - 1))  # Pillow spreads 2 and 4 bits over 8
    if mode in ("P", "PA"):
        indices = np.asarray(picture.getchannel(0))
        label = resolve(indices, _palette(picture), path)
        return drop_transparent(label[None], _alpha(picture, indices), path)[0]
    if is_deep(picture, path):
        channels = np.moveaxis(deep_pixels(picture, path), 2, 0)
    else:
        kept = mode if mode in ("LA", "RGBA") else "RGBA" if picture.has_transparency_data else "RGB"
        channels = np.moveaxis(np.asarray(picture.convert(kept)), 2, 0)
    if len(channels) in (2, 4):
        channels = drop_transparent(channels[:-1], channels[-1], path)
    return label_of(channels, path)


_PICTURE = partial(
    Format, package="pillow", module="PIL", read_header=read_header, read_image=read_image,
    read_label=read_label, mask_suffix=".png",
)  # fmt: skip

FORMATS = (
    _PICTURE(
        name="PNG",
        suffixes=(".png",),
        read_palette=read_palette,
        write_label=write_label,
        highest_label=2**16 - 1,
        colours=True,
    ),
    _PICTURE(name="JPEG", suffixes=(".jpg", ".jpeg")),
    _PICTURE(name="BMP", suffixes=(".bmp",), read_palette=read_palette),
    _PICTURE(name="GIF", suffixes=(".gif",), read_palette=read_palette),
    _PICTURE(name="PPM", suffixes=(".ppm", ".pgm")),
)
