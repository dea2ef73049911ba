"""Label maps drawn in colours: one whole number for each colour, and back; and what a palette means.

The index that a colour has in a palette is arbitrary, and programs that reduce colours number them as they
please. So a palette of greys stands for its greys. A palette of colours that begins with black is one that
people number classes by (Pascal VOC's and its like) and stands for its indices; any other for its colours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.errors import DataError
from .limits import HIGHEST_LABEL
from .volume import as_label

# A coloured pixel's code is this plus r << 16 | g << 8 | b: above all numbers that a label may hold.
COLOUR = 1 << 40


def label_of(channels: np.ndarray, path: Path) -> np.ndarray:
    """(C, *S) of one grey channel or three 8-bit colours -> label (*S).

    Raises:
        DataError: other channels, or values that are not whole numbers.
    """
    if len(channels) == 1 or (len(channels) == 3 and (channels == channels[:1]).all()):
        return as_label(channels[0], path)
    if len(channels) != 3 or channels.dtype != np.uint8:
        raise DataError(
            f"{path}: label of {len(channels)} channels of {channels.dtype}; expected grey values or "
            "8-bit colours; merge the channels into one label map"
        )
    red, green, blue = channels.astype(np.int64)
    return np.where((red == green) & (green == blue), red, COLOUR | red << 16 | green << 8 | blue)


def is_colour(label: int) -> bool:
    """Whether a label is the code of a colour."""
    return COLOUR <= label < COLOUR + (1 << 24)


def describe(value: int) -> str:
    """A label value for people: the number, or #rrggbb for the code of a colour."""
    return f"#{value - COLOUR:06x}" if is_colour(value) else str(value)


def is_label(value: int) -> bool:
    """Whether a label map may hold the value: a number of four bytes, or the code of a colour."""
    return 0 <= value <= HIGHEST_LABEL or is_colour(value)


def check_drawable(labels: np.ndarray, path: Path) -> None:
    """Check that a picture in colours can show labels (*S), where some are colours.

    Raises:
        DataError: others are numbers that are no grey of 8 bits.
    """
    if not is_colour(int(labels.max(initial=0))):
        return
    number = int(labels[labels < COLOUR].max(initial=0))
    if number > 255:
        raise DataError(
            f"{path}: labels hold colours and the number {number}; expected numbers to 255 beside colours; "
            "number the structures anew"
        )


def numbers_classes(palette: np.ndarray) -> bool:
    """Whether people number classes by the indices of a palette (n, 3) uint8: colours after black."""
    return not (palette == palette[:, :1]).all() and not palette[0].any()


def resolve(indices: np.ndarray, palette: np.ndarray, path: Path) -> np.ndarray:
    """Indices (*S) into a palette (n, 3) uint8 -> label (*S), by the rule of this module.

    Where used indices share a colour, or have none, it is the indices that tell them apart.
    """
    used = np.unique(indices)
    if numbers_classes(palette) or used[-1] >= len(palette):
        return indices
    if len(np.unique(palette[used], axis=0)) < len(used):
        return indices
    return label_of(np.moveaxis(palette[indices], -1, 0), path)


def drop_transparent(channels: np.ndarray, alpha: np.ndarray, path: Path) -> np.ndarray:
    """Colours (C, *S), 0 where alpha (*S) hides them; alpha that hides several colours tells nothing.

    Raises:
        DataError: what is not hidden is black, as what is hidden would be.
    """
    clear = alpha == 0
    if clear.all() and (channels != channels[:, :1, :1]).any():
        return channels
    if clear.any() and not clear.all() and not channels[:, ~clear].any():
        raise DataError(
            f"{path}: is black wherever it is not transparent, so that the label is in its transparency "
            "alone; expected values or colours; save what is drawn as white on black"
        )
    return np.where(clear, channels.dtype.type(0), channels)


def as_pixels(labels: np.ndarray) -> np.ndarray:
    """Labels (*S) as they are, or the colours (*S, 3) uint8 that `label_of` coded."""
    highest = labels.max(initial=0)
    if not is_colour(int(highest)):
        return labels
    codes = labels.astype(np.int64)
    coloured = codes >= COLOUR
    shifted = [np.where(coloured, codes >> shift & 255, codes) for shift in (16, 8, 0)]
    return np.stack(shifted, axis=-1).astype(np.uint8)
