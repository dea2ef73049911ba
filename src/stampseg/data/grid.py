"""How much of a mask survives a coarser grid: the highest Dice that a network working there can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .preprocess import resample_classes
from .resampling import apply_map, linear_map

FACTORS = (2, 3, 4, 5, 6, 8, 10, 12)  # that a picture's grid may be coarser


def grid_ceiling(mask: np.ndarray, shape: Sequence[int]) -> float | None:
    """Dice of a mask brought to a grid of `shape` and back; None where it is empty.

    It goes down as the masks that train do, and comes back as scores of a prediction do.

    Args:
        mask: (*S) bool.
        shape: of the other grid, over the same field of view.
    """
    if not mask.any():
        return None
    scores = resample_classes(mask.astype(np.uint8), shape)[None].astype(np.float32)
    for axis, size in enumerate(mask.shape, start=1):
        if scores.shape[axis] != size:
            scores = apply_map(scores, linear_map(scores.shape[axis], size), axis)
    back = scores[0] > 0.5
    return float(2 * (back & mask).sum() / (back.sum() + mask.sum()))


def ceilings(classes: np.ndarray, count: int) -> tuple[tuple[float | None, ...], ...]:
    """The ceiling of each class but the background on a grid coarser by each of `FACTORS`."""
    rows = []
    for factor in FACTORS:
        shape = [max(1, round(n / factor)) for n in classes.shape]
        rows.append(tuple(grid_ceiling(classes == value, shape) for value in range(1, count)))
    return tuple(rows)
