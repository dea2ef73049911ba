"""Class scores back onto the case's own grid, row by row as they become final.

Scores of the working grid -> size before resampling -> class of the highest score -> pasted into the
uncropped grid -> the source's own axes. The rows of one axis may come in any number of pieces; scores
are kept only as long as an unfinished row of the mask needs them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .boxes import as_slices
from .preprocess import Geometry, orient
from .resampling import AxisMap, apply_map, linear_map, low_pass_map, nearest_map

BLOCK = 1 << 22  # float32 values of one class that are brought back at once


class Restorer:
    """Fills a mask on the source grid from rows of class scores along one axis of the working grid.

    Voxels outside the crop are background; the first of equal scores wins. `margins`, where they are asked
    for, tell of each voxel by how much its score is above that of the background, from 0 to 255.
    """

    def __init__(
        self, geometry: Geometry, classes: int, axis: int = 0, *, with_margins: bool = False
    ) -> None:
        """Args:
        geometry: what `prepare` did.
        classes: how many there are; up to 256 make a mask of bytes.
        axis: of the working grid, along which the rows come.
        with_margins: keep them; scores are probabilities.
        """
        self.mask = np.zeros(geometry.source_shape, dtype=np.min_scalar_type(classes - 1))
        self.margins = np.zeros(geometry.source_shape, dtype=np.uint8) if with_margins else None
        self._target = _rows_of(self.mask, geometry, axis)
        self._margins = None if self.margins is None else _rows_of(self.margins, geometry, axis)
        order = [axis, *(other for other in range(len(geometry.box)) if other != axis)]
        self._rows, *self._others = (_score_map(geometry, number) for number in order)
        self._shape = tuple(geometry.prepared_shape[other] for other in order[1:])
        self._kept: np.ndarray | None = None
        self._first = 0  # the first kept row
        self._done = 0  # rows of the mask

    def add(self, scores: np.ndarray) -> None:
        """Take the next rows, (K, rows, *other axes in their order) float32.

        Raises:
            ValueError: the other axes are not those of the prepared image.
        """
        if scores.shape[2:] != self._shape:
            raise ValueError(
                f"scores have {scores.shape[2:]} voxels across the rows, the prepared image had "
                f"{self._shape}; give the scores of that image"
            )
        held = scores if self._kept is None else np.concatenate([self._kept, scores], axis=1)
        ready = self._ready(self._first + held.shape[1])
        step = max(1, BLOCK // math.prod(self._target.shape[1:]))
        for start in range(self._done, ready, step):
            stop = min(start + step, ready)
            low, high = self._needs(start, stop)
            self._fill(held[:, low - self._first : high - self._first], start, stop)
        self._done = ready
        if ready < len(self._target):
            drop = min(self._needs(ready, ready + 1)[0] - self._first, held.shape[1])
            held, self._first = held[:, drop:].copy(), self._first + drop
        self._kept = held

    def _ready(self, rows: int) -> int:
        return rows if self._rows is None else self._rows.ready(rows)

    def _needs(self, start: int, stop: int) -> tuple[int, int]:
        return (start, stop) if self._rows is None else self._rows.needs(start, stop)

    def _fill(self, scores: np.ndarray, start: int, stop: int) -> None:
        """Rows from start to stop of the mask from the scores they depend on, one class at a time."""
        rows = None if self._rows is None else self._rows.part(start, stop)
        maps = [(found, axis) for axis, found in enumerate([rows, *self._others]) if found is not None]
        maps.sort(key=lambda one: len(one[0]) / one[0].size)  # what shrinks first leaves less to do
        target = self._target[start:stop]
        if not maps and self._margins is None:
            target[...] = _highest(scores, target.dtype)
            return
        # What is linear may be done to differences: one class less to interpolate.
        top: Any = np.float32(0)
        for value in range(1, len(scores)):
            scaled = _mapped(scores[value] - scores[0], maps)
            np.copyto(target, target.dtype.type(value), where=scaled > top)
            if value + 1 < len(scores) or self._margins is not None:
                top = np.maximum(top, scaled)
        if self._margins is not None:
            self._margins[start:stop] = np.rint(255 * np.minimum(top, 1))


def _rows_of(array: np.ndarray, geometry: Geometry, axis: int) -> np.ndarray:
    """The part inside the crop of an array on the source grid, rows along `axis` first; a view."""
    inside = orient(array, geometry.orientation)[as_slices(geometry.box)]
    return np.moveaxis(inside, axis, 0)


def _highest(scores: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Class (*S) of the highest score, the first of equal ones."""
    best = (scores[1] > scores[0]).view(np.uint8).astype(dtype, copy=False)
    top = scores[0]
    for value in range(2, len(scores)):
        top = np.maximum(top, scores[value - 1])
        np.copyto(best, dtype.type(value), where=scores[value] > top)
    return best


def _mapped(scores: np.ndarray, maps: Sequence[tuple[AxisMap, int]]) -> np.ndarray:
    for rows, axis in maps:
        scores = apply_map(scores, rows, axis)
    return scores


def restore(scores: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Class scores (K, *prepared_shape) -> class index (*source_shape) on the source grid.

    Raises:
        ValueError: `scores` has another shape than the prepared image.
    """
    if tuple(scores.shape[1:]) != geometry.prepared_shape:
        raise ValueError(
            f"scores have spatial shape {tuple(scores.shape[1:])}, the prepared image had "
            f"{geometry.prepared_shape}; give the scores of that image, (classes, *spatial)"
        )
    restorer = Restorer(geometry, len(scores))
    restorer.add(np.asarray(scores, dtype=np.float32))
    return restorer.mask


def _score_map(geometry: Geometry, axis: int) -> AxisMap | None:
    """From the working grid to the crop along an axis; None where they are the same."""
    size, new = geometry.prepared_shape[axis], geometry.box_shape[axis]
    if size == new:
        return None
    if geometry.low_pass:
        return low_pass_map(size, new)
    return nearest_map(size, new) if axis == geometry.slices else linear_map(size, new)
