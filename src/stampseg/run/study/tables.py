"""cells.csv and cases.csv: what the cells of a study came to, for whoever compares them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...core.errors import DataError
from ...core.files import write_text
from ...core.text import csv_text
from ...evaluation.metrics import UNION
from ...evaluation.people import mean_of_people
from .plan import CELL, METRICS, Cell, CellRecord, Study

CELLS_TABLE, CASES_TABLE = "cells.csv", "cases.csv"
CELL_COLUMNS = (
    "task", "labels", "method", "draw", "parameters", "flops", "parameters_dense", "train_seconds",
    "predict_seconds", "dice",
)  # fmt: skip
REFUSED = "refused"  # a last column, 1 where the run ended without a model; not there where none did
CASE_COLUMNS = ("task", "labels", "method", "draw", "person", "case", "label", "dice", "hd95")
FALSE_POSITIVE = (
    "false_positive"  # a last column, volume of labels that a case does not hold, where some does
)


class Row(NamedTuple):
    """A label of a case; one that it does not hold has no Dice, but the volume that was predicted of it."""

    person: str
    case: str
    label: str
    dice: float | None
    hd95: float | None
    false_positive: float | None


def write_tables(study: Study) -> list[Path]:
    """Write both tables of the cells that are done.

    Raises:
        DataError: a cell.json or metrics.json is damaged, or the folder cannot be written to.
    """
    done = [cell for cell in study.cells if study.done(cell)]
    records = [CELL.read(study.place(cell)) for cell in done]
    of_cells = [list(_rows(study, cell, record)) for cell, record in zip(done, records, strict=True)]
    refused = [record.result.failure is not None for record in records]
    cells = [
        (
            *_key(record),
            *(getattr(record.result, name) for name in CELL_COLUMNS[4:-1]),
            _dice(rows),
            *([int(each)] if any(refused) else []),
        )
        for record, rows, each in zip(records, of_cells, refused, strict=True)
    ]
    columns = (*CELL_COLUMNS, REFUSED) if any(refused) else CELL_COLUMNS
    absent = any(row.false_positive is not None for rows in of_cells for row in rows)
    case_columns = (*CASE_COLUMNS, FALSE_POSITIVE) if absent else CASE_COLUMNS
    cases = [
        (*_key(record), *row)[: len(case_columns)]
        for record, rows in zip(records, of_cells, strict=True)
        for row in rows
    ]
    paths = [study.folder / CELLS_TABLE, study.folder / CASES_TABLE]
    write_text(paths[0], csv_text([columns, *cells]))
    write_text(paths[1], csv_text([case_columns, *cases]))
    return paths


def _key(record: CellRecord) -> tuple[object, ...]:
    return record.task, record.labels, record.method, record.draw


def _dice(rows: Iterable[Row]) -> float | None:
    """Of a cell, over people, by the rows of its cases and labels."""
    return mean_of_people((row.person, row.case, row.dice) for row in rows if row.dice is not None)


def _rows(study: Study, cell: Cell, record: CellRecord) -> Iterator[Row]:
    """A row for each case and label."""
    path = study.place(cell) / METRICS
    try:
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            if row["label"] != UNION:
                person, false = record.test[row["case"]], row.get("false_positive_volume")
                yield Row(person, row["case"], row["label"], row["dice"], row["hd95"], false)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: cannot be used ({error}); delete {path.with_name(CELL.name)} and start the study again"
        ) from None
