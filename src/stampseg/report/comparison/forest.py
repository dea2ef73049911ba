"""The forest plot: every paired difference as a point with its two intervals, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...evaluation.statistics import Estimate
from .comparing import ClaimResult, Comparison
from .words import interval_text, signed

REACH = 3.0  # longest interval over runs that is drawn whole, beside the largest of the others
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Line:
    """A row of the plot; places are per cent of its width, intervals (left, width) or None."""

    name: str
    text: str
    whole: bool  # a claim, over all its tasks
    mean: float
    two_way: tuple[float, float] | None
    given_runs: tuple[float, float] | None
    bound: float | None  # a claim's, where it is not 0
    cut: tuple[bool, bool]  # whether an interval goes on beyond the lower and the upper end


@dataclass(frozen=True)
class Forest:
    """Groups of rows, each `method minus against`; marks of the scale as (place, text)."""

    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    marks: tuple[tuple[float, str], ...]
    zero: float

    @property
    def cut(self) -> bool:
        """Whether some interval goes on beyond the scale."""
        return any(any(line.cut) for _, lines in self.groups for line in lines)


@dataclass(frozen=True)
class _Row:
    name: str
    mean: float
    two_way: Estimate | None
    given_runs: Estimate | None
    bound: float | None = None
    whole: bool = False


def forest_of(comparison: Comparison) -> Forest:
    """All differences of the reference and of the claims."""
    groups = dict(_groups(comparison))
    low, high = _scale([row for rows in groups.values() for row in rows])
    span = high - low

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / span, 2)

    def bar(estimate: Estimate | None) -> tuple[float, float] | None:
        if estimate is None:
            return None
        left, right = map(place, estimate.interval())
        return left, round(right - left, 2)

    def beyond(row: _Row) -> tuple[bool, bool]:
        ends = [each.interval() for each in (row.two_way, row.given_runs) if each is not None]
        return any(left < low for left, _ in ends), any(right > high for _, right in ends)

    lines = tuple(
        (
            heading,
            tuple(
                Line(
                    row.name,
                    _said(row),
                    row.whole,
                    place(row.mean),
                    bar(row.two_way),
                    bar(row.given_runs),
                    place(row.bound) if row.bound else None,
                    beyond(row),
                )
                for row in rows
            ),
        )
        for heading, rows in groups.items()
    )
    return Forest(lines, tuple((place(mark), _mark_text(mark)) for mark in _marks(low, high)), place(0.0))


def _said(row: _Row) -> str:
    if row.two_way is not None:
        return f"{signed(row.mean)} ({interval_text(row.two_way)})"
    if row.given_runs is not None:
        return f"{signed(row.mean)} (people alone: {interval_text(row.given_runs)})"
    return signed(row.mean)


def _groups(comparison: Comparison) -> Iterator[tuple[str, list[_Row]]]:
    claimed = [(f.claim.method, f.claim.against) for f in comparison.claims]
    of_reference = [(p.method, p.against) for _, p in comparison.pairs if p.method == comparison.reference]
    for method, against in dict.fromkeys([*claimed, *of_reference]):
        rows = []
        for _, pair in comparison.pairs:
            if (pair.method, pair.against) == (method, against):
                rows.append(_Row(pair.place, pair.mean, pair.two_way, pair.given_runs))
        for number, result in enumerate(comparison.claims, 1):
            claim = result.claim
            if (claim.method, claim.against) == (method, against) and result.mean is not None:
                name = f"claim {number}, {_of_tasks(result)}"
                bound = claim.bound or None
                rows.append(_Row(name, result.mean, result.two_way, result.given_runs, bound, True))
        if rows:
            yield f"{method} minus {against}", rows


def _of_tasks(result: ClaimResult) -> str:
    """The tasks of a claim that its figures are of, for some may have no pair yet."""
    had = [pair.task for pair in result.pairs]
    if len(had) < len(result.tasks):
        return f"{had[0] if len(had) == 1 else len(had)} of its {len(result.tasks)} tasks"
    return "all its tasks" if len(had) > 1 else had[0]


def _scale(rows: Sequence[_Row]) -> tuple[float, float]:
    """Lowest and highest value drawn: 0, all points, and intervals as far as they do not dwarf the rest."""
    inner = [0.0, *(row.mean for row in rows), *(row.bound or 0.0 for row in rows)]
    inner += [end for row in rows if row.given_runs for end in row.given_runs.interval()]
    limit = REACH * max(max(map(abs, inner)), 0.01)
    outer = [end for row in rows if row.two_way for end in row.two_way.interval()]
    low, high = min([*inner, *outer]), max([*inner, *outer])
    margin = 0.04 * (high - low or 0.01)
    return max(low, -limit) - margin, min(high, limit) + margin


def _marks(low: float, high: float) -> list[float]:
    """Round values, 0 among them, at most six."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _mark_text(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:+.3g}"
