"""Validation people by label: what is learnt is also measured, as far as there are people who hold it.

People, not cases, change sides: the cases of one person stay together.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from ...core.errors import DataError
from ..cases import Case

Holds = Callable[[Case], Collection[int]]  # values in a case's label
Side = frozenset[str]  # people who validate
TRIED = 20  # people of each side that are tried for an exchange
LOOKED_AT = 30  # people whose labels are read for one that nobody who was drawn holds


def balanced(
    training: Sequence[Case],
    validation: Sequence[Case],
    holds: Holds,
    seed: int,
    bound: Collection[str] = (),
) -> tuple[list[Case], list[Case]]:
    """Exchange people until every label that two hold is on both sides, and one that one holds is trained.

    Nothing is exchanged where that is so already.

    Args:
        training, validation: as they were drawn; no person is in both.
        holds: reads the labels.
        seed: decides between people who would do as well.
        bound: people who must not validate.

    Returns:
        Training and validation cases, each in the order of ids.
    """
    cases = [*training, *validation]
    labels: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        labels[case.group] |= set(holds(case))
    people = sorted(labels)
    random.Random(seed).shuffle(people)
    side = frozenset(case.group for case in validation)
    while _failures(side, labels) > (0, 0):
        ways = [way for way in _exchanges(side, labels, people, bound) if 0 < len(way) < len(people)]
        best = min(ways, key=lambda way: (_failures(way, labels), abs(len(way) - len(side))), default=side)
        if _failures(best, labels) >= _failures(side, labels):
            break
        side = best
    ordered = sorted(cases, key=lambda case: case.id)
    return [c for c in ordered if c.group not in side], [c for c in ordered if c.group in side]


def _exchanges(
    side: Side, labels: Mapping[str, Collection[int]], people: Sequence[str], bound: Collection[str]
) -> Iterator[Side]:
    """What one person less, one more, or one for another would make of a side, for a label that needs it."""
    for label in _wrong(side, labels):
        holders = [person for person in people if label in labels[person]]
        outside = [p for p in people if p not in side and p not in bound]
        leaving, coming = [p for p in people if p in side], outside
        if any(person in side for person in holders):  # it is not learnt: one who holds it goes to train
            leaving = [person for person in leaving if person in holders]
        else:
            coming = [person for person in outside if person in holders]
        for out in (None, *leaving[:TRIED]):
            for into in (None, *coming[:TRIED]):
                yield (side - {out}) | ({into} if into is not None else set())


def _wrong(side: Collection[str], labels: Mapping[str, Collection[int]]) -> dict[int, bool]:
    """Labels that are not learnt (True), or not measured though two people hold them (False)."""
    held: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for person, values in labels.items():
        for value in values:
            held[value][person in side] += 1
    return {
        value: not trained
        for value, (trained, measured) in sorted(held.items())
        if not trained or (not measured and trained > 1)
    }


def _failures(side: Collection[str], labels: Mapping[str, Collection[int]]) -> tuple[int, int]:
    """How many labels are not learnt, and how many not measured: the first matters more."""
    wrong = _wrong(side, labels).values()
    return sum(wrong), sum(not unlearnt for unlearnt in wrong)


def covering(
    wanted: Collection[int], drawn: Sequence[list[Case]], others: Iterable[list[Case]], holds: Holds
) -> list[list[Case]]:
    """People who validate: those drawn, some exchanged for others who hold labels that nobody drawn does.

    Args:
        wanted: labels that are learnt.
        drawn: cases of each person.
        others: of people who do not train either, in the order in which they would be drawn.
        holds: reads the labels; whoever's cannot be read is passed over.
    """
    people = [(person, _values(person, holds)) for person in drawn]
    for person in islice(others, LOOKED_AT):
        missing = set(wanted) - set[int]().union(*(values for _, values in people))
        if not missing:
            break
        found: set[int] = set()
        with suppress(DataError):
            found = _values(person, holds)
        if found & missing:
            spare = _spare(people, set(wanted))
            people[spare : spare + 1] = [(person, found)]
    return [person for person, _ in people]


def _spare(people: Sequence[tuple[object, set[int]]], wanted: set[int]) -> int:
    """The place of the last one whose labels others hold as well; behind all of them where there is none."""
    for place in reversed(range(len(people))):
        rest = (values for other, (_, values) in enumerate(people) if other != place)
        if not (people[place][1] & wanted) - set[int]().union(*rest):
            return place
    return len(people)


def _values(person: Iterable[Case], holds: Holds) -> set[int]:
    return {value for case in person for value in holds(case)}
