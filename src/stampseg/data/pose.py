"""Whether a scan would be more like the training scans if it were turned, mirrored or magnified.

One likeness alone says little where scans of one kind differ much: what counts is how much more alike a scan
becomes, against how much more alike the training scans become themselves. For how a scan is laid down the
likeness is learnt: what tells training scans as they are from the same scans turned and mirrored, by ridge
regression (Hoerl and Kennard, Technometrics 1970). Every way to lie weighs alike in it, so that one template
serves for all of them: a scan is turned as the template is. In the same way is learnt how near they are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, reduce
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from ..core.options import Options

FACTORS = (1.35, 1.6)  # by which the middle of a scan is magnified
SAME = 6  # decimals: cells that differ by less are equal, else rounding would order what is outside of a body

PENALTY = 1.0  # of the ridge, where the ranks of each cell have deviation 1
GROUPS = 8  # of people, each of which is left out once
MOST_PEOPLE, MOST_SCANS = 200, 400  # that are learnt from: more change little and take long
NEARER = (1.25, 1.5, 1.8)  # by which scans are magnified to learn how near they are seen
NEAR = 1.5  # the same, to tell whether a scan is farther
# Chosen, like the penalty, on draws of the people of five sets, by scans that were changed and false alarms.
LEAST_GAIN, LEAST_NEAR = 0.15, 0.65  # of sums that are learnt to be 0 and 1; less is chance
ROOM, MORE_ROOM, ROOM_OF_ONE = 0.1, 0.25, 0.5  # beyond people who were left out; the last by their number
USUAL = 0.9  # quantile of one person's scans
ODD, FEW = 0.05, 5  # share of people who may lie otherwise themselves, of more than so many
FAR = 0.35  # beyond what is learnt, that one of them is left out


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


def _ranks(values: np.ndarray) -> np.ndarray:
    """With mean 0 and deviation 1, or all 0; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values.round(SAME), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places].reshape(values.shape)
    spread = ranks.std()
    return (ranks - ranks.mean()) / (spread if spread > 0 else 1.0)


class Pose(Options):
    """How the training scans lie, and how near they are seen.

    Attributes:
        template: flat; the sum of its products with the ranks of a scan's cells is the larger the more that
            scan lies like them.
        turned: by how much that sum may grow where a scan is turned by quarters.
        mirrored: where it is mirrored.
        near: a template as well, of which the sum is the larger the nearer a scan is seen.
        enlarged: that sum at most.
        reduced: that sum at least, where the middle of a scan is magnified.
    """

    template: tuple[float, ...]
    turned: float
    mirrored: float
    near: tuple[float, ...]
    enlarged: float
    reduced: float

    def told(self, cells: np.ndarray) -> str | None:
        """What a scan is and they are not: `turned`, `mirrored`, `enlarged`, `reduced`; None of others.

        Args:
            cells: of the scan, (C, n, n) or (C, n, n, n).
        """
        ranks = _ranks(cells)
        laid = {
            "turned": _gain(ranks, self.template, turns) - self.turned,
            "mirrored": _gain(ranks, self.template, mirrors) - self.mirrored,
        }
        sizes = {
            "enlarged": float(ranks.ravel() @ self.near) - self.enlarged,
            "reduced": self.reduced - float(_ranks(magnified(cells, NEAR)).ravel() @ self.near),
        }
        for beyond in (laid, sizes):  # of one that lies otherwise its size cannot be told
            word = max(beyond, key=beyond.__getitem__)
            if beyond[word] > 0:
                return word
        return None


def pose(cells: Sequence[np.ndarray], people: Sequence[str]) -> Pose:
    """How scans lie together, and how near they are seen.

    Args:
        cells: of each scan, (C, n, n) or (C, n, n, n).
        people: whose it is; three or more. All weigh alike, however many scans they have.
    """
    scans = _some(cells, people)
    lying, (turned, mirrored) = _learnt(
        scans,
        _lying,
        lambda cells, of: [_gain(_ranks(cells), of.weights, way) for way in (turns, mirrors)],
        LEAST_GAIN,
    )
    near, sizes = _learnt(
        scans,
        _near,
        lambda cells, of: [of.of(cells), 1 - of.of(magnified(cells, NEAR))],
        LEAST_NEAR,
    )
    enlarged, reduced = np.maximum(LEAST_NEAR, sizes + MORE_ROOM + ROOM_OF_ONE / len(scans))
    room = ROOM_OF_ONE / len(scans)
    return Pose(
        template=tuple(lying.weights.round(4).tolist()),
        turned=round(max(LEAST_GAIN, turned + ROOM + room), 4),
        mirrored=round(max(LEAST_GAIN, mirrored + MORE_ROOM + room), 4),
        near=tuple(near.weights.round(4).tolist()),
        enlarged=round(float(enlarged) - near.rest, 4),
        reduced=round(1 - float(reduced) - near.rest, 4),
    )


