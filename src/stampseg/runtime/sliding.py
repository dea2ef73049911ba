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
from typing import Protocol

import numpy as np

from ..data.boxes import cut_window
from ..data.inverse import Restorer
from ..data.labels.pieces import keep_surest
from ..data.plan import Plan
from ..data.preprocess import Prepared

OVERLAP = 0.5
LEAST = 1e-3  # weight at the corners of a window, of 1 in its middle

# Windows (B, C, *patch) float32 -> class scores (B, K, *patch) float32, logits.
Scorer = Callable[[np.ndarray], np.ndarray]


def segment_windows(prepared: Prepared, plan: Plan, scorer: Scorer, *, batch_size: int = 1) -> np.ndarray:
    """The mask of `segment_pieces` alone."""
    return segment_pieces(prepared, plan, scorer, batch_size=batch_size)[0]


class Listener(Protocol):
    """Whoever takes the probabilities as they become final, beside the mask."""

    def add(self, probabilities: np.ndarray, /) -> None:
        """Take the next rows along the axis of the walk, (K, rows, *other axes in their order) float32."""


def segment_pieces(
    prepared: Prepared,
    plan: Plan,
    scorer: Scorer,
    *,
    batch_size: int = 1,
    mirror: bool = False,
    listener: Listener | None = None,
) -> tuple[np.ndarray, int]:
    """Class index of every voxel of a prepared case, on the grid that its geometry leads back to.

    It is uint8, or uint16 of more than 256 classes. Of classes that are one piece by the plan, the surest
    piece is kept; how many others were left out is the second value.

    Args:
        prepared: the case.
        plan: patch and convention.
        scorer: gives the logits of windows.
        batch_size: windows given to it at once.
        mirror: average over all mirrored views, at 2 to the number of axes times the work.
        listener: takes the probabilities as well.
    """
    axis = walking_axis(prepared.image.shape[1:], plan.patch_size)
    restorer = Restorer(
        prepared.geometry, plan.out_channels, axis, with_margins=bool(plan.one_piece), regions=plan.regions
    )
    for rows in slide(prepared.image, plan, scorer, axis, batch_size=batch_size, mirror=mirror):
        restorer.add(rows)
        if listener is not None:
            listener.add(probabilities_of(rows, plan))
    dropped = 0
    if restorer.margins is not None:
        dropped = keep_surest(restorer.mask, restorer.margins, plan.one_piece)
    return restorer.mask, dropped


def probabilities_of(rows: np.ndarray, plan: Plan) -> np.ndarray:
    """Of rows of class scores (K, *S), which are logits where the plan has nnU-Net's convention."""
    return softmax(rows[None])[0] if plan.averages_logits else rows


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
    slab = _Slab(image.shape[1:], plan, axis, starts)
    for first in range(0, len(places), batch_size):
        chosen = places[first : first + batch_size]
        windows = np.stack([cut_window(image, place, plan.patch_size) for place in chosen])
        scores = _score(windows, scorer, plan.averages_logits, _mirrored(plan) if mirror else ())
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
        if plan.convention == "nnunet":
            starts.append(_spread(rest, window))
            continue
        step = max(int(window * (1 - OVERLAP)), 1)
        starts.append([min(k * step, rest) for k in range(math.ceil(rest / step) + 1)])
    return starts


