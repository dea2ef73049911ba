"""Folds for cross-validation: every labelled person is held out once, nobody is in two folds."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

from ...core.config import Config
from ...core.errors import ConfigError, DataError
from ...core.text import counted, some
from ..cases import Case, Dataset
from ..layouts.case_table import read_column
from .balance import Holds
from .draw import draw_cases

SWAPPED = 2_000  # exchanges of two people that are tried where a label would not be learnt


@dataclass(frozen=True)
class Fold:
    """Ids of the cases that train, and of those of the people who are held out.

    `name` is the value of the column by which the folds were made, else the number; `unlabelled` are images
    without a label that have the same value: nothing is learnt from them either.
    """

    name: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()


def wants_folds(config: Config) -> bool:
    """Whether the options ask for cross-validation."""
    return config.train.folds is not None or config.train.fold_column is not None


def make_folds(dataset: Dataset, data: Path, config: Config, holds: Holds) -> tuple[list[Fold], str]:
    """The folds that the options ask for, and what was decided, in words.

    With `labels` N, only N cases are drawn and put into folds.

    Args:
        dataset: the cases.
        data: what the user named: a CSV, or a folder.
        config: with `train.folds` or `train.fold_column`.
        holds: reads which values a case's label holds.

    Raises:
        ConfigError: more folds than people, both options, or a column with one value only.
        DataError: the column cannot be used, or has two values for one person.
    """
    cases = list(dataset.cases)
    if config.labels is not None:
        cases = draw_cases(cases, config.labels, config.seed)
    if config.train.fold_column is not None:
        return _by_column(dataset, data, cases, config)
    count, people = config.train.folds or 0, len({case.group for case in cases})
    if count > people:
        remedy = f"take at most {people}" if people > 1 else "label scans of another person"
        raise ConfigError(
            f"`train.folds` {count}: {counted(people, 'person is', 'people are')} labelled, and each fold "
            f"holds out one at least; {remedy}"
        )
    sides = spread(cases, count, config.seed, holds)
    folds = [_fold(str(number), side, cases) for number, side in enumerate(sides)]
    alone = ", leave one out" if count == people else ""
    alike = all(case.group == case.id for case in cases)
    same = " (each case counts as one person)" if alike else ""
    words = f"{count} folds of {len(cases)} cases, {people} people{same}: each is held out once{alone}"
    return folds, words


def _fold(name: str, side: Collection[str], cases: Sequence[Case]) -> Fold:
    """Of the people of one side."""
    ordered = sorted(cases, key=lambda case: case.id)
    training, held_out = (
        tuple(case.id for case in ordered if (case.group in side) is held) for held in (False, True)
    )
    return Fold(name, training, held_out)


def _by_column(dataset: Dataset, data: Path, cases: Sequence[Case], config: Config) -> tuple[list[Fold], str]:
    column = config.train.fold_column or ""
    if config.train.folds is not None:
        raise ConfigError(
            f"`train.folds` {config.train.folds} and `train.fold_column` {column}: the column says how many "
            "folds there are; give one of the two"
        )
    if dataset.layout != "csv":
        raise ConfigError(
            f"`train.fold_column` {column}: {data} is no CSV of cases; list images and labels in one "
            f"with the columns image,label,{column}"
        )
    values = read_column(data, column)
    sides: dict[str, set[str]] = defaultdict(set)
    of: dict[str, str] = {}
    for case in cases:
        value = values[case.images[0]]
        if of.setdefault(case.group, value) != value:
            raise DataError(
                f"person {case.group} has {of[case.group]} and {value} in column {column}; expected one "
                "value for each person, as nobody can be in two folds"
            )
        sides[value].add(case.group)
    if len(sides) < 2:
        raise ConfigError(
            f"`train.fold_column` {column}: holds {next(iter(sides))} for every case; expected two values at "
            "least; name another column, or use `train.folds`"
        )
    folds = [
        replace(
            _fold(value, sides[value], cases),
            unlabelled=tuple(c.id for c in dataset.unlabelled if values.get(c.images[0]) == value),
        )
        for value in sorted(sides)
    ]
    words = f"{len(folds)} folds by {column}: {some(sorted(sides))}; each is held out once"
    if config.unlabelled.strip() not in ("auto", "none"):
        words += (
            f"; nothing says the {column} of the scans in {config.unlabelled}: if some are of one that is "
            "held out, its Dice says too much; list them in the CSV of the data, without a label"
        )
    return folds, words


def spread(cases: Sequence[Case], count: int, seed: int, holds: Holds) -> list[set[str]]:
    """People in `count` sides of about the same size, the holders of each label spread over them.

    A label that two people hold is learnt in every fold, as far as exchanges of two people find it.
    """
    labels: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        labels[case.group] |= set(holds(case))
    sizes, held = Counter(c.group for c in cases), Counter(v for values in labels.values() for v in values)
    people = sorted(labels)
    random.Random(seed).shuffle(people)
    # who holds the rarest label first, then who has the most cases
    people.sort(key=lambda person: (min((held[v] for v in labels[person]), default=0), -sizes[person]))
    sides: list[list[str]] = [[] for _ in range(count)]
    for person in people:

        def crowded(side: list[str], person: str = person) -> tuple[float, int]:
            there = Counter(v for other in side for v in labels[other])
            share = sum(there[v] / held[v] for v in labels[person]) + len(side) / len(people)
            return share, sum(sizes[other] for other in side)

        min(sides, key=crowded).append(person)
    _exchange(sides, labels, held)
    return [set(side) for side in sides]


def _exchange(sides: list[list[str]], labels: Mapping[str, set[int]], held: Mapping[int, int]) -> None:
    """Swap people of two sides while that makes fewer labels be held by one side alone."""

    def unlearnt() -> int:
        return sum(
            held[v] > 1 and n == held[v]
            for side in sides
            for v, n in Counter(v for person in side for v in labels[person]).items()
        )

    tried, worst = 0, unlearnt()
    for one, other in combinations(sides, 2):
        for i, j in product(range(len(one)), range(len(other))):
            if not worst or tried == SWAPPED:
                return
            one[i], other[j], tried = other[j], one[i], tried + 1
            now = unlearnt()
            if now < worst:
                worst = now
            else:
                one[i], other[j] = other[j], one[i]


def without_held_out(dataset: Dataset, fold: Fold) -> Dataset:
    """The data set of a fold: those who train, and who is held out.

    Raises:
        DataError: a case of the fold is not there any more.
    """
    there = {case.id: case for case in dataset.cases}
    missing = [name for name in (*fold.training, *fold.held_out) if name not in there]
    if missing:
        raise DataError(
            f"{dataset.root}: {some(missing)} not there any more, of the cases that the folds were made of; "
            "put things back as they were, or start a new run"
        )
    training, held_out = (tuple(there[name] for name in ids) for ids in (fold.training, fold.held_out))
    drawn = {*fold.training, *fold.held_out}
    return replace(
        dataset,
        cases=training,
        held_out=held_out,
        others=tuple(case for case in dataset.cases if case.id not in drawn),
        unlabelled=tuple(case for case in dataset.unlabelled if case.id not in fold.unlabelled),
    )
