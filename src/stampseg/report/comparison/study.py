"""A study as `compare` sees it: cells, each one training of one method, with a score for every person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal

from ...core.text import counted
from ...evaluation.metrics import UNION
from ...evaluation.people import mean_of_known
from ...run.study.claim import Claim

Place = tuple[str, str]  # case and label
MEAN: Place = ("", "")  # a person's mean, whose cases are not known


@dataclass(frozen=True, order=True)
class Setting:
    """A task with a number of labelled people; `labels` is None where all that there are were used."""

    task: str
    labels: int | None

    def __str__(self) -> str:
        if self.labels is None:
            return self.task
        return f"{self.task}, {counted(self.labels, 'labelled person', 'labelled people')}"


Key = tuple[Setting, str, str]  # of a cell: method and draw


@dataclass(frozen=True)
class Measure:
    """One label of one case; empty `case` and `label`: a person's mean, kept from before. None: undefined.

    `false_positive` is the volume predicted of a label that the case does not hold.
    """

    person: str
    case: str
    label: str
    dice: float | None
    hd95: float | None
    false_positive: float | None = None


@dataclass(frozen=True)
class Score:
    """One person: the mean over the labels of each case, then over the cases; None where it is undefined."""

    dice: float | None
    hd95: float | None


@dataclass(frozen=True)
class Figures:
    """What a trained network is and took; None where it is not known."""

    parameters: float | None = None
    flops: float | None = None  # of a window
    parameters_dense: float | None = None
    train_seconds: float | None = None
    predict_seconds: float | None = None


@dataclass(frozen=True)
class Cell:
    """One method, trained once in one draw; `people` has a score for each whom it was tested on.

    `measures` are what these scores are means of; none where the scores are all that is known.
    """

    setting: Setting
    method: str
    draw: str
    figures: Figures
    people: dict[str, Score]
    measures: tuple[Measure, ...] = ()

    @property
    def key(self) -> Key:
        """Which cell it is."""
        return self.setting, self.method, self.draw

    @cached_property
    def dice(self) -> dict[str, float]:
        """Dice of the people who have one."""
        return {person: score.dice for person, score in self.people.items() if score.dice is not None}

    @cached_property
    def places(self) -> dict[str, dict[Place, float]]:
        """Every Dice behind the scores, by person, case and label."""
        if not self.measures:
            return {person: {MEAN: dice} for person, dice in self.dice.items()}
        found: dict[str, dict[Place, float]] = {}
        for person, cases in _cases_of(self.measures).items():
            for case in cases.values():
                for each in _labels(case):
                    if each.dice is not None:
                        found.setdefault(person, {})[each.case, each.label] = each.dice
        return found


@dataclass(frozen=True)
class Study:
    """All cells with a Dice, the claims written before it, and what was noticed when it was read.

    `kind` says what it was read from: a study folder, two run folders, or the metrics of two predictions.
    `asked` are the tasks of study.yaml, whose cells may be still to come, and `planned` all its cells; none
    where it does not list them. `differs` says in what two runs do.
    """

    name: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...] = ()
    remarks: tuple[str, ...] = ()
    kind: Literal["study", "runs", "masks"] = "study"
    asked: tuple[str, ...] = ()
    planned: tuple[Key, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def two(self) -> bool:
        """Whether it is two networks or predictions, once each, and no study of methods."""
        return self.kind != "study"

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order of the claims, then of the cells."""
        claimed = [name for claim in self.claims for name in (claim.method, claim.against)]
        there = dict.fromkeys(cell.method for cell in self.cells)
        return tuple(dict.fromkeys([*(name for name in claimed if name in there), *there]))

    @property
    def tasks(self) -> tuple[str, ...]:
        """In the order of the cells."""
        return tuple(dict.fromkeys(cell.setting.task for cell in self.cells))

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """Those of the cells, then those whose cells are still to come."""
        return tuple(dict.fromkeys([*self.tasks, *self.asked]))

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Tasks in the order of the cells, numbers of labels from the fewest; all of them last."""
        found = {cell.setting for cell in self.cells}
        tasks = self.tasks

        def place(each: Setting) -> tuple[int, float]:
            return tasks.index(each.task), float("inf") if each.labels is None else each.labels

        return tuple(sorted(found, key=place))

    @property
    def all_settings(self) -> tuple[Setting, ...]:
        """Those that are planned, then those of other cells."""
        return tuple(dict.fromkeys([*(setting for setting, *_ in self.planned), *self.settings]))

    def numbers_of(self, task: str) -> tuple[int | None, ...]:
        """Numbers of labelled people, planned or found."""
        return tuple(setting.labels for setting in self.all_settings if setting.task == task)

    def of(self, setting: Setting, method: str) -> dict[str, Cell]:
        """Cells of a method, by draw."""
        return {c.draw: c for c in self.cells if c.setting == setting and c.method == method}


def in_order(draws: Iterable[str]) -> list[str]:
    """Numbers by their size, then names: 9 comes before 10."""
    return sorted(draws, key=lambda draw: (0, int(draw), draw) if _is_number(draw) else (1, 0, draw))


def _is_number(draw: str) -> bool:
    return draw.isdecimal() and len(draw) < 20  # of which no integer is refused


def people_of(measures: Iterable[Measure]) -> dict[str, Score]:
    """A score for each person: slices and labels are no units.

    The union of all labels is left out beside the labels.
    """
    return {
        person: Score(
            mean_of_known(mean_of_known(m.dice for m in _labels(case)) for case in of_person.values()),
            mean_of_known(mean_of_known(m.hd95 for m in _labels(case)) for case in of_person.values()),
        )
        for person, of_person in _cases_of(measures).items()
    }


def mean_over(dice: Mapping[Place, float], places: Collection[Place]) -> float:
    """Of a person: mean over these labels of each case, then over the cases."""
    cases: dict[str, list[float]] = {}
    for (case, label), value in dice.items():
        if (case, label) in places:
            cases.setdefault(case, []).append(value)
    return fmean(fmean(labels) for labels in cases.values())


def _cases_of(measures: Iterable[Measure]) -> dict[str, dict[str, list[Measure]]]:
    """Measures by person and case."""
    cases: dict[str, dict[str, list[Measure]]] = {}
    for measure in measures:
        cases.setdefault(measure.person, {}).setdefault(measure.case, []).append(measure)
    return cases


def _labels(case: list[Measure]) -> list[Measure]:
    return [measure for measure in case if measure.label != UNION] or case