def _spread(rest: int, window: int) -> list[int]:
    """nnU-Net's places: the fewest windows that overlap by half, spread evenly to the voxel.

    Windows of one voxel would stand at some places twice, which leaves their mean as it is.
    """
    count = math.ceil(rest / (OVERLAP * window))
    step = rest / count
    return sorted({round(step * number) for number in range(count + 1)})


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

    def __init__(self, shape: Sequence[int], plan: Plan, axis: int, starts: Sequence[Sequence[int]]) -> None:
        self._axis = axis
        self._shape = tuple(shape)
        self._patch = plan.patch_size
        self._room = [max(n, p) for n, p in zip(shape, self._patch, strict=True)]
        self._room[axis] = self._patch[axis]
        self._pads = [max(p - n, 0) // 2 for n, p in zip(shape, self._patch, strict=True)]
        self._scores: np.ndarray | None = None
        self._weight: np.ndarray | None = None  # of a window; none where there is only one
        if math.prod(map(len, starts)) > 1:
            self._weight = window_weight(plan.patch_size, plan.convention)
            self._layer = self._layer_weights(self._weight, starts)  # of all windows at one place of the axis
            self._weights = np.zeros(self._room, dtype=np.float32)
        self._last: int | None = None  # place of the axis
        self._next = 0  # the first row that is not final yet

    def add(self, scores: np.ndarray, place: Sequence[int]) -> None:
        """Add one window (K, *patch), which is overwritten; windows come by their place along the axis."""
        if self._weight is None:
            self._scores = scores
            return
        if self._scores is None:
            self._scores = np.zeros((len(scores), *self._room), dtype=np.float32)
        scores *= self._weight
        across = [
            slice(start + pad, start + pad + n)
            for start, pad, n in zip(place, self._pads, self._patch, strict=True)
        ]
        for there, own in self._pieces(place[self._axis]):
            target, source = (slice(None), *across), self._rows(own)
            target = (*target[: self._axis + 1], there, *target[self._axis + 2 :])
            self._scores[target] += scores[(slice(None), *source)]
            if place[self._axis] != self._last:
                self._weights[self._rows(there)] += self._layer[source]
        self._last = place[self._axis]

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
                used = self._rows(slice(first, first + count))
                self._scores[(slice(None), *used)] = 0
                self._weights[used] = 0
            self._next += count
            yield np.moveaxis(found, 1 + self._axis, 1)

    def _pieces(self, start: int) -> Iterator[tuple[slice, slice]]:
        """Where the rows of a window at `start` go, and which they are: two pieces if they pass the end."""
        thick = self._patch[self._axis]
        first = (start + self._pads[self._axis]) % thick
        yield slice(first, thick), slice(0, thick - first)
        if first:
            yield slice(0, first), slice(thick - first, thick)

    def _rows(self, rows: slice) -> tuple[slice, ...]:
        """Those rows along the axis, everything along the others."""
        return tuple(rows if axis == self._axis else slice(None) for axis in range(len(self._shape)))

    def _layer_weights(self, weight: np.ndarray, starts: Sequence[Sequence[int]]) -> np.ndarray:
        total = np.zeros(self._room, dtype=np.float32)
        others = [[0] if axis == self._axis else places for axis, places in enumerate(starts)]
        for place in itertools.product(*others):
            pads = (0 if axis == self._axis else pad for axis, pad in enumerate(self._pads))
            corner = [start + pad for start, pad in zip(place, pads, strict=True)]
            total[tuple(slice(c, c + n) for c, n in zip(corner, self._patch, strict=True))] += weight
        return total


def _mirrored(plan: Plan) -> tuple[int, ...]:
    """The spatial axes along which views are mirrored: those in whose mirrored views the network learnt."""
    return tuple(range(plan.spatial_dims)) if plan.mirror_axes is None else plan.mirror_axes


def _score(windows: np.ndarray, scorer: Scorer, logits: bool, mirrored: Sequence[int]) -> np.ndarray:
    """Scores (B, K, *patch) of windows, as probabilities unless `logits`, mean over their mirrored views."""
    axes = [2 + axis for axis in mirrored]
    views = [v for n in range(len(axes) + 1) for v in itertools.combinations(axes, n)]
    total: np.ndarray | None = None
    for view in views:
        found = scorer(np.ascontiguousarray(np.flip(windows, view)))
        found = np.flip(found if logits else softmax(found), view)
        total = found if total is None else total + found
    if total is None:
        raise ValueError("no view")
    return total / np.float32(len(views)) if len(views) > 1 else total


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities (B, K, *S) of logits."""
    shares = np.empty(scores.shape, dtype=np.float32)
    if scores.shape[1] == 2:  # one exponential instead of two: it is what takes the time
        second = shares[:, 1]
        np.subtract(scores[:, 0], scores[:, 1], out=second)
        with np.errstate(over="ignore"):  # of infinity comes 0, as it should
            np.exp(second, out=second)
        second += 1
        np.reciprocal(second, out=second)
        np.subtract(np.float32(1), second, out=shares[:, 0])
        return shares
    np.subtract(scores, scores.max(axis=1, keepdims=True), out=shares)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
