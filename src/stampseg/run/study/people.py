"""That all cells of one draw have the same people, though their data may have grown between them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from ...data.io.limits import read_text_file
from .draw import Draw, pool_text
from .plan import CELL, POOL, RUN, Cell, Study

REMEDY = "put the data back as they were, or begin another study with another `output`"


def check_people(study: Study, cell: Cell, drawn: Draw) -> None:
    """That nobody was exchanged since other cells of the draw were begun, or since this one was.

    Raises:
        DataError: others are labelled, seen without labels, or test.
    """
    place, pool = study.place(cell), pool_text(drawn)
    if (place / RUN).is_dir() and (place / POOL).is_file():
        # a run that has begun, or ended, must not be tested on people whom it learnt from
        _compare(place, "its run was begun with", _rows(read_text_file(place / POOL)), _rows(pool))
    for other in study.cells:
        if (other.task, other.draw) == (cell.task, cell.draw) and other != cell:
            _check_other(study, cell, drawn, other)


def _check_other(study: Study, cell: Cell, drawn: Draw, other: Cell) -> None:
    """Another cell of the draw: fewer people who are labelled are the first of more, and the same test."""
    place, there = study.place(cell), study.place(other)
    name = f"{other.method} with {counted(other.labels, 'labelled person', 'labelled people')}"
    if (there / RUN).is_dir() and (there / POOL).is_file():
        before, now = _rows(read_text_file(there / POOL)), _rows(pool_text(drawn))
        if other.labels != cell.labels:  # the same images, of which others are labelled
            before, now = (
                sorted((image, False, person) for image, _, person in rows) for rows in (before, now)
            )
        _compare(place, f"{name} learns from", before, now)
    if study.done(other):
        record = CELL.read(there)
        labelled = list(record.labelled), [case.id for case in drawn.labelled]
        common = min(map(len, labelled)) if other.labels != cell.labels else None
        _compare(place, f"{name} has labels of", labelled[0][:common], labelled[1][:common])
        tested = Counter(record.test.values()), Counter(case.group for case in drawn.test)
        _compare(place, f"{name} tests", *(sorted(each.elements()) for each in tested))


def _compare(place: Path, whose: str, before: Sequence[object], now: Sequence[object]) -> None:
    if list(before) != list(now):
        said = _exchanged(before, now)
        raise DataError(f"{place}: {whose} other cases ({said}): the data have changed since; {REMEDY}")


def _rows(pool: str) -> list[tuple[str, bool, str]]:
    """Name of the image, whether it is labelled, and whose it is; where the data lie is no matter."""
    rows = list(csv.reader(io.StringIO(pool)))[1:]
    return [(Path(row[0]).name, any(row[1:-1]), row[-1]) for row in rows]


def _exchanged(before: Iterable[object], now: Iterable[object]) -> str:
    """What came and what went, in a few names; that of a row is its image's."""
    old, new = (
        [str(each[0] if isinstance(each, tuple) else each) for each in side] for side in (before, now)
    )
    parts = {"gone": set(old) - set(new), "new": set(new) - set(old)}
    said = "; ".join(f"{what}: {some(sorted(names), 3)}" for what, names in parts.items() if names)
    return said or "the same names, but not the same of them labelled, or in another order"
