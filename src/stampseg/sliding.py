"""Sliding windows in numpy: the same mask whatever computes the scores, in bounded memory.

Windows of the training patch overlap by half and are averaged as probabilities under a Gaussian weight;
as logits, at nnU-Net's places and under its weight, where the plan has its convention. They are walked
slab by slab along one axis. Scores are kept only for the rows that unfinished windows still touch; rows
that no window will touch again are final and leave.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from .data.plan import Plan
from .data.preprocess import Prepared
from .data.restoring import Restorer

OVERLAP = 0.5
LEAST = 1e-3  # weight at the corners of a window, of 1 in its middle

# Windows (B, C, *patch) float32 -> class scores (B, K, *patch) float32, logits.
Scorer = Callable[[np.ndarray], np.ndarray]


def segment_windows(
    prepared: Prepared, plan: Plan, scorer: Scorer, *, batch_size: int = 1, mirror: bool = False
) -> np.ndarray:
    """Class index of every voxel of a prepared case, uint8 on the grid that its geometry leads back to.

    Args:
        prepared: the case.
        plan: patch and convention.
        scorer: gives the logits of windows.
        batch_size: windows given to it at once.
        mirror: average over all mirrored views, at 2 to the number of axes times the work.
    """
    axis = walking_axis(prepared.image.shape[1:], plan.patch_size)
    restorer = Restorer(prepared.geometry, axis)
    for rows in slide(prepared.image, plan, scorer, axis, batch_size=batch_size, mirror=mirror):
        restorer.add(rows)
    return restorer.mask


def slide(
    image: np.ndarray, plan: Plan, scorer: Scorer, axis: int, *, batch_size: int = 1, mirror: bool = False
) -> Iterator[np.ndarray]:
    """Rows of class scores along `axis` as they become final, (K, rows, *other axes in their order).

    An image smaller than the patch is padded to it by zeros on both sides, as in training, even where
    a smaller multiple of the stride would do: a wide zero border moves the statistics of instance
    norms and what the deep levels see, so it stays what was learned.

    Args:
        image: (C, *S) float32.
        plan: patch and convention.
        scorer: gives the logits of windows.
        axis: to walk along.
        batch_size: windows given to it at once.
        mirror: average over all mirrored views.
    """
    starts = window_starts(image.shape[1:], plan)
    order = [axis, *(other for other in range(len(starts)) if other != axis)]
    places = [
        tuple(place[order.index(a)] for a in range(len(order)))
        for place in itertools.product(*(starts[a] for a in order))
    ]
    slab = _Slab(image.shape[1:], plan, axis, single=len(places) == 1)
    for first in range(0, len(places), batch_size):
        chosen = places[first : first + batch_size]
        windows = np.stack([cut_window(image, place, plan.patch_size) for place in chosen])
        scores = _score(windows, scorer, plan.convention == "nnunet", mirror)
        for place, found in zip(chosen, scores, strict=True):
            yield from slab.finish(place[axis])
            slab.add(found, place)
    yield from slab.finish(None)


def walking_axis(shape: Sequence[int], patch: Sequence[int]) -> int:
    """The axis along which a slab as thick as a window is the smallest share of the image."""
    return int(np.argmax([max(n, p) / p for n, p in zip(shape, patch, strict=True)]))


def window_starts(shape: Sequence[int], plan: Plan) -> list[list[int]]:
    """First voxel of the windows along each axis, negative where the image is padded."""
    starts = []
    for size, window in zip(shape, plan.patch_size, strict=True):
        rest = size - window
        if rest <= 0:
            starts.append([-(-rest // 2)])
            continue
        step = max(int(window * (1 - OVERLAP)), 1)
        if plan.convention == "nnunet":  # evenly spread over the fewest windows that overlap by half
            step = math.ceil(rest / math.ceil(rest / (OVERLAP * window)))
        starts.append([min(k * step, rest) for k in range(math.ceil(rest / step) + 1)])
    return starts


def cut_window(image: np.ndarray, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """The window (C, *size) from `start`, zeros beyond the image."""
    stops = [s + n for s, n in zip(start, size, strict=True)]
    inside = [
        slice(max(s, 0), min(stop, n)) for s, stop, n in zip(start, stops, image.shape[1:], strict=True)
    ]
    found = image[(slice(None), *inside)]
    if found.shape[1:] == tuple(size):
        return found
    window = np.zeros((len(image), *size), dtype=image.dtype)
    place = (slice(part.start - s, part.stop - s) for part, s in zip(inside, start, strict=True))
    window[(slice(None), *place)] = found
    return window


@lru_cache(maxsize=2)
def window_weight(patch: tuple[int, ...], convention: str) -> np.ndarray:
    """Weight of a window's voxels, (*patch) float32: a Gaussian of an eighth of the patch, never 0."""
    if convention != "nnunet":
        weight = np.ones((), dtype=np.float32)
        for size in patch:
            apart = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
            weight = np.multiply.outer(weight, np.exp(-(apart**2) / np.float32(2 * (size / 8) ** 2)))
        return np.maximum(weight, np.float32(LEAST))
    spot = np.ones(())
    for size in patch:
        spot = np.multiply.outer(spot, np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 8)) ** 2))
    spot /= spot.max()
    return np.maximum(spot, spot[spot > 0].min()).astype(np.float32)


