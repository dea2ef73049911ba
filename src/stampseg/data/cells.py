"""The cells of a scan's look: their ranks, and the scan laid down or seen otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product

import numpy as np

SAME = 6  # decimals: cells that differ by less are equal, else rounding would order what is outside of a body


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the ranks, on which a few cells of padding or metal count no more than others."""
    return float((ranks_of(one) * ranks_of(other)).mean())


def turns(cells: np.ndarray) -> Iterator[np.ndarray]:
    """All other ways to lay it down by quarter turns: 3 in 2D, 23 in 3D; none is a mirror image."""
    return _laid(cells, _rotations(cells.ndim - 1))


def mirrors(cells: np.ndarray) -> Iterator[np.ndarray]:
    """Its mirror image, laid down in every way: 4 in 2D, 24 in 3D."""
    return _laid(cells, _reflections(cells.ndim - 1))


Way = tuple[tuple[int, ...], tuple[int, ...]]  # order and signs of the axes


def _laid(cells: np.ndarray, ways: tuple[Way, ...]) -> Iterator[np.ndarray]:
    for order, signs in ways:
        laid = cells.transpose(0, *(axis + 1 for axis in order))
        yield laid[(slice(None), *(slice(None, None, sign) for sign in signs))]


def _ways(dims: int, determinant: int) -> tuple[Way, ...]:
    return tuple(
        (order, signs)
        for order in permutations(range(dims))
        for signs in product((1, -1), repeat=dims)
        if round(np.linalg.det(np.eye(dims)[list(order)] * signs)) == determinant
    )


@cache
def _rotations(dims: int) -> tuple[Way, ...]:
    """All but the one that leaves all as it is."""
    return tuple(way for way in _ways(dims, 1) if way != (tuple(range(dims)), (1,) * dims))


@cache
def _reflections(dims: int) -> tuple[Way, ...]:
    return _ways(dims, -1)


def magnified(cells: np.ndarray, factor: float) -> np.ndarray:
    """Its middle in as many cells, linearly between them."""
    count = cells.shape[1]
    middle, places = (count - 1) / 2, np.arange(count)
    wanted = middle + (places - middle) / factor
    weights = np.maximum(0, 1 - abs(wanted[:, None] - places))
    for axis in range(1, cells.ndim):
        cells = np.moveaxis(np.tensordot(weights, cells, (1, axis)), 0, axis)
    return cells


def ranks_of(values: np.ndarray) -> np.ndarray:
    """With mean 0 and deviation 1, or all 0; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values.round(SAME), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places].reshape(values.shape)
    spread = ranks.std()
    return (ranks - ranks.mean()) / (spread if spread > 0 else 1.0)
