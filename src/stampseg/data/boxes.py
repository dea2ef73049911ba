"""Boxes of an image: the one around what is not zero, and windows cut out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[tuple[int, int], ...]  # (start, stop) per axis


def filled_box(filled: np.ndarray) -> Box:
    """The smallest box around the true voxels of a mask (*S) bool; the whole grid where there are none."""
    box = []
    for axis in range(filled.ndim):
        others = tuple(other for other in range(filled.ndim) if other != axis)
        places = np.flatnonzero(filled.any(axis=others))
        box.append((int(places[0]), int(places[-1]) + 1) if places.size else (0, filled.shape[axis]))
    return tuple(box)


def nonzero_box(image: np.ndarray) -> Box:
    """The box around the voxels of an image (C, *S) that are not 0 in some channel."""
    filled = image[0] != 0
    for channel in image[1:]:
        filled |= channel != 0
    return filled_box(filled)


def as_slices(box: Box) -> tuple[slice, ...]:
    """The box as an index of the spatial axes."""
    return tuple(slice(start, stop) for start, stop in box)


def cut_window(image: np.ndarray, start: Sequence[int], size: Sequence[int], beyond: int = 0) -> np.ndarray:
    """The window (C, *size) from `start`, the value `beyond` outside the image; a view where none is."""
    stops = [s + n for s, n in zip(start, size, strict=True)]
    inside = [
        slice(max(s, 0), min(stop, n)) for s, stop, n in zip(start, stops, image.shape[1:], strict=True)
    ]
    part = image[(slice(None), *inside)]
    if part.shape[1:] == tuple(size):
        return part
    window = np.full((len(image), *size), beyond, dtype=image.dtype)
    place = (slice(span.start - s, span.stop - s) for span, s in zip(inside, start, strict=True))
    window[(slice(None), *place)] = part
    return window
