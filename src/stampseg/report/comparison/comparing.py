"""A study compared: methods in figures, paired differences, and the verdict on every claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import combinations
from statistics import fmean, median

import numpy as np

from ...core.errors import DataError
from ...evaluation.statistics import (
    ALPHA,
    Design,
    Estimate,
    SignFlip,
    averaged,
    design_of,
    holm,
    mean_of,
    of_runs_and_people,
    people_given_runs,
    runs_and_people,
    sign_flip,
    table_of,
    wider,
)
from ...run.study.claim import Claim
from .pairing import differences_of
from .study import Cell, Setting, Study, in_order

FAILED = 0.5  # Dice below which a person counts as failed
FIGURES = ("parameters", "flops", "train_seconds", "predict_seconds")

Differences = dict[str, dict[str, float]]  # draw -> person -> Dice of one method minus Dice of the other


class Verdict(StrEnum):
    """What became of a claim."""

    HELD = "held"
    NOT_SHOWN = "not shown"
    LOST = "lost"


@dataclass(frozen=True)
class Summary:
    """One method in one setting.

    Attributes:
        draws: mean Dice over the people of each draw.
        people: Dice of everybody, once for each draw that they were in.
        hd95: median over people, or None.
        costs: of each draw, by the name of the figure; those that are not known are missing.
    """

    setting: Setting
    method: str
    draws: dict[str, float]
    people: tuple[float, ...]
    hd95: float | None
    costs: dict[str, dict[str, float]]

    @property
    def figures(self) -> dict[str, float]:
        """Costs, the mean over all draws."""
        return {name: fmean(of.values()) for name, of in self.costs.items()}

    def cost(self, name: str, draws: Sequence[str]) -> float | None:
        """Mean over these draws; None where it is not known of all."""
        of = self.costs.get(name, {})
        return fmean(of[draw] for draw in draws) if draws and of.keys() >= set(draws) else None

    @property
    def dice(self) -> float:
        """Mean over the draws of the mean over their people."""
        return fmean(self.draws.values())

    def over(self, draws: Sequence[str]) -> float:
        """Mean over these draws."""
        return fmean(self.draws[draw] for draw in draws)

    @property
    def median(self) -> float:
        """Of the people."""
        return median(self.people)

    @property
    def failed(self) -> int:
        """People below a Dice of `FAILED`."""
        return sum(dice < FAILED for dice in self.people)


@dataclass(frozen=True)
class Pair:
    """Two methods on the same people in the same draws: `method` minus `against`; `place` is the setting."""

    task: str
    place: str
    method: str
    against: str
    differences: Differences

    @cached_property
    def table(self) -> np.ndarray:
        """Differences (draws, people), nan where a person was not in a draw."""
        return table_of(self.differences)

    @property
    def design(self) -> Design:
        """How people and draws lie to one another."""
        return design_of(self.table)

    @property
    def draws(self) -> list[float]:
        """Mean difference of each draw."""
        return [float(mean) for mean in np.nanmean(self.table, axis=1)]

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return mean_of(self.table)

    @property
    def people(self) -> int:
        """How many different ones."""
        return int(self.table.shape[1])

    @cached_property
    def given_runs(self) -> Estimate | None:
        """Of these trained networks, over people."""
        return people_given_runs(self.table)

    @cached_property
    def two_way(self) -> Estimate | None:
        """Of the methods, over runs and people."""
        return runs_and_people(self.table)


@dataclass(frozen=True)
class Part:
    """What a claim rests on in one task.

    Attributes:
        task: its name.
        differences: means over the numbers of labelled people.
        numbers: of labelled people, which both methods have a pair of.
        planned: all that the task has, or shall have.
        left: draws that not each of these numbers has in both methods, and that are left out.
    """

    task: str
    differences: Differences
    numbers: tuple[int | None, ...]
    planned: tuple[int | None, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class ClaimResult:
    """What was found on a claim.

    Attributes:
        claim: as it was written.
        tasks: that it is about.
        pairs: one for each of these tasks that has any, all numbers of labels together.
        mean: over these tasks.
        two_way, given_runs: of that mean; None where a task lacks it.
        flips: sign-flip over all draws of all tasks, at the claim's bound; None without any pair.
        p: of the two-way estimate lying above the bound; 1 where it cannot be told.
        p_contrary: the same of lying below the bound.
        p_holm, p_contrary_holm: after Holm, for all claims of the study.
        parts: what it rests on, for each of these tasks.
    """

    claim: Claim
    tasks: tuple[str, ...]
    pairs: tuple[Pair, ...]
    mean: float | None
    two_way: Estimate | None
    given_runs: Estimate | None
    flips: SignFlip | None
    p: float = 1.0
    p_contrary: float = 1.0
    p_holm: float = 1.0
    p_contrary_holm: float = 1.0
    parts: tuple[Part, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Held, or lost where the contrary is, after Holm."""
        if self.two_way is None:
            return Verdict.NOT_SHOWN
        if self.p_holm < ALPHA:
            return Verdict.HELD
        return Verdict.LOST if self.p_contrary_holm < ALPHA else Verdict.NOT_SHOWN

    @property
    def said(self) -> str:
        """The verdict, which is one so far where a task lacks planned numbers of labels."""
        whole = all(len(part.numbers) >= len(part.planned) for part in self.parts)
        return str(self.verdict.value) if whole else f"{self.verdict.value} so far"

    @property
    def missing(self) -> tuple[str, ...]:
        """Tasks without a pair."""
        return tuple(task for task in self.tasks if task not in {pair.place for pair in self.pairs})

    @property
    def unsure(self) -> tuple[str, ...]:
        """Tasks with a pair from which the luck of runs cannot be told."""
        return tuple(pair.place for pair in self.pairs if pair.two_way is None)


