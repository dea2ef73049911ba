"""The three files of a study folder: cells.csv, cases.csv and study.yaml, checked line by line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, DataError
from ...core.yaml import read_yaml
from ...run.study.claim import Claim, read_claims
from ...run.study.plan import CELLS, STUDY_FILE
from ...run.study.tables import CASE_COLUMNS, CASES_TABLE, CELL_COLUMNS, CELLS_TABLE, FALSE_POSITIVE, REFUSED
from .remarks import (
    added,
    asked,
    false_alarms,
    named,
    not_whole,
    of_one_data_set,
    other_steps,
    otherwise_told,
    planned_cells,
    still_to_come,
    uncut,
    without_model,
)
from .study import Cell, Figures, Key, Measure, Setting, Study, people_of

_FIGURES = CELL_COLUMNS[4:-1]
_WANTED = f"a study folder, with {CELLS_TABLE}, {CASES_TABLE} and {STUDY_FILE}"
MOST_DIGITS = 9  # of a number of people; of thousands Python makes no number at all
_LINES = "let the study write it again, or correct the line"


def read_study(folder: Path) -> Study:
    """A study folder, also of a study that has not ended.

    Raises:
        DataError: a file is missing or damaged, or holds no Dice.
        ConfigError: a claim cannot be understood, or names a method or task that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name {_WANTED}")
    if (folder / CELLS).is_dir() and not (folder / CELLS_TABLE).is_file():
        raise DataError(
            f"{folder}: holds no {CELLS_TABLE} yet, which a study writes when its first cell has ended; "
            "wait for that, or go on with the study"
        )
    for name in (CELLS_TABLE, CASES_TABLE, STUDY_FILE):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: holds no {name}; expected {_WANTED}, or two run folders")
    figures, told, refused = _cells(folder / CELLS_TABLE)
    measured = _cases(folder / CASES_TABLE)
    cells = [
        Cell(*key, figures.get(key, Figures()), people_of(measures), tuple(measures))
        for key, measures in measured.items()
    ]
    whole = tuple(cell for cell in cells if cell.dice)
    if not whole:
        raise DataError(
            f"{folder / CASES_TABLE}: no case has a Dice; compare when a cell of the study has ended"
        )
    values = _config(folder / STUDY_FILE)
    planned = planned_cells(values)
    remarks = (
        *not_whole(figures, measured, whole),
        *otherwise_told(told, whole),
        *without_model(refused),
        *uncut(figures, values),
        *false_alarms(whole),
        *added(values),
        *other_steps(values),
        *still_to_come(planned, whole),
    )
    remarks += tuple(of_one_data_set(values))
    tasks = tuple(map(str, asked(values, "tasks")))
    claims = _claims(values, folder / STUDY_FILE)
    study = Study(folder.resolve().name, whole, claims, remarks, asked=tasks, planned=planned)
    _check_claims(study, tuple(map(str, asked(values, "methods"))), folder / STUDY_FILE)
    return study


def _cells(path: Path) -> tuple[dict[Key, Figures], dict[Key, float], list[Key]]:
    """What each network is, the Dice that is told of it, and which were refused by their own run."""
    found: dict[Key, Figures] = {}
    told: dict[Key, float] = {}
    refused: list[Key] = []
    for where, row in _rows(path, CELL_COLUMNS, REFUSED):
        key = _key(row, where)
        if key in found:
            raise DataError(f"{where}: {named(key)} is there twice; {_LINES}")
        found[key] = Figures(**{name: number(row[name], name, where) for name in _FIGURES})
        if (dice := number(row["dice"], "dice", where, most=1)) is not None:
            told[key] = dice
        if number(row.get(REFUSED, ""), REFUSED, where, most=1):
            refused.append(key)
    return found, told, refused


