"""How far a mask can be trusted: does the network say the same of the image a little turned?

Three passes: the image as it is, and every window turned by `ANGLE` to either side and back. Of each label,
or region,

    certainty = (expected Dice by the probabilities + mean Dice with the masks of the turned views
                 + 1 / (1 + entropy)) / 3

where the first is 2 sum of p inside the mask / (voxels of the mask + sum of p), and the entropy is that of
the label against the rest, in nats, summed over all voxels and divided by those of the mask: it is fair to
thin masks, which a turn breaks though they are right. A calibration in the plan makes a Dice of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.packages import require
from ..data.inverse import Restorer
from ..data.labels.pieces import keep_surest
from ..data.labels.regions import decided, in_classes
from ..data.plan import Plan
from ..data.preprocess import Prepared
from .sliding import Listener, Scorer, probabilities_of, slide, walking_axis

ANGLE = math.radians(10)
SURE = 1e-6  # probability below which a voxel has no entropy


@dataclass(frozen=True, eq=False)
class Confident:
    """A mask, and how far it can be trusted.

    Attributes:
        mask: class of every voxel (*S) on the source grid, the same as without confidence.
        dropped: pieces left out of it.
        certainty: of background and each structure of the plan, 0 to 1; None where no mask holds it.
        uncertainty: (*S) uint8 on the source grid: 255 times how far the mean probability of the likeliest
            class is from 1.
        stray: what the pieces left out were of the voxels of their label, the largest share.
    """

    mask: np.ndarray
    dropped: int
    certainty: tuple[float | None, ...]
    uncertainty: np.ndarray
    stray: float = 0.0


def segment_confidently(
    prepared: Prepared,
    plan: Plan,
    scorer: Scorer,
    *,
    batch_size: int = 1,
    mirror: bool = False,
    listener: Listener | None = None,
) -> Confident:
    """The mask of `segment_pieces` and its confidence, in memory bounded as there, at three times the work.

    Args:
        prepared: the case.
        plan: patch and convention.
        scorer: gives the logits of windows.
        batch_size: windows given to it at once.
        mirror: average over all mirrored views.
        listener: takes the probabilities of the image as it is as well.

    Raises:
        MissingPackageError: SciPy, which turns the windows, is not installed.
    """
    axis = walking_axis(prepared.image.shape[1:], plan.patch_size)
    views = [scorer, turned(scorer, plan, ANGLE), turned(scorer, plan, -ANGLE)]
    walks = [slide(prepared.image, plan, view, axis, batch_size=batch_size, mirror=mirror) for view in views]
    classes, geometry = plan.out_channels, prepared.geometry
    masks = Restorer(geometry, classes, axis, with_margins=bool(plan.one_piece), regions=plan.regions)
    doubts = Restorer(geometry, 2, axis, with_margins=True)
    agreement = Agreement(plan)
    for rows in zip(*walks, strict=True):
        views_of = [probabilities_of(part, plan) for part in rows]
        masks.add(rows[0])
        if listener is not None:
            listener.add(views_of[0])
        agreement.add(views_of)
        doubt = 1 - np.mean(views_of, axis=0).max(axis=0)
        doubts.add(np.stack([np.zeros_like(doubt), doubt]))
    dropped, stray = 0, 0.0
    if masks.margins is not None:
        before = _voxels(masks.mask, plan.one_piece)
        dropped = keep_surest(masks.mask, masks.margins, plan.one_piece)
        if dropped:
            stray = float(np.max((before - _voxels(masks.mask, plan.one_piece)) / np.maximum(before, 1)))
    assert doubts.margins is not None
    return Confident(masks.mask, dropped, agreement.certainty(), doubts.margins, stray)


def _voxels(mask: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Of each of some classes."""
    return np.array([np.count_nonzero(mask == value) for value in classes])


