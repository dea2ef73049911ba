"""Paired statistics of two methods: which part of a difference is luck of the runs, which of the people.

Everything starts from a table of differences, (draws, people): method A minus method B, trained in the same
draw, tested on the same person; nan where a person was not in a draw. A draw is one training of each method
(a seed, and often people drawn anew). A person is a unit, a slice is none: values are means over a person.

`runs_and_people` answers "is A the better method": another training and other people would do. With m_j the
mean of draw j of J, s_p² the variance of people, and k_jl = (people in both j and l) / (n_j n_l),

    error² = variance of the m_j / J + s_p² * mean of k_jl over j != l

Crossed (the same people in every draw) this is (MS_draws + MS_people - MS_rest) / (J I), the two-way analysis
of variance, with Satterthwaite's degrees of freedom; of two draws with one, for two say too little of luck.
Nested (nobody in two draws) the second part is 0: draws are the units, with J - 1 degrees of freedom. Partly
crossed it lies between, with J - 1. Means of draws that happen to lie closer together than their people alone
would let them prove no more than these people do: the interval is never narrower than that over people.

`people_given_runs` answers "do these trained networks differ": the draws are taken as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.95  # of intervals
ALPHA = 1 - LEVEL
LEAST_FOR_FREEDOM = 3  # draws, for Satterthwaite's degrees of freedom
MOST_EXACT = 16  # draws up to which all signs are tried; of more, `RANDOM_FLIPS` are drawn
RANDOM_FLIPS = 20_000
_STILL = 1e-9  # an error this small beside the differences is rounding: nothing varies


class Design(StrEnum):
    """How people and draws lie to one another."""

    ONE = "one draw"
    CROSSED = "crossed"
    PARTLY = "partly crossed"
    NESTED = "nested"


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and degrees of freedom; all else follows from Student's t."""

    mean: float
    error: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the interval of `LEVEL`."""
        return self.mean - self.reach(), self.mean + self.reach()

    def reach(self) -> float:
        """Half the length of the interval."""
        return float(stdtrit(self.freedom, 0.5 + LEVEL / 2)) * self.error

    def p_above(self, bound: float = 0.0) -> float:
        """P of the mean being above `bound`: below 0.05 where the 95% interval lies wholly above it.

        That is the one-sided P, doubled, and 1 at most.
        """
        return min(1.0, 2 * float(stdtr(self.freedom, (bound - self.mean) / self.error)))

    def p_below(self, bound: float = 0.0) -> float:
        """The same of the mean being below `bound`."""
        return Estimate(-self.mean, self.error, self.freedom).p_above(-bound)


@dataclass(frozen=True)
class SignFlip:
    """Two-sided P of a test that flips the signs of draws, and the smallest that so many can have."""

    p: float
    smallest: float
    draws: int


def table_of(differences: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """(draws, people) float64 from draw -> person -> difference; nan where a person was not in a draw."""
    people = {
        person: place for place, person in enumerate(sorted({p for d in differences.values() for p in d}))
    }
    table = np.full((len(differences), len(people)), np.nan)
    for row, of_people in zip(table, differences.values(), strict=True):
        for person, value in of_people.items():
            row[people[person]] = value
    return table


def design_of(table: np.ndarray) -> Design:
    """How people and draws of a table (draws, people) lie to one another."""
    if len(table) == 1:
        return Design.ONE
    times = (~np.isnan(table)).sum(axis=0)
    if (times == len(table)).all():
        return Design.CROSSED
    return Design.NESTED if (times == 1).all() else Design.PARTLY


def mean_of(table: np.ndarray) -> float:
    """Mean over the draws of the mean over their people."""
    return float(np.nanmean(table, axis=1).mean())


def people_given_runs(table: np.ndarray) -> Estimate | None:
    """The mean difference of these trained networks, on other people of the kind.

    Args:
        table: differences (draws, people), nan where a person was not in a draw; a value in every draw.

    Returns:
        None where a draw has fewer than two people, or nothing varies.
    """
    there = ~np.isnan(table)
    counts = there.sum(axis=1, keepdims=True)
    if counts.min() < 2:
        return None
    rest = np.where(there, table - np.nanmean(table, axis=1, keepdims=True), 0.0)
    shares = rest / (len(table) * counts) * np.sqrt(counts / (counts - 1))
    error = float(np.sqrt((shares.sum(axis=0) ** 2).sum()))
    return _varying(Estimate(mean_of(table), error, _freedom_of_people(there)), table)


def _freedom_of_people(there: np.ndarray) -> float:
    """Degrees of freedom of `people_given_runs`, from (draws, people) who was in which draw.

    Draws that share people, directly or by others between, have one mean taken off all of them. Sets of draws
    that share nobody add their parts of the error², each known as well as its own people tell it:
    Satterthwaite's, as for people of one variance. Of nested draws of n people each that is draws * (n - 1).
    """
    own: list[tuple[float, int]] = []  # part of the error², and degrees of freedom, of each set of draws
    left = set(range(len(there)))
    while left:
        together = {left.pop()}
        while near := {draw for draw in left if (there[draw] & there[list(together)].any(axis=0)).any()}:
            together |= near
            left -= near
        members = there[sorted(together)]
        own.append((float((1 / members.sum(axis=1)).sum()), int(members.any(axis=0).sum()) - 1))
    return sum(part for part, _ in own) ** 2 / sum(part**2 / freedom for part, freedom in own)


def wider(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """That of the wider interval; None where the first is."""
    if first is None or second is None:
        return first
    return first if first.reach() >= second.reach() else second


def runs_and_people(table: np.ndarray) -> Estimate | None:
    """The mean difference of the methods: other trainings, other people; its interval is never narrower than
    that of `people_given_runs`.
    """
    found = wider(of_runs_and_people(table), people_given_runs(table))
    return None if found is None else _varying(found, table)


def of_runs_and_people(table: np.ndarray) -> Estimate | None:
    """As `runs_and_people`, whatever people alone say; its error is 0 where all draws came out alike.

    Args:
        table: differences (draws, people), nan where a person was not in a draw; a value in every draw.

    Returns:
        None for one draw, whose luck cannot be told from the method, for one person, or where nothing varies.
    """
    draws, people = table.shape
    if draws < 2 or people < 2:
        return None
    means = np.nanmean(table, axis=1)
    of_draws = float(means.var(ddof=1)) / draws
    of_people, variance = _shared_people(table, means)
    freedom: float = draws - 1
    if design_of(table) is Design.CROSSED and of_people > 0 and draws >= LEAST_FOR_FREEDOM:
        freedom = (of_draws + of_people) ** 2 / (of_draws**2 / (draws - 1) + variance)
    return Estimate(float(means.mean()), math.sqrt(of_draws + of_people), freedom)


def _shared_people(table: np.ndarray, means: np.ndarray) -> tuple[float, float]:
    """What people who are in several draws add to the error², and half the variance of that, if crossed.

    Their variance is estimated from the products of one person's deviations in two draws, divided by what
    these are expected to be. Below 0 it counts as 0.
    """
    there = (~np.isnan(table)).astype(float)
    rest = np.where(there > 0, table - means[:, None], 0.0)
    counts = there.sum(axis=1)
    apart = ~np.eye(len(table), dtype=bool)
    shared = there @ there.T
    pairs = np.outer(counts, counts)
    expected = shared * (1 - 1 / counts[:, None] - 1 / counts[None, :] + shared / pairs)
    whole = float(expected[apart].sum())
    if whole <= 0:  # nobody is in two draws, or one person is all that they share
        return 0.0, 0.0
    of_people = max(float((rest @ rest.T)[apart].sum()) / whole, 0.0) * float((shared / pairs)[apart].mean())
    draws, people = table.shape
    between = draws * float((rest.mean(axis=0) ** 2).sum()) / max(people - 1, 1)
    freedom_within = max((people - 1) * (draws - 1), 1)
    within = float(((rest - rest.mean(axis=0)) ** 2).sum()) / freedom_within
    size = (draws * people) ** 2
    return of_people, (between**2 / max(people - 1, 1) + within**2 / freedom_within) / size


def _varying(estimate: Estimate, table: np.ndarray) -> Estimate | None:
    return estimate if estimate.error > _STILL * float(np.nanmax(np.abs(table))) else None


def averaged(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over independent sets (tasks), each counting alike; Satterthwaite's degrees of freedom."""
    squares = np.array([each.error**2 for each in estimates])
    freedoms = np.array([each.freedom for each in estimates])
    below = float((squares**2 / freedoms).sum())
    freedom = float(squares.sum() ** 2 / below) if below > 0 else float(freedoms.sum())
    mean = float(np.mean([each.mean for each in estimates]))
    return Estimate(mean, float(np.sqrt(squares.sum())) / len(estimates), freedom)


def sign_flip(sets: Sequence[Sequence[float]], bound: float = 0.0) -> SignFlip:
    """Whether the mean over sets (tasks) of the mean over draws could be `bound` for all that is known.

    If it is, the difference of a draw from it could as well have the other sign. People are taken as they
    are, so that in a crossed study this is about these people.

    Args:
        sets: mean differences of the draws of each set.
        bound: that is tested.
    """
    shares = np.concatenate([(np.asarray(each) - bound) / (len(each) * len(sets)) for each in sets])
    draws = len(shares)
    if draws <= MOST_EXACT:
        half = np.array(list(itertools.product((1, -1), repeat=draws - 1)))  # the other half mirrors it
        signs = np.column_stack([np.ones(len(half)), half])
    else:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (RANDOM_FLIPS, draws))
        signs[0] = 1  # as it was found
    found, slack = abs(shares.sum()), 1e-12 * float(np.abs(shares).sum())
    p = float(np.mean(np.abs(signs @ shares) >= found - slack))
    return SignFlip(p, 1 / len(signs), draws)


def holm(values: Sequence[float]) -> list[float]:
    """P adjusted for the number of tests, step by step (Holm 1979); in the order of `values`."""
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted
