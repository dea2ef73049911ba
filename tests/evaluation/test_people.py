"""Figures over people: each counts once, and few of them make no interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stampseg.evaluation.evaluation import Evaluation
from stampseg.evaluation.metrics import WITHIN, Metrics
from stampseg.evaluation.people import FEW_PEOPLE, how_read, over_people


def test_each_person_counts_once() -> None:
    found = over_people([("a", 0.9), ("a", 0.7), ("b", 0.4), ("b", math.nan)])
    assert found.mean == pytest.approx((0.8 + 0.4) / 2)
    assert (found.low, found.high) == (pytest.approx(0.4), pytest.approx(0.8))
    assert (found.people, found.cases, found.kind) == (2, 3, "range")
    assert found.words == "0.400 to 0.800 (all 2 people)"


def test_nobody_and_one_person() -> None:
    nobody = over_people([("a", math.nan)])
    assert (nobody.mean, nobody.people, nobody.words) == (None, 0, "-")
    assert over_people([("a", 0.5), ("a", 0.7)]).words == "one person alone"


def test_the_interval_covers_the_mean_of_all_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(100):
        found = over_people((str(i), v) for i, v in enumerate(rng.normal(0.8, 0.1, 25)))
        assert found.kind == "interval" and found.low is not None and found.high is not None
        hits += found.low <= 0.8 <= found.high
    assert 86 <= hits <= 100
    assert found.words == f"{found.low:.3f} to {found.high:.3f}"


def test_it_is_the_same_each_time_and_the_interval_of_scipy() -> None:
    """Whatever the best of them has; it ends where a figure cannot be."""
    values = [0.99 if i else 0.5 for i in range(FEW_PEOPLE)]
    figures = [(str(i), value) for i, value in enumerate(values)]
    found = over_people(figures)
    assert found == over_people(figures[::-1])
    own = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(own) and own[1] > 1
    assert over_people(figures, WITHIN["dice"]).high == 1
    spread = [(str(i), value) for i, value in enumerate(np.linspace(0.86, 0.9, FEW_PEOPLE))]
    assert over_people(spread, WITHIN["dice"]) == over_people(spread)


def test_what_the_figures_are_is_said_once_each() -> None:
    assert how_read([]) == []
    assert [words.split()[0] for words in how_read(["range", "interval", "range"])] == ["interval:", "of"]


def test_who_has_the_lowest_dice_goes_by_what_each_case_holds() -> None:
    """A label that one case lacks weighs no more for that; the same people are named in every table."""

    def row(case: str, label: str, dice: float) -> Metrics:
        return Metrics(case, label, 1, dice, 0.0, 1.0, 0.0, 1.0, 0.0 if math.isnan(dice) else 1.0)

    rows = (
        *(row("a1", name, dice) for name, dice in (("one", 0.9), ("two", 0.1))),
        *(row("a2", name, dice) for name, dice in (("one", 0.5), ("two", math.nan))),
        *(row("b1", name, dice) for name, dice in (("one", 0.45), ("two", 0.45))),
    )
    found = Evaluation(rows, 1.0, "mm", people={"a1": "a", "a2": "a", "b1": "b"})
    assert found.worst_people() == [("b", 0.45), ("a", 0.5)]  # by label first, a would have 0.4
