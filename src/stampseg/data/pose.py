"""Whether a scan would be more like the training scans if it were turned or magnified.

One likeness alone says little where scans of one kind differ much: what counts is how much more alike a scan
becomes, against how much more alike the training scans become themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

FACTORS = (1.35, 1.6)  # by which the middle of a scan is magnified
SAME = (
    6  # decimals: cells that differ by less are equal, else rounding would order what lies outside of a body
)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the ranks, on which a few cells of padding or metal count no more than others."""
    return float((_ranks(one) * _ranks(other)).mean())


class Gains(NamedTuple):
    """By how much more alike a scan becomes; negative where it is best as it is.

    Attributes:
        turned: when it is turned by quarters, as it turns out best.
        enlarged: when it is compared with the middle of the usual one, magnified.
        reduced: when its own middle is magnified.
    """

    turned: float
    enlarged: float
    reduced: float


def gains(cells: np.ndarray, usual: np.ndarray) -> Gains:
    """For cells (C, n, n) or (C, n, n, n) of both."""
    mine, theirs = _ranks(cells), _ranks(usual)
    as_it_is = float((mine * theirs).mean())
    return Gains(
        max(float((turned * theirs).mean()) for turned in turns(mine)) - as_it_is,
        max(float((mine * _ranks(magnified(usual, factor))).mean()) for factor in FACTORS) - as_it_is,
        max(float((_ranks(magnified(cells, factor)) * theirs).mean()) for factor in FACTORS) - as_it_is,
    )


def turns(cells: np.ndarray) -> Iterator[np.ndarray]:
    """All other ways to lay it down by quarter turns: 3 in 2D, 23 in 3D; none is a mirror image."""
    for order, signs in _rotations(cells.ndim - 1):
        laid = cells.transpose(0, *(axis + 1 for axis in order))
        yield laid[(slice(None), *(slice(None, None, sign) for sign in signs))]


@cache
def _rotations(dims: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Orders and signs of the axes, but those that leave all as it is."""
    found = []
    for order in permutations(range(dims)):
        for signs in product((1, -1), repeat=dims):
            is_rotation = np.linalg.det(np.eye(dims)[list(order)] * signs) > 0
            if is_rotation and (order, signs) != (tuple(range(dims)), (1,) * dims):
                found.append((order, signs))
    return tuple(found)


def magnified(cells: np.ndarray, factor: float) -> np.ndarray:
    """Its middle in as many cells, linearly between them."""
    count = cells.shape[1]
    middle, places = (count - 1) / 2, np.arange(count)
    wanted = middle + (places - middle) / factor
    weights = np.maximum(0, 1 - abs(wanted[:, None] - places))
    for axis in range(1, cells.ndim):
        cells = np.moveaxis(np.tensordot(weights, cells, (1, axis)), 0, axis)
    return cells


def _ranks(values: np.ndarray) -> np.ndarray:
    """With mean 0 and deviation 1, or all 0; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values.round(SAME), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places].reshape(values.shape)
    spread = ranks.std()
    return (ranks - ranks.mean()) / (spread if spread > 0 else 1.0)