@dataclass(frozen=True)
class Comparison:
    """A study and all that follows from it."""

    study: Study
    claims: tuple[ClaimResult, ...]
    summaries: tuple[Summary, ...]
    pairs: tuple[tuple[Setting, Pair], ...]

    @property
    def reference(self) -> str:
        """The method that the others are held against: that of the first claim, or the first."""
        return self.study.methods[0]

    def of(self, setting: Setting) -> list[Summary]:
        """Methods of a setting."""
        return [summary for summary in self.summaries if summary.setting == setting]

    def pair(self, setting: Setting, against: str) -> Pair | None:
        """The reference minus another method."""
        for where, pair in self.pairs:
            if where == setting and (pair.method, pair.against) == (self.reference, against):
                return pair
        return None


def compare(study: Study) -> Comparison:
    """Everything that is said of a study.

    Raises:
        DataError: no two methods were tested on the same person in the same draw.
    """
    summaries = [
        _summary(setting, method, cells)
        for setting in study.settings
        for method in study.methods
        if (cells := study.of(setting, method))
    ]
    pairs = [
        (setting, Pair(setting.task, str(setting), method, against, found))
        for setting in study.settings
        for method, against in combinations(study.methods, 2)
        if (found := differences(study.of(setting, method), study.of(setting, against)))
    ]
    if not pairs:
        tested = [(c.setting, c.draw, person) for c in study.cells for person in c.dice]
        what = "a person" if len(set(tested)) == len(tested) else "a case and label of a person"
        raise DataError(
            f"{study.name}: no two methods share {what} in a draw of a task, so nothing can be paired; "
            f"there are {', '.join(study.methods)}; compare when a second method has ended in one draw"
        )
    results = [_claim_result(study, claim) for claim in study.claims]
    adjusted, contrary = (holm([getattr(each, p) for each in results]) for p in ("p", "p_contrary"))
    claims = [
        replace(each, p_holm=p, p_contrary_holm=other)
        for each, p, other in zip(results, adjusted, contrary, strict=True)
    ]
    return Comparison(study, tuple(claims), tuple(summaries), tuple(pairs))


