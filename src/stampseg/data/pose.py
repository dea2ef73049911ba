"""How training scans lie and how near they are seen, and what lies or is seen otherwise.

It is learnt by ridge regression (Hoerl and Kennard, Technometrics 1970): what tells training scans as they
are from the same scans turned and mirrored, and from the same scans magnified. Every way to lie weighs alike
in it, so that one template serves for all of them: a scan is turned as the template is. How far a scan may go
is learnt from people who were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ..core.options import Options
from .cells import magnified, mirrors, ranks_of, turns

PENALTY = 1.0  # of the ridge, where the ranks of each cell have deviation 1
GROUPS = 8  # of people, each of which is left out once
MOST_PEOPLE, MOST_SCANS, MOST_CHANNELS = 200, 400, 4  # that are looked at: more change little and take long
NEARER = (1.25, 1.5, 1.8)  # by which scans are magnified to learn how near they are seen
NEAR = 1.5  # the same, to tell whether a scan is farther
# Chosen, like the penalty, on draws of the people of five sets, by scans that were changed and false alarms.
LEAST_GAIN, LEAST_NEAR = 0.15, 0.65  # of sums that are learnt to be 0 and 1; less is chance
ROOM, MORE_ROOM, ROOM_OF_ONE = 0.1, 0.25, 0.5  # beyond people who were left out; the last by their number
USUAL = 0.9  # quantile of one person's scans
LEARNT = (0.0, -LEAST_GAIN)  # gained by most people when turned and mirrored, if how they lie is known
ODD, FEW = 0.05, 5  # share of people who may lie otherwise themselves; one may, of more than so many
FAR = 0.35  # beyond what is learnt, that one of them is left out
CLEAR, CLEAR_OF_FEW = 0.6, 0.7  # gained by half of a person's scans that is worth a word; of one or two scans


class Pose(Options):
    """How the training scans lie, and how near they are seen.

    Attributes:
        template: flat; the sum of its products with the ranks of a scan's cells is the larger the more that
            scan lies like them.
        turned: by how much that sum may grow where a scan is turned by quarters; None where they do not
            lie in one way, or nothing in them tells it.
        mirrored: the same where it is mirrored; None where both sides are alike, or of both are some.
        near: a template as well, of which the sum is the larger the nearer a scan is seen.
        enlarged: that sum at most.
        reduced: that sum at least, where the middle of a scan is magnified.
    """

    template: tuple[float, ...]
    turned: float | None
    mirrored: float | None
    near: tuple[float, ...]
    enlarged: float
    reduced: float

    def told(self, cells: np.ndarray) -> str | None:
        """What a scan is and they are not: `turned`, `mirrored`, `enlarged`, `reduced`; None of others.

        Args:
            cells: of the scan, (C, n, n) or (C, n, n, n).
        """
        cells = _evenly(cells, MOST_CHANNELS)
        ranks = ranks_of(cells)
        ways = (("turned", turns, self.turned), ("mirrored", mirrors, self.mirrored))
        laid = {word: _gain(ranks, self.template, way) - most for word, way, most in ways if most is not None}
        sizes = {
            "enlarged": float(ranks.ravel() @ self.near) - self.enlarged,
            "reduced": self.reduced - float(ranks_of(magnified(cells, NEAR)).ravel() @ self.near),
        }
        for beyond in (laid, sizes):  # of one that lies otherwise its size cannot be told
            word = max(beyond, key=beyond.__getitem__, default="")
            if word and beyond[word] > 0:
                return word
        return None


def pose(cells: Sequence[np.ndarray], people: Sequence[str]) -> Pose:
    """How scans lie together, and how near they are seen.

    Args:
        cells: of each scan, (C, n, n) or (C, n, n, n).
        people: whose it is; three or more. All weigh alike, however many scans they have.
    """
    scans = _some(cells, people)
    lying, most, middle = _learnt(scans, _lying, _gains_of, LEAST_GAIN)
    near, sizes, _ = _learnt(
        scans,
        _near,
        lambda cells, of: [of.of(cells), 1 - of.of(magnified(cells, NEAR))],
        LEAST_NEAR,
    )
    room = ROOM_OF_ONE / len(scans)
    gained = np.maximum(LEAST_GAIN, most + np.array([ROOM, MORE_ROOM]) + room).round(4).tolist()
    turned, mirrored = (one if clear else None for one, clear in zip(gained, middle < LEARNT, strict=True))
    enlarged, reduced = np.maximum(LEAST_NEAR, sizes + MORE_ROOM + room)
    return Pose(
        template=tuple(lying.weights.round(4).tolist()),
        turned=turned,
        mirrored=mirrored,
        near=tuple(near.weights.round(4).tolist()),
        enlarged=round(float(enlarged) - near.rest, 4),
        reduced=round(1 - float(reduced) - near.rest, 4),
    )


def laid_otherwise(cells: Sequence[np.ndarray], people: Sequence[str]) -> dict[str, str]:
    """Whose scans lie otherwise than those of other people: `turned` or `mirrored`, by person.

    Empty where there are few people. Where many lie otherwise, none stands out.

    Args:
        cells, people: as `pose`.
    """
    scans = _some(cells, people)
    if len(scans) <= FEW:
        return {}
    _, found = _left_out(scans, _lying, _gains_of)
    clear = np.median(np.concatenate(list(found.values())), axis=0) < -LEAST_GAIN
    told = {}
    for person, figures in found.items():
        gained = np.where(clear, np.median(figures, axis=0), -np.inf)
        if gained.max() > (CLEAR if len(figures) > 2 else CLEAR_OF_FEW):
            told[person] = ("turned", "mirrored")[int(gained.argmax())]
    return told


def _gains_of(cells: np.ndarray, of: _Ridge) -> list[float]:
    """Turned, and mirrored."""
    return [_gain(ranks_of(cells), of.weights, way) for way in (turns, mirrors)]


class _Ridge(NamedTuple):
    """What a target rises by with the rank of each cell, and what it is where all are 0."""

    weights: np.ndarray
    rest: float

    def of(self, cells: np.ndarray) -> float:
        """The target that is to be expected of a scan."""
        return float(ranks_of(cells).ravel() @ self.weights) + self.rest


class _Views(NamedTuple):
    """A scan as it is and changed: ranks (N, cells), what is to be learnt of each, and its weight."""

    ranks: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def _lying(cells: np.ndarray) -> _Views:
    """1 as it is, 0 turned and mirrored."""
    ranks = ranks_of(cells)
    laid = [list(ways(ranks)) for ways in (turns, mirrors)]
    rows = np.stack([one.ravel() for one in (ranks, *laid[0], *laid[1])])
    weights = np.concatenate([[1.0], *(np.full(len(ways), 1 / len(ways)) for ways in laid)])
    return _Views(rows, np.eye(len(rows))[0], weights)


def _near(cells: np.ndarray) -> _Views:
    """0 as it is, 1 magnified."""
    rows = np.stack([ranks_of(one).ravel() for one in (cells, *(magnified(cells, by) for by in NEARER))])
    weights = np.concatenate([[1.0], np.full(len(NEARER), 1 / len(NEARER))])
    return _Views(rows, 1 - np.eye(len(rows))[0], weights)


def _some(cells: Sequence[np.ndarray], people: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Some scans of some people, where there are very many: those that lie evenly among them."""
    scans: dict[str, list[np.ndarray]] = {person: [] for person in sorted(set(people))}
    for one, person in zip(cells, people, strict=True):
        scans[person].append(_evenly(one, MOST_CHANNELS))
    chosen = _evenly(list(scans), MOST_PEOPLE)
    return {person: _evenly(scans[person], max(1, MOST_SCANS // len(chosen))) for person in chosen}


def _evenly(values: Any, most: int) -> Any:
    """As many of a list, or of an array along its first axis, if there are more."""
    if len(values) <= most:
        return values
    places = [n * len(values) // most for n in range(most)]
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


def _learnt(
    scans: dict[str, list[np.ndarray]],
    views: Callable[[np.ndarray], _Views],
    figures: Callable[[np.ndarray, _Ridge], list[float]],
    least: float,
) -> tuple[_Ridge, np.ndarray, np.ndarray]:
    """The ridge of all people, and the most and the median of each figure among people left out of theirs.

    Of a share `ODD` nothing is asked. Some may lie otherwise themselves, which nobody has told: where the
    first figure of few is far beyond `least`, and above their others, they have no part in what is learnt.
    """
    total, found = _usual_left_out(scans, views, figures)
    beyond = [person for person, most in found.items() if most[0] > least + FAR and most[0] == most.max()]
    if len(scans) > FEW and 0 < len(beyond) <= max(1, ODD * len(scans)):
        others = {person: of_person for person, of_person in scans.items() if person not in beyond}
        total, found = _usual_left_out(others, views, figures)
    figured = np.sort(list(found.values()), axis=0)
    spared = int(ODD * len(found))
    return _ridge(total), figured[len(found) - 1 - spared], np.median(figured, axis=0)


def _usual_left_out(
    scans: dict[str, list[np.ndarray]],
    views: Callable[[np.ndarray], _Views],
    figures: Callable[[np.ndarray, _Ridge], list[float]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The moments of all people, and of each the figures that nine of ten scans do not pass."""
    total, found = _left_out(scans, views, figures)
    return total, {person: np.quantile(each, USUAL, axis=0) for person, each in found.items()}


def _left_out(
    scans: dict[str, list[np.ndarray]],
    views: Callable[[np.ndarray], _Views],
    figures: Callable[[np.ndarray, _Ridge], list[float]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The moments of all people, and the figures (scans, figures) of each by the ridge of the others."""
    people, found = list(scans), {}
    groups = [people[number::GROUPS] for number in range(min(GROUPS, len(people)))]
    parts = [reduce(np.add, (_moments(map(views, scans[person])) for person in group)) for group in groups]
    total = reduce(np.add, parts)
    for group, part in zip(groups, parts, strict=True):
        others = _ridge(total - part)
        for person in group:
            found[person] = np.array([figures(one, others) for one in scans[person]])
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
