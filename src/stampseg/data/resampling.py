"""Resampling along one axis after the other, in numpy: every new row is a few old rows, weighted.

Linear interpolation separates, so an image of any dimensions is resampled axis by axis, and rows of
scores can be brought to another grid as soon as the few rows they depend on are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

KEPT = 64  # maps, which most cases of a data set have in common
ROWS = 16  # new rows made by one matrix product: few enough that hardly any zero is multiplied


@dataclass(frozen=True, eq=False)
class AxisMap:
    """New row i of an axis is the sum over t of weights[i, t] * old row first[i] + t.

    Attributes:
        size: rows before.
        first: (new,) first old row of each new one, never falling.
        weights: (new, taps) float32; 0 beyond what a row needs.
        last: (new,) one past the last old row of each new one, never falling.
    """

    size: int
    first: np.ndarray
    weights: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def ready(self, rows: int) -> int:
        """How many new rows need no more than the first `rows` old ones."""
        return int(np.searchsorted(self.last, rows, side="right"))

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """(first, one past the last) old row that the new rows from start to stop depend on."""
        return int(self.first[start]), int(self.last[stop - 1])

    def part(self, start: int, stop: int) -> AxisMap:
        """The map of the new rows from start to stop alone, from the old rows that they need."""
        low, high = self.needs(start, stop)
        rows = slice(start, stop)
        return AxisMap(high - low, self.first[rows] - low, self.weights[rows], self.last[rows] - low)

    @cached_property
    def blocks(self) -> tuple[tuple[slice, slice, np.ndarray], ...]:
        """New rows, the old rows they depend on, and the matrix (new, old) float32 between them."""
        return tuple(self._blocks())

    def _blocks(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        taps = self.weights.shape[1]
        for top in range(0, len(self), ROWS):
            bottom = min(top + ROWS, len(self))
            low, high = self.needs(top, bottom)
            # some rows need fewer than all taps: what is 0 there may lie beyond the last old row
            matrix = np.zeros((bottom - top, high - low + taps), dtype=np.float32)
            places = self.first[top:bottom, None] - low + np.arange(taps)
            np.put_along_axis(matrix, places, self.weights[top:bottom], axis=1)
            yield slice(top, bottom), slice(low, high), np.ascontiguousarray(matrix[:, : high - low])


@lru_cache(KEPT)
def low_pass_map(size: int, new: int) -> AxisMap:
    """Linear, edges of the field of view aligned, averaged where it shrinks."""
    scale = size / new
    reach = max(scale, 1.0)
    centres = scale * (np.arange(new) + 0.5)
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.int64), size)
    taps = int((last - first).max())
    rows = first[:, None] + np.arange(taps)
    weights = np.maximum(1 - np.abs((rows - centres[:, None] + 0.5) / reach), 0)
    weights[rows >= last[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return AxisMap(size, first, weights.astype(np.float32), last)


@lru_cache(KEPT)
def linear_map(size: int, new: int) -> AxisMap:
    """Linear between the two nearest rows, edges of the field of view aligned, without low-pass."""
    places = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
    first = np.minimum(places.astype(np.int64), max(size - 2, 0))
    share = places - first
    weights = np.stack([1 - share, share], axis=1)[:, : min(size, 2)]
    return AxisMap(size, first, weights.astype(np.float32), np.minimum(first + 2, size))


def nearest_map(size: int, new: int) -> AxisMap:
    """The nearest row, edges of the field of view aligned."""
    places = (np.arange(new) + 0.5) * size / new - 0.5
    first = np.clip(np.floor(places + 0.5).astype(np.int64), 0, size - 1)
    return AxisMap(size, first, np.ones((new, 1), dtype=np.float32), first + 1)


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """(C, *S) -> (C, *shape) float32, linear, edges of the field of view aligned, averaged where it shrinks.

    Where nothing changes, the image itself is returned.
    """
    image = image.astype(np.float32, copy=False)
    sizes = enumerate(zip(image.shape[1:], shape, strict=True), start=1)
    changed = [(new / old, axis, low_pass_map(old, new)) for axis, (old, new) in sizes if old != new]
    for _, axis, rows in sorted(changed, key=lambda one: one[0]):  # what shrinks first leaves less to do
        image = apply_map(image, rows, axis)
    return image


def apply_map(array: np.ndarray, rows: AxisMap, axis: int) -> np.ndarray:
    """A float32 array with one of its axes mapped, contiguous."""
    shape = (*array.shape[:axis], len(rows), *array.shape[axis + 1 :])
    out = np.empty(shape, dtype=np.float32)
    inner = int(np.prod(array.shape[axis + 1 :]))
    source = np.ascontiguousarray(array).reshape(-1, rows.size, inner)
    target = out.reshape(-1, len(rows), inner)
    for new, old, matrix in rows.blocks:
        if inner == 1:
            np.matmul(source[:, old, 0], matrix.T, out=target[:, new, 0])
        else:
            np.matmul(matrix, source[:, old], out=target[:, new])
    return out
