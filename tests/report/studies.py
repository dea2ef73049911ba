"""Study folders made by hand: three methods whose differences are known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stampseg.run.study.plan import STUDY_FILE
from stampseg.run.study.tables import CASE_COLUMNS, CASES_TABLE, CELL_COLUMNS, CELLS_TABLE

METHODS = {"ours": (0.0, 70_000), "usual": (-0.1, 490_000), "flat": (-0.003, 71_000)}  # Dice, parameters
CLAIMS = """
data: anything
claims:
  - {method: ours, against: usual, kind: superior, tasks: all}
  - {method: ours, against: flat, kind: noninferior, margin: 0.02, tasks: [liver]}
  - {method: usual, against: flat, kind: superior}
"""


def cell_row(
    task: str = "liver", method: str = "ours", draw: object = 1, **other: object
) -> dict[str, object]:
    """A line of cells.csv."""
    row = {
        "task": task, "labels": 10, "method": method, "draw": draw, "parameters": METHODS[method][1],
        "flops": 1e9, "parameters_dense": 490_000, "train_seconds": 100, "predict_seconds": 0.5, "dice": "",
    }  # fmt: skip
    return row | other


def case_row(
    person: str, dice: object, method: str = "ours", draw: object = 1, **other: object
) -> dict[str, object]:
    """A line of cases.csv, a person's mean by itself."""
    row = {"task": "liver", "labels": 10, "method": method, "draw": draw, "person": person}
    return row | {"case": "", "label": "", "dice": dice, "hd95": ""} | other


def make_study(
    folder: Path,
    *,
    nested: bool = False,
    tasks: Mapping[str, Iterable[int]] | None = None,
    draws: int = 4,
    people: int = 8,
    claims: str = CLAIMS,
) -> Path:
    """A study of `METHODS`; `tasks` are names with the numbers of labels."""
    rng = np.random.default_rng(0)
    cells: list[dict[str, object]] = []
    cases: list[dict[str, object]] = []
    for task, numbers in (tasks or {"liver": (10,), "spleen": (10,)}).items():
        level = rng.normal(0.8, 0.04, draws * people)
        for labels in numbers:
            for draw in range(draws):
                for method, (shift, parameters) in METHODS.items():
                    key = {"task": task, "labels": labels, "method": method, "draw": draw}
                    cells.append(cell_row(task, method, draw, labels=labels, parameters=parameters))
                    luck = rng.normal(0, 0.005)
                    for place in range(people):
                        person = draw * people + place if nested else place
                        dice = level[person] + shift + luck + rng.normal(0, 0.005)
                        cases.append(case_row(f"p{person}", round(dice, 4), **{**key, "hd95": 3.0}))
    return write_study(folder, cells, cases, claims)


def write_study(
    folder: Path, cells: Iterable[dict[str, Any]], cases: Iterable[dict[str, Any]], claims: str = ""
) -> Path:
    """The three files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns, rows in ((CELLS_TABLE, CELL_COLUMNS, cells), (CASES_TABLE, CASE_COLUMNS, cases)):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, columns)
            table.writeheader()
            table.writerows(rows)
    (folder / STUDY_FILE).write_text(claims, encoding="utf-8")
    return folder