def _cases(path: Path) -> dict[Key, list[Measure]]:
    found: dict[Key, list[Measure]] = {}
    seen: set[tuple[Any, ...]] = set()
    means: dict[tuple[Key, str], bool] = {}
    for where, row in _rows(path, CASE_COLUMNS, FALSE_POSITIVE):
        key, person, case, label = _key(row, where), row["person"], row["case"], row["label"]
        if not person:
            raise DataError(f"{where}: has no person; expected who was tested, for people are the units")
        if bool(case) != bool(label):
            raise DataError(
                f"{where}: has a {'case' if case else 'label'} alone; expected case and label, or neither in "
                "a row that is a person's mean"
            )
        if means.setdefault((key, person), not case) != (not case):
            raise DataError(f"{where}: {person} of {named(key)} has both cases and a mean; leave one out")
        if (key, person, case, label) in seen:
            what = f"label {label} of case {case}" if case else person
            raise DataError(f"{where}: {what} is there twice for {named(key)}; {_LINES}")
        seen.add((key, person, case, label))
        dice = number(row["dice"], "dice", where, most=1)
        false = number(row.get(FALSE_POSITIVE, ""), FALSE_POSITIVE, where)
        measure = Measure(person, case, label, dice, number(row["hd95"], "hd95", where), false)
        found.setdefault(key, []).append(measure)
    return found


def _rows(path: Path, columns: tuple[str, ...], may: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Where a line stands, and its values, without the spaces around them; `may` may be a column as well."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if may in (reader.fieldnames or ()):
                columns = (*columns, may)
            _check_header(path, list(reader.fieldnames or ()), columns)
            for row in reader:
                where = f"{path}: line {reader.line_num}"
                if None in row or None in row.values():
                    raise DataError(f"{where}: expected {len(columns)} values; {_LINES}")
                yield where, {name: value.strip() for name, value in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table of comma-separated values ({error}); {_LINES}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _check_header(path: Path, names: list[str], columns: tuple[str, ...]) -> None:
    unknown = [name or "(no name)" for name in names if name not in columns]
    lacking = [name for name in columns if name not in names]
    if not unknown and not lacking and len(names) == len(columns):
        return
    said = [f"unknown columns {', '.join(unknown)}"] if unknown else []
    said += [f"no column {', '.join(lacking)}"] if lacking else []
    said = said or ["a column is there twice"]
    raise DataError(f"{path}: {'; '.join(said)}; expected {', '.join(columns)}; let the study write it again")


def _key(row: Mapping[str, str], where: str) -> Key:
    for name in ("task", "method", "draw"):
        if not row[name]:
            raise DataError(f"{where}: has no {name}; {_LINES}")
    labels = row["labels"]
    if labels and not (labels.isdecimal() and len(labels) <= MOST_DIGITS):
        raise DataError(
            f"{where}: labels {_short(labels)}: expected how many people were labelled, or nothing for all"
        )
    return Setting(row["task"], int(labels) if labels else None), row["method"], row["draw"]


def _short(text: str) -> str:
    return repr(text if len(text) <= 20 else f"{text[:17]}...")


def number(text: str, name: str, where: str, most: float = math.inf) -> float | None:
    """None where nothing is there, or what is not a number: it is undefined."""
    try:
        value = float(text) if text else math.nan
        if "_" in text:  # 0_1 is 1 to Python, and to nobody else
            value = -1.0
    except ValueError:
        value = -1.0
    if math.isnan(value):
        return None
    if math.isinf(value) or not 0 <= value <= most:
        wanted = "0 or more" if math.isinf(most) else f"0 to {most:g}"
        raise DataError(
            f"{where}: {name} {_short(text)}: expected a number, {wanted}, or nothing where it is undefined"
        )
    return value


def _config(path: Path) -> object:
    try:
        return read_yaml(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:  # UnicodeDecodeError among them
        raise ConfigError(f"{path}: not a YAML file ({error}); correct it") from None


def _claims(values: object, path: Path) -> tuple[Claim, ...]:
    return read_claims(values.get("claims") if isinstance(values, dict) else {}, path)


def _check_claims(study: Study, methods: tuple[str, ...], path: Path) -> None:
    """Refuse names that neither study.yaml nor a cell has; of some the cells may be still to come."""
    for number, claim in enumerate(study.claims, 1):
        named = (
            ("method", (claim.method, claim.against)),
            ("task", () if claim.tasks == "all" else claim.tasks),
        )
        for (kind, names), known in zip(named, ((*study.methods, *methods), study.all_tasks), strict=True):
            for name in names:
                if name not in known:
                    raise ConfigError(
                        f"{path}: claim {number} names the {kind} {name}, and no cell has it; there are "
                        f"{', '.join(dict.fromkeys(known))}; correct the name, or compare when its cells "
                        "have ended"
                    )
