"""That all cells of one draw have the same people, though their data may have grown between them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from ...data.io.limits import read_text_file
from .draw import Draw, pool_text
from .plan import CELL, POOL, RUN, Cell, CellRecord, Study

REMEDY = "put the data back as they were, or begin another study with another `output`"


def check_people(study: Study, cell: Cell, drawn: Draw) -> None:
    """That nobody was exchanged since other cells of the draw were done, or since this one was begun.

    Raises:
        DataError: others are labelled, seen without labels, or test.
    """
    _check_pool(study.place(cell), drawn)
    for other in study.cells:
        if (other.task, other.draw) == (cell.task, cell.draw) and other != cell and study.done(other):
            _check_other(study.place(cell), cell, drawn, CELL.read(study.place(other)))


def _check_pool(place: Path, drawn: Draw) -> None:
    """A run that has begun, or ended, must not be tested on people whom it learnt from."""
    if not (place / RUN).is_dir() or not (place / POOL).is_file():
        return
    before, now = (_rows(text) for text in (read_text_file(place / POOL), pool_text(drawn)))
    if before != now:
        what = f"its run was begun with other cases ({_exchanged(before, now)})"
        raise DataError(f"{place}: {what}: the data have changed since; {REMEDY}")


def _rows(pool: str) -> list[tuple[str, bool, str]]:
    """Name of the image, whether it is labelled, and whose it is; where the data lie is no matter."""
    rows = list(csv.reader(io.StringIO(pool)))[1:]
    return [(Path(row[0]).name, any(row[1:-1]), row[-1]) for row in rows]


def _check_other(place: Path, cell: Cell, drawn: Draw, other: CellRecord) -> None:
    """Another cell of the draw: fewer people who are labelled are the first of more, and the same test."""
    name = f"{other.method} with {counted(other.labels, 'labelled person', 'labelled people')}"
    tested = Counter(other.test.values()), Counter(case.group for case in drawn.test)
    if tested[0] != tested[1]:
        what = f"tests others than {name} did ({_exchanged(*tested)})"
        raise DataError(f"{place}: {what}: the data have changed since; {REMEDY}")
    labelled = list(other.labelled), [case.id for case in drawn.labelled]
    common = min(map(len, labelled)) if other.labels != cell.labels else None
    if labelled[0][:common] != labelled[1][:common]:
        what = f"learns from others than {name} did ({_exchanged(*labelled)})"
        raise DataError(f"{place}: {what}: the data have changed since; {REMEDY}")
    if other.labels == cell.labels and other.unlabelled != len(drawn.unlabelled):
        raise DataError(
            f"{place}: {counted(len(drawn.unlabelled), 'image')} without a label, and {other.unlabelled} "
            f"when {name} was done: the data have changed since; {REMEDY}"
        )


def _exchanged(before: Iterable[object], now: Iterable[object]) -> str:
    """What came and what went, in a few names; that of a row is its image's."""
    old, new = (
        [str(each[0] if isinstance(each, tuple) else each) for each in side] for side in (before, now)
    )
    parts = {"gone": set(old) - set(new), "new": set(new) - set(old)}
    said = "; ".join(f"{what}: {some(sorted(names), 3)}" for what, names in parts.items() if names)
    return said or "the same names, but not the same of them labelled, or in another order"
