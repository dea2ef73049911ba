"""How much of a mask survives a coarser grid: the highest Dice that a network working there can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .preprocess import resample_classes
from .resampling import apply_map, linear_map

FACTORS = (2, 3, 4, 5, 6, 8, 10, 12)  # that a picture's grid may be coarser
LONG_SIDE = (128, 192)  # working pixels of a picture's long side: at least, and at most where detail allows


def factors(shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Those of `FACTORS` that pictures of these shapes may need, each coarser than the one before it."""
    long_side, finer, needed = float(np.median([max(shape) for shape in shapes])), 1, []
    for factor in FACTORS:
        if long_side / finer <= LONG_SIDE[1] or long_side / factor < LONG_SIDE[0]:
            break
        needed.append(factor)
        finer = factor
    return tuple(needed)


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


def ceilings(
    classes: np.ndarray, count: int, coarser: Sequence[int] = FACTORS
) -> tuple[tuple[float | None, ...], ...]:
    """The ceiling of each class but the background on a grid coarser by each factor."""
    rows = []
    for factor in coarser:
        shape = [max(1, round(n / factor)) for n in classes.shape]
        rows.append(tuple(grid_ceiling(classes == value, shape) for value in range(1, count)))
    return tuple(rows)