class _Ridge(NamedTuple):
    """What a target rises by with the rank of each cell, and what it is where all are 0."""

    weights: np.ndarray
    rest: float

    def of(self, cells: np.ndarray) -> float:
        """The target that is to be expected of a scan."""
        return float(_ranks(cells).ravel() @ self.weights) + self.rest


class _Views(NamedTuple):
    """A scan as it is and changed: ranks (N, cells), what is to be learnt of each, and its weight."""

    ranks: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def _lying(cells: np.ndarray) -> _Views:
    """1 as it is, 0 turned and mirrored."""
    ranks = _ranks(cells)
    laid = [list(ways(ranks)) for ways in (turns, mirrors)]
    rows = np.stack([one.ravel() for one in (ranks, *laid[0], *laid[1])])
    weights = np.concatenate([[1.0], *(np.full(len(ways), 1 / len(ways)) for ways in laid)])
    return _Views(rows, np.eye(len(rows))[0], weights)


def _near(cells: np.ndarray) -> _Views:
    """0 as it is, 1 magnified."""
    rows = np.stack([_ranks(one).ravel() for one in (cells, *(magnified(cells, by) for by in NEARER))])
    weights = np.concatenate([[1.0], np.full(len(NEARER), 1 / len(NEARER))])
    return _Views(rows, 1 - np.eye(len(rows))[0], weights)


def _some(cells: Sequence[np.ndarray], people: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Some scans of some people, where there are very many: those that lie evenly among them."""
    scans: dict[str, list[np.ndarray]] = {person: [] for person in sorted(set(people))}
    for one, person in zip(cells, people, strict=True):
        scans[person].append(one)
    chosen = _evenly(list(scans), MOST_PEOPLE)
    return {person: _evenly(scans[person], max(1, MOST_SCANS // len(chosen))) for person in chosen}


def _evenly(values: list[Any], most: int) -> list[Any]:
    return [values[n * len(values) // most] for n in range(most)] if len(values) > most else values


def _learnt(
    scans: dict[str, list[np.ndarray]],
    views: Callable[[np.ndarray], _Views],
    figures: Callable[[np.ndarray, _Ridge], list[float]],
    least: float,
) -> tuple[_Ridge, np.ndarray]:
    """The ridge of all people, and the most of each figure among people who were left out of theirs.

    Among so many some may lie otherwise themselves, which nobody has told: of a share `ODD` nothing is asked,
    and those of them whose figures are far beyond `least` have no part in what is learnt.
    """
    total, found = _left_out(scans, views, figures)
    spared = math.ceil(ODD * len(scans)) if len(scans) > FEW else 0
    ranked = sorted(found, key=lambda person: float(found[person].max()), reverse=True)
    odd = [person for person in ranked[:spared] if found[person].max() > least + FAR]
    if odd:
        others = {person: of_person for person, of_person in scans.items() if person not in odd}
        total, found = _left_out(others, views, figures)
    most = np.sort(list(found.values()), axis=0)[len(found) - 1 - (spared - len(odd))]
    return _ridge(total), most


def _left_out(
    scans: dict[str, list[np.ndarray]],
    views: Callable[[np.ndarray], _Views],
    figures: Callable[[np.ndarray, _Ridge], list[float]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The moments of all people, and the usual figures of each one's scans by the ridge of the others."""
    people, found = list(scans), {}
    groups = [people[number::GROUPS] for number in range(min(GROUPS, len(people)))]
    parts = [reduce(np.add, (_moments(map(views, scans[person])) for person in group)) for group in groups]
    total = np.sum(parts, axis=0)
    for group, part in zip(groups, parts, strict=True):
        others = _ridge(total - part)
        for person in group:
            each = [figures(one, others) for one in scans[person]]
            found[person] = np.quantile(each, USUAL, axis=0)
    return total, found


def _moments(views: Iterable[_Views]) -> np.ndarray:
    """Mean over one person's scans of the sums of products of (1, target, ranks)."""
    found, count = np.zeros(()), 0
    for one in views:
        rows = np.column_stack([np.ones(len(one.targets)), one.targets, one.ranks])
        found, count = found + (rows.T * one.weights) @ rows, count + 1
    return found / count


def _ridge(moments: np.ndarray) -> _Ridge:
    means = moments[0] / moments[0, 0]
    spread = (moments / moments[0, 0] - np.outer(means, means))[1:, 1:]
    weights = np.linalg.solve(spread[1:, 1:] + PENALTY * np.eye(len(spread) - 1), spread[1:, 0])
    return _Ridge(weights, float(means[1] - means[2:] @ weights))


def _gain(
    ranks: np.ndarray,
    template: Sequence[float] | np.ndarray,
    ways: Callable[[np.ndarray], Iterator[np.ndarray]],
) -> float:
    """By how much the sum of products with the template grows at most, where the ranks are laid otherwise."""
    best = max(float(laid.ravel() @ template) for laid in ways(ranks))
    return best - float(ranks.ravel() @ template)