class _Slab:
    """Weighted sums of scores, as many rows as a window is long: row r of the image is at r modulo that."""

    def __init__(self, shape: Sequence[int], plan: Plan, axis: int, single: bool) -> None:
        self._axis = axis
        self._shape = tuple(shape)
        self._patch = plan.patch_size
        self._weight = None if single else window_weight(plan.patch_size, plan.convention)
        self._room = [max(n, p) for n, p in zip(shape, self._patch, strict=True)]
        self._room[axis] = self._patch[axis]
        self._pads = [max(p - n, 0) // 2 for n, p in zip(shape, self._patch, strict=True)]
        self._scores: np.ndarray | None = None
        self._weights = np.zeros(0, dtype=np.float32)
        self._next = 0  # the first row that is not final yet

    def add(self, scores: np.ndarray, place: Sequence[int]) -> None:
        """Add one window (K, *patch)."""
        if self._weight is None:
            self._scores = scores
            return
        if self._scores is None:
            self._scores = np.zeros((len(scores), *self._room), dtype=np.float32)
            self._weights = np.zeros(self._room, dtype=np.float32)
        weighted = scores * self._weight
        for target, source in self._halves(place):
            self._scores[(slice(None), *target)] += weighted[(slice(None), *source)]
            self._weights[target] += self._weight[source]

    def finish(self, row: int | None) -> Iterator[np.ndarray]:
        """Rows before `row`, which no window touches any more; None: all that are left."""
        size, thick = self._shape[self._axis], self._patch[self._axis]
        stop = size if row is None else min(max(row, 0), size)
        while self._next < stop and self._scores is not None:
            first = (self._next + self._pads[self._axis]) % thick
            count = min(stop - self._next, thick - first)
            rows = [slice(pad, pad + n) for pad, n in zip(self._pads, self._shape, strict=True)]
            rows[self._axis] = slice(first, first + count)
            found = self._scores[(slice(None), *rows)]
            if self._weight is not None:
                found = found / self._weights[tuple(rows)]
                rows = [slice(None)] * len(rows)
                rows[self._axis] = slice(first, first + count)
                self._scores[(slice(None), *rows)] = 0
                self._weights[tuple(rows)] = 0
            self._next += count
            yield np.moveaxis(found, 1 + self._axis, 1)

    def _halves(self, place: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Where a window goes, and which part of it: two parts where its rows run over the end."""
        thick = self._patch[self._axis]
        first = (place[self._axis] + self._pads[self._axis]) % thick
        target = [
            slice(start + pad, start + pad + n)
            for start, pad, n in zip(place, self._pads, self._patch, strict=True)
        ]
        source = [slice(None)] * len(target)
        for own, there in ((slice(0, thick - first), first), (slice(thick - first, thick), 0)):
            count = own.stop - own.start
            if count > 0:
                target[self._axis], source[self._axis] = slice(there, there + count), own
                yield tuple(target), tuple(source)


def _score(windows: np.ndarray, scorer: Scorer, logits: bool, mirror: bool) -> np.ndarray:
    """Scores (B, K, *patch) of windows, as probabilities unless `logits`, mean over their mirrored views."""
    axes = range(2, windows.ndim)
    views = [v for n in range(len(axes) + 1) for v in itertools.combinations(axes, n)] if mirror else [()]
    total: np.ndarray | None = None
    for view in views:
        found = scorer(np.ascontiguousarray(np.flip(windows, view)))
        found = np.flip(found if logits else softmax(found), view)
        total = found if total is None else total + found
    if total is None:
        raise ValueError("no view")
    return total / np.float32(len(views)) if mirror else total


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities (B, K, *S) of logits."""
    shares = scores - scores.max(axis=1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
