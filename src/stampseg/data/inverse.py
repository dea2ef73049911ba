"""Class scores back onto the case's own grid, row by row as they become final.

Scores of the working grid -> size before resampling -> class of the highest score -> pasted into the
uncropped grid -> the source's own axes. The rows of one axis may come in any number of pieces; scores
are kept only as long as an unfinished row of the mask needs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .boxes import as_slices
from .io.probabilities import FULL_SCALE
from .labels.regions import Region, decided
from .preprocess import Geometry, orient
from .resampling import AxisMap, apply_map, linear_map, low_pass_map, nearest_map

BLOCK = 1 << 22  # float32 values of one class that are brought back at once
LEAST = 1e-7  # probability that a temperature is still applied to


@dataclass(frozen=True, eq=False)
class Part:
    """Rows from `start` to `stop` of the crop: the scores they depend on, and how these become the rows."""

    start: int
    stop: int
    scores: np.ndarray  # (K, rows of the working grid, *other axes)
    maps: tuple[tuple[AxisMap, int], ...]  # none: they are the rows

    def brought_back(self, *, relative: bool = True) -> np.ndarray:
        """Scores (K, stop - start, *other axes) of the crop's own voxels.

        Where they are interpolated, those of class 0 are taken off all of them: who is highest stays.
        """
        if not self.maps:
            return self.scores
        if not relative:
            return np.stack([_mapped(scores, self.maps) for scores in self.scores])
        above = [_mapped(scores - self.scores[0], self.maps) for scores in self.scores[1:]]
        return np.stack([np.zeros_like(above[0]), *above])

    def total(self, region: Region) -> np.ndarray:
        """Probability (stop - start, *other axes) of a region, of the crop's own voxels."""
        return _mapped(region.of(self.scores), self.maps)


