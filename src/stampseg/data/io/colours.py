"""Label maps drawn in colours: one whole number for each colour, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.errors import DataError
from .volume import as_label

# A coloured pixel's code is this plus r << 16 | g << 8 | b, so that no colour equals a grey value.
COLOUR = 1 << 24


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
    red, green, blue = channels.astype(np.int64)
    return np.where((red == green) & (green == blue), red, COLOUR | red << 16 | green << 8 | blue)


def as_pixels(labels: np.ndarray) -> np.ndarray:
    """Labels (*S) as they are, or the colours (*S, 3) uint8 that `label_of` coded."""
    if labels.max(initial=0) < COLOUR:
        return labels
    codes = labels.astype(np.int64)
    coloured = codes >= COLOUR
    shifted = [np.where(coloured, codes >> shift & 255, codes) for shift in (16, 8, 0)]
    return np.stack(shifted, axis=-1).astype(np.uint8)
