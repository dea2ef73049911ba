"""A figure over people: several scans of one person are no more people."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import stdtrit

FEW_PEOPLE = 10  # of fewer, an interval would claim more than is known
LEVEL = 0.95

Kind = Literal["interval", "range"]


@dataclass(frozen=True)
class OverPeople:
    """Mean over people, each of whom counts once.

    Attributes:
        mean: None where nobody has a figure.
        low, high: by `kind`, "interval": the 95% interval of the mean over people of this kind (t over
            people); "range", of fewer than ten people: the lowest and the highest of them.
        people, cases: that the mean rests on.
    """

    mean: float | None
    low: float | None
    high: float | None
    kind: Kind
    people: int
    cases: int


def over_people(figures: Iterable[tuple[str, float]]) -> OverPeople:
    """The mean of each person's own mean, and how far it can be trusted.

    Args:
        figures: (person, figure of a case); figures that are not numbers are left out.
    """
    own: dict[str, list[float]] = defaultdict(list)
    for person, figure in figures:
        if not math.isnan(figure):
            own[person].append(figure)
    means = np.array([np.mean(own[person]) for person in sorted(own)])
    cases = sum(map(len, own.values()))
    if not means.size:
        return OverPeople(None, None, None, "range", 0, 0)
    kind: Kind = "interval" if len(means) >= FEW_PEOPLE else "range"
    low, high = _interval(means) if kind == "interval" else (means.min(), means.max())
    return OverPeople(float(means.mean()), float(low), float(high), kind, len(means), cases)


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
    """Of the mean, by Student's t, which holds better of few people than a bootstrap; within them."""
    rest = float(stdtrit(len(means) - 1, 0.5 + LEVEL / 2)) * means.std(ddof=1) / math.sqrt(len(means))
    low, high = np.clip((means.mean() - rest, means.mean() + rest), means.min(), means.max())
    return float(low), float(high)


class Spread(Protocol):
    """An `OverPeople`, or a record of one."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def people(self) -> int: ...


def interval_words(found: Spread) -> str:
    """`0.801 to 0.853`; `0.710 to 0.830 (all 4 people)`; "-" where nobody has a figure."""
    if found.low is None or found.high is None:
        return "-"
    span = f"{found.low:.3f} to {found.high:.3f}"
    if found.people == 1:
        return "one person alone"
    return span if found.kind == "interval" else f"{span} (all {found.people} people)"


FEW_WORDS = (
    f"of fewer than {FEW_PEOPLE} people the lowest and the highest person are given: too few to say within "
    "which limits the mean of others would lie"
)
INTERVAL_WORDS = "interval: the 95% interval of the mean over people of this kind (t over people)"


def how_read(kinds: Iterable[Kind]) -> list[str]:
    """What the figures beside a mean are, a sentence for each kind that occurs."""
    found = set(kinds)
    return [words for kind, words in (("interval", INTERVAL_WORDS), ("range", FEW_WORDS)) if kind in found]