class Rows:
    """Takes rows of class scores of the working grid, gives rows of the crop as they become final."""

    def __init__(self, geometry: Geometry, axis: int = 0, block: int = BLOCK) -> None:
        """Args:
        geometry: what `prepare` did.
        axis: of the working grid, along which the rows come.
        block: values of one class that are brought back at once.
        """
        order = [axis, *(other for other in range(len(geometry.box)) if other != axis)]
        self._rows, *self._others = (_score_map(geometry, number) for number in order)
        self._shape = tuple(geometry.prepared_shape[other] for other in order[1:])
        self._count, *others = (geometry.box_shape[other] for other in order)
        self._step = max(1, block // math.prod(others))
        self._kept: np.ndarray | None = None
        self._first = 0  # the first kept row
        self._done = 0  # rows of the crop

    def add(self, scores: np.ndarray) -> Iterator[Part]:
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
        for start in range(self._done, ready, self._step):
            stop = min(start + self._step, ready)
            low, high = self._needs(start, stop)
            yield self._part(held[:, low - self._first : high - self._first], start, stop)
        self._done = ready
        if ready < self._count:
            drop = min(self._needs(ready, ready + 1)[0] - self._first, held.shape[1])
            held, self._first = held[:, drop:].copy(), self._first + drop
        self._kept = held

    def _ready(self, rows: int) -> int:
        return rows if self._rows is None else self._rows.ready(rows)

    def _needs(self, start: int, stop: int) -> tuple[int, int]:
        return (start, stop) if self._rows is None else self._rows.needs(start, stop)

    def _part(self, scores: np.ndarray, start: int, stop: int) -> Part:
        rows = None if self._rows is None else self._rows.part(start, stop)
        maps = [(found, axis) for axis, found in enumerate([rows, *self._others]) if found is not None]
        maps.sort(key=lambda one: len(one[0]) / one[0].size)  # what shrinks first leaves less to do
        return Part(start, stop, scores, tuple(maps))


class Restorer:
    """Fills a mask on the source grid from rows of class scores along one axis of the working grid.

    Voxels outside the crop are background; the first of equal scores wins. `margins`, where they are asked
    for, tell of each voxel by how much its score is above that of the background, from 0 to 255.
    With `regions`, scores are probabilities, and regions write over each other, in their order.
    """

    def __init__(
        self,
        geometry: Geometry,
        classes: int,
        axis: int = 0,
        *,
        with_margins: bool = False,
        regions: Sequence[Region] = (),
    ) -> None:
        """Args:
        geometry: what `prepare` did.
        classes: how many there are; up to 256 make a mask of bytes.
        axis: of the working grid, along which the rows come.
        with_margins: keep them; scores are probabilities.
        regions: structures of several classes, if these are found in place of the classes.
        """
        self._regions = regions
        self.mask = np.zeros(geometry.source_shape, dtype=np.min_scalar_type(classes - 1))
        self.margins = np.zeros(geometry.source_shape, dtype=np.uint8) if with_margins else None
        self._target = _rows_of(self.mask, geometry, axis)
        self._margins = None if self.margins is None else _rows_of(self.margins, geometry, axis)
        self._rows = Rows(geometry, axis)

    def add(self, scores: np.ndarray) -> None:
        """Take the next rows, (K, rows, *other axes in their order) float32.

        Raises:
            ValueError: the other axes are not those of the prepared image.
        """
        for part in self._rows.add(scores):
            rows = slice(part.start, part.stop)
            if self._regions:
                self._target[rows] = decided(map(part.total, self._regions), self._regions, self.mask.dtype)
                continue
            _fill(self._target[rows], None if self._margins is None else self._margins[rows], part)


class Shares:
    """Fills the probabilities of all classes on the source grid, as `Restorer` fills a mask.

    Voxels outside the crop are background for certain. They are those of the scores: what is done to a mask
    afterwards, as leaving out pieces, does not change them.
    """

    def __init__(self, geometry: Geometry, classes: int, axis: int = 0, temperature: float = 1.0) -> None:
        """Args:
        geometry: what `prepare` did.
        classes: how many there are.
        axis: of the working grid, along which the rows come.
        temperature: that the logits are divided by; above 1 probabilities come nearer to one another.
        """
        self.shares = np.zeros((classes, *geometry.source_shape), dtype=np.uint16)  # times FULL_SCALE
        self.shares[0] = FULL_SCALE
        self._targets = [_rows_of(of, geometry, axis) for of in self.shares]
        self._rows, self._temperature = Rows(geometry, axis), temperature

    def add(self, probabilities: np.ndarray) -> None:
        """Take the next rows, (K, rows, *other axes in their order) float32."""
        for part in self._rows.add(tempered(probabilities, self._temperature)):
            for target, values in zip(self._targets, part.scores, strict=True):
                found = _mapped(values, part.maps)
                target[part.start : part.stop] = np.rint(FULL_SCALE * np.clip(found, 0, 1))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (K, *S) as they are when their logits are divided by a temperature."""
    if temperature == 1:
        return probabilities
    found = np.maximum(probabilities, np.float32(LEAST)) ** np.float32(1 / temperature)
    return found / found.sum(axis=0)


def _rows_of(array: np.ndarray, geometry: Geometry, axis: int) -> np.ndarray:
    """The part inside the crop of an array on the source grid, rows along `axis` first; a view."""
    inside = orient(array, geometry.orientation)[as_slices(geometry.box)]
    return np.moveaxis(inside, axis, 0)


def _fill(target: np.ndarray, margins: np.ndarray | None, part: Part) -> None:
    """Rows of a mask, and of margins, from the scores they depend on, one class at a time."""
    scores = part.scores
    if not part.maps and margins is None:
        target[...] = highest(scores, target.dtype)
        return
    # What is linear may be done to differences: one class less to interpolate.
    top: Any = np.float32(0)
    for value in range(1, len(scores)):
        scaled = _mapped(scores[value] - scores[0], part.maps)
        np.copyto(target, target.dtype.type(value), where=scaled > top)
        if value + 1 < len(scores) or margins is not None:
            top = np.maximum(top, scaled)
    if margins is not None:
        margins[...] = margins_of(top)


def margins_of(above: np.ndarray) -> np.ndarray:
    """From 0 to 255, of what the highest score is above the background's."""
    return np.rint(255 * np.clip(above, 0, 1)).astype(np.uint8)


def highest(scores: np.ndarray, dtype: np.dtype) -> np.ndarray:
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