class Agreement:
    """Sums over rows of probabilities, of which certainty is made; of the background and each structure."""

    def __init__(self, plan: Plan) -> None:
        self._regions = plan.regions
        self._parts = ((0,), *(classes for _, classes in plan.structures))
        self._voxels = np.zeros((3, len(self._parts)))  # of the masks of the views
        self._common = np.zeros((2, len(self._parts)))  # of the first mask with those of the turned views
        self._inside = np.zeros(len(self._parts))  # probability within the first mask
        self._all = np.zeros(len(self._parts))
        self._entropy = np.zeros(len(self._parts))

    def add(self, views: Sequence[np.ndarray]) -> None:
        """Take rows (K, *S) of the image as it is and of the turned views."""
        found = [self._mask(view) for view in views]
        for number, classes in enumerate(self._parts):
            inside = [in_classes(view, classes) for view in found]
            self._voxels[:, number] += [part.sum() for part in inside]
            self._common[:, number] += [(inside[0] & other).sum() for other in inside[1:]]
            share = views[0][list(classes)].sum(axis=0)
            self._inside[number] += share[inside[0]].sum(dtype=np.float64)
            self._all[number] += share.sum(dtype=np.float64)
            self._entropy[number] += _entropy(share)

    def _mask(self, view: np.ndarray) -> np.ndarray:
        if not self._regions:
            return view.argmax(axis=0)
        return decided((region.of(view) for region in self._regions), self._regions, np.dtype(np.intp))

    def certainty(self) -> tuple[float | None, ...]:
        """Of the background and each structure."""
        return tuple(self._of(number) for number in range(len(self._parts)))

    def _of(self, value: int) -> float | None:
        own, *others = self._voxels[:, value]
        if not own and not any(others):
            return None
        agreed = [
            2 * common / (own + other) if own + other else 1.0
            for common, other in zip(self._common[:, value], others, strict=True)
        ]
        everything = own + self._all[value]  # nothing, where its probability is too small for a number
        soft = 2 * self._inside[value] / everything if everything else 0.0
        clear = own / (own + self._entropy[value]) if own else 0.0
        return float((soft + np.mean(agreed) + clear) / 3)


def _entropy(share: np.ndarray) -> float:
    """Of probabilities against the rest, in nats, summed; what is almost sure adds nothing."""
    p = share[(share > SURE) & (share < 1 - SURE)].astype(np.float64)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum())


def turned(scorer: Scorer, plan: Plan, angle: float) -> Scorer:
    """A scorer of windows turned by `angle` in the plane of the finest voxels, its scores turned back.

    An axis of one voxel is not turned, while there are others.

    What lies outside of a turned window is its nearest voxel. Scores are given above those of the first
    class, whose own are then 0: that is one class less to turn, and the same probabilities.
    """
    by_fineness = sorted(
        range(plan.spatial_dims), key=lambda axis: (plan.patch_size[axis] == 1, plan.spacing[axis])
    )
    plane = sorted(by_fineness[:2])
    there, back = (_weights(plan, plane, a) for a in (angle, -angle))
    axes = [2 + axis for axis in plane]

    def turn(arrays: np.ndarray, weights: Any) -> np.ndarray:
        """(B, C, *S), all slices and channels at once."""
        moved = np.moveaxis(arrays, axes, (0, 1))
        flat = np.ascontiguousarray(moved, dtype=np.float32).reshape(moved.shape[0] * moved.shape[1], -1)
        return np.moveaxis((weights @ flat).reshape(moved.shape), (0, 1), axes)

    def score(windows: np.ndarray) -> np.ndarray:
        scores = scorer(np.ascontiguousarray(turn(windows, there)))
        above = np.zeros_like(scores)
        above[:, 1:] = turn(scores[:, 1:] - scores[:, :1], back)
        return above

    return score


def _weights(plan: Plan, plane: Sequence[int], angle: float) -> Any:
    """Of every pixel of a turned plane, the weights of the pixels that it is interpolated from; sparse."""
    sparse = require("scipy.sparse", "turning images, by which confidence is measured,")
    shape = [plan.patch_size[axis] for axis in plane]
    middle = (np.array(shape) - 1) / 2
    matrix = _turn([plan.spacing[axis] for axis in plane], angle)
    grid = np.indices(shape).reshape(2, -1)
    last = np.array(shape)[:, None] - 1
    places = np.clip(matrix @ (grid - middle[:, None]) + middle[:, None], 0, last)
    first = np.minimum(places.astype(np.intp), np.maximum(last - 1, 0))
    rest = places - first
    count = grid.shape[1]
    rows, columns, values = [], [], []
    for corner in np.ndindex(2, 2):
        step = np.array(corner)[:, None]
        near = np.minimum(first + step, last)  # of an axis of one pixel there is no other
        rows.append(np.arange(count))
        columns.append(np.ravel_multi_index(tuple(near), shape))
        values.append(np.prod(np.where(step == 1, rest, 1 - rest), axis=0))
    parts = (np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(parts, shape=(count, count))


def _turn(spacing: Sequence[float], angle: float) -> np.ndarray:
    """The turn in pixels: a rotation in mm between two scalings."""
    sizes = np.array(spacing)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return rotation * sizes[None, :] / sizes[:, None]
