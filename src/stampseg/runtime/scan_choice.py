"""Which scans to label: each stands for scans that the network doubts and that nothing labelled is like.

Greedy facility location (Nemhauser, Wolsey & Fisher 1978): a scan's gain is the sum, over all scans, of
their doubt times how much nearer it is to them than what is labelled or chosen already. With few labels,
scans that are like many others teach more than the strangest ones (Hacohen, Dekel & Weinshall 2022), which
a sum favours where the largest distance would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STILL = 1e-6  # of the largest value: a deviation below it is rounding of float32
BLOCK = 512  # scans whose distances to all others are in memory at once


@dataclass(frozen=True)
class Chosen:
    """A scan that is taken.

    Attributes:
        place: which.
        distance: to what was labelled or chosen before, as a share of the scans that were nearer to it.
        like: how many other scans it is now the nearest of.
    """

    place: int
    distance: float
    like: int


def choose(
    looks: np.ndarray,
    doubts: np.ndarray,
    people: Sequence[str],
    labelled: np.ndarray | None,
    count: int,
) -> list[Chosen]:
    """Which scans to take, in order.

    Args:
        looks: (N, F) what scans look like.
        doubts: (N,) 0 to 1.
        people: of each scan; one scan of each is taken.
        labelled: (M, F) scans that are labelled; None where they are not at hand.
        count: at most this many.
    """
    everything = _standardised(looks if labelled is None else np.concatenate([looks, labelled]))
    looks, anchors = everything[: len(looks)], everything[len(looks) :]
    weights = doubts if doubts.any() else np.ones(len(looks))
    free = np.ones(len(looks), dtype=bool)
    if labelled is None:  # all are as far from what is labelled: farther than from one another
        near = np.full(len(looks), 2 * _distances(looks, looks.mean(axis=0)[None]).max() + 1)
    else:
        near = _distances(looks, anchors).min(axis=1)
    chosen: list[Chosen] = []
    while free.any() and len(chosen) < count:
        gains = np.where(free, _gains(looks, weights, near), -1.0)
        if gains.max() <= 0:  # copies of what is labelled are left alone
            gains = np.where(free, weights, -1.0)
        place = int(np.argmax(gains))
        away = _distances(looks, looks[place][None])[:, 0]
        closer = away < near
        chosen.append(
            Chosen(place, float((near[free] < near[place]).mean()), int(closer.sum()) - int(closer[place]))
        )
        free &= np.array([person != people[place] for person in people])
        near = np.minimum(near, away)
    return chosen


def _standardised(looks: np.ndarray) -> np.ndarray:
    """(N, F) with mean 0 and deviation 1; features that are constant but for rounding, as of air, are 0."""
    middle, spread = looks.mean(axis=0), looks.std(axis=0)
    varies = spread > STILL * np.abs(looks).max(axis=0, initial=0)
    return np.where(varies, (looks - middle) / np.where(varies, spread, 1), 0.0)


def _gains(looks: np.ndarray, weights: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(N,) of each scan, what taking it would bring."""
    parts = []
    for start in range(0, len(looks), BLOCK):
        away = _distances(looks[start : start + BLOCK], looks)
        parts.append(np.maximum(near - away, 0) @ weights)
    return np.concatenate(parts)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) root mean square over the features of (A, F) and (B, F)."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0) / first.shape[1])