def differences(first: Mapping[str, Cell], second: Mapping[str, Cell]) -> Differences:
    """First minus second, for each draw that both have, of the people who can be paired."""
    return {
        draw: people
        for draw in in_order(first.keys() & second.keys())
        if (people := differences_of(first[draw], second[draw]))
    }


def _summary(setting: Setting, method: str, cells: Mapping[str, Cell]) -> Summary:
    known = {
        name: {
            draw: value for draw, cell in cells.items() if (value := getattr(cell.figures, name)) is not None
        }
        for name in FIGURES
    }
    surfaces = [s.hd95 for cell in cells.values() for s in cell.people.values() if s.hd95 is not None]
    return Summary(
        setting,
        method,
        {draw: fmean(cells[draw].dice.values()) for draw in in_order(cells)},
        tuple(dice for cell in cells.values() for dice in cell.dice.values()),
        median(surfaces) if surfaces else None,
        {name: of for name, of in known.items() if of},
    )


def _claim_result(study: Study, claim: Claim) -> ClaimResult:
    tasks = study.all_tasks if claim.tasks == "all" else claim.tasks
    parts = tuple(_over_labels(study, task, claim) for task in tasks)
    pairs = tuple(
        Pair(part.task, part.task, claim.method, claim.against, part.differences)
        for part in parts if part.differences
    )  # fmt: skip
    if not pairs:
        return ClaimResult(claim, tasks, (), None, None, None, None, parts=parts)
    whole = len(pairs) == len(tasks)
    able = whole and all(pair.two_way is not None for pair in pairs)
    runs = _together([of_runs_and_people(pair.table) for pair in pairs]) if able else None
    people = _together([pair.given_runs for pair in pairs])
    two_way = wider(runs, people)
    return ClaimResult(
        claim,
        tasks,
        pairs,
        fmean(pair.mean for pair in pairs),
        two_way,
        people,
        sign_flip([pair.draws for pair in pairs], claim.bound),
        _p(lambda each: each.p_above(claim.bound), runs, people),
        _p(lambda each: each.p_below(claim.bound), runs, people),
        parts=parts,
    )


def _p(of: Callable[[Estimate], float], runs: Estimate | None, people: Estimate | None) -> float:
    """The larger P of both, as the interval is the wider one; 1 where runs tell nothing."""
    if runs is None:
        return 1.0
    return max(of(each) for each in (runs, people) if each is not None and each.error > 0)


def _together(estimates: list[Estimate | None]) -> Estimate | None:
    known = [each for each in estimates if each is not None]
    return averaged(known) if len(known) == len(estimates) else None


def _over_labels(study: Study, task: str, claim: Claim) -> Part:
    """Differences of a task, each the mean over numbers of labels: these share people and draws.

    A draw that lacks one of them would be of other numbers than the rest, and counts for none. A number that
    has one draw alone, of which no luck of runs can be told, is left out beside others: it has only begun.
    """
    found = {
        setting.labels: pairs
        for setting in study.settings
        if setting.task == task
        and (pairs := differences(study.of(setting, claim.method), study.of(setting, claim.against)))
    }
    found = {labels: pairs for labels, pairs in found.items() if len(pairs) > 1} or found
    draws = in_order({draw for pairs in found.values() for draw in pairs})
    whole = [draw for draw in draws if all(draw in pairs for pairs in found.values())]
    gathered: Differences = {}
    for draw in whole:
        people: dict[str, list[float]] = {}
        for pairs in found.values():
            for person, value in pairs[draw].items():
                people.setdefault(person, []).append(value)
        gathered[draw] = {person: fmean(values) for person, values in people.items()}
    left = tuple(draw for draw in draws if draw not in whole)
    return Part(task, gathered, tuple(found), study.numbers_of(task), left)
