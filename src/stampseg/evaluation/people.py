"""A figure over people: several scans of one person are no more people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import numpy as np

from ..core.options import FileRecord, Number
from .statistics import Estimate

FEW_PEOPLE = 10  # of fewer, an interval would claim more than is known

Kind = Literal["interval", "range"]


class OverPeople(FileRecord):
    """Mean over people, each of whom counts once.

    Attributes:
        mean: None where nobody has a figure.
        low, high: by `kind`, "interval": the 95% interval of the mean over people of this kind (t over
            people); "range", of fewer than ten people: the lowest and the highest of them.
        people, cases: that the mean rests on.
    """

    mean: Number = None
    low: Number = None
    high: Number = None
    kind: Kind = "range"
    people: int = 0
    cases: int = 0

    @property
    def words(self) -> str:
        """`0.801 to 0.853`; `0.710 to 0.830 (all 4 people)`; "-" where nobody has a figure."""
        if self.low is None or self.high is None:
            return "-"
        if self.people == 1:
            return "one person alone"
        span = f"{self.low:.3f} to {self.high:.3f}"
        return span if self.kind == "interval" else f"{span} (all {self.people} people)"


def over_people(
    figures: Iterable[tuple[str, float]], within: tuple[float, float] = (-math.inf, math.inf)
) -> OverPeople:
    """The mean of each person's own mean, and how far it can be trusted.

    Args:
        figures: (person, figure of a case); figures that are not numbers are left out.
        within: what a figure can be: an interval ends there.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for person, figure in figures:
        if not math.isnan(figure):
            own[person].append(figure)
    means = np.array([np.mean(own[person]) for person in sorted(own)])
    cases = sum(map(len, own.values()))
    if not means.size:
        return OverPeople()
    kind: Kind = "interval" if len(means) >= FEW_PEOPLE else "range"
    low, high = np.clip(_interval(means), *within) if kind == "interval" else (means.min(), means.max())
    return OverPeople(
        mean=float(means.mean()), low=float(low), high=float(high), kind=kind, people=len(means), cases=cases
    )


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Mean of the figures there are, such as Dice of the labels that a case holds; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def mean_of_people(figures: Iterable[tuple[str, str, float]]) -> float | None:
    """Mean over people of the mean over each one's cases of the mean over a case's labels.

    Args:
        figures: (person, case, figure of a label).

    Returns:
        None without any.
    """
    own: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for person, case, figure in figures:
        own[person][case].append(figure)
    means = [np.mean([np.mean(labels) for labels in cases.values()]) for cases in own.values()]
    return float(np.mean(means)) if means else None


def _interval(means: np.ndarray) -> tuple[float, float]:
    """Of the mean, by Student's t, which holds better of few people than a bootstrap."""
    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    return Estimate(float(means.mean()), error, len(means) - 1).interval()


FEW_WORDS = (
    f"of fewer than {FEW_PEOPLE} people the lowest and the highest person are given: too few to say within "
    "which limits the mean of others would lie"
)
INTERVAL_WORDS = "interval: the 95% interval of the mean over people of this kind (t over people)"


def how_read(kinds: Iterable[Kind]) -> list[str]:
    """What the figures beside a mean are, a sentence for each kind that occurs."""
    found = set(kinds)
    return [words for kind, words in (("interval", INTERVAL_WORDS), ("range", FEW_WORDS)) if kind in found]
