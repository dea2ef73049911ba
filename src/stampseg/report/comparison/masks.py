"""Two files of `stampseg evaluate` as a study of one draw: masks of any two programs, paired by case."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import DataError
from ...core.text import counted, some
from ...evaluation.metrics import UNION
from .reading import number
from .study import Cell, Figures, Measure, Setting, Study, people_of

DRAW = "these masks"
SUFFIXES = (".csv", ".json")
COLUMNS = ("case", "label", "dice", "hd95", "predicted_volume", "reference_volume")
APART = 0.01  # of a reference volume: as another grid may leave
_WANTED = "a file that `stampseg evaluate` wrote (.csv or .json)"

Place = tuple[str, str]  # case, label


@dataclass(frozen=True)
class Masks:
    """What one file holds, by case and label: measures, and volumes of prediction and reference; the unit."""

    path: Path
    measures: Mapping[Place, Measure]
    predicted: Mapping[Place, float | None]
    reference: Mapping[Place, float | None]
    unit: str  # of distances; empty where the file does not say
    people_known: bool  # whether a person is called otherwise than the case


def study_of_masks(first: Path, second: Path) -> Study:
    """Two predictions of the same cases, each measured against the same labels; the rest is left out.

    Args:
        first, second: files of metrics.

    Raises:
        DataError: no such file, the same twice, or no case and label that both have a Dice of.
    """
    if first.resolve() == second.resolve():
        raise DataError(f"{first}: named twice; name the metrics of two predictions")
    sides = (read_masks(first), read_masks(second))
    if len({side.unit for side in sides} - {""}) > 1:
        raise DataError(
            f"{first}, {second}: distances are in {sides[0].unit} and in {sides[1].unit}; expected masks of "
            "the same scans"
        )
    shared, people = _shared(*sides), _people(*sides)
    names = _names(first, second)
    setting = Setting("masks", None)
    cells = tuple(
        Cell(
            setting,
            name,
            DRAW,
            Figures(),
            people_of(
                replace(mine.measures[place], person=people[place[0]], hd95=_hd95(place, mine, other))
                for place in shared
            ),
        )
        for name, mine, other in zip(names, sides, reversed(sides), strict=True)
    )
    return Study(
        f"{names[0]} against {names[1]}", cells, (), tuple(_remarks(sides, names, shared)), kind="masks"
    )


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The files' names, or those of the nearest folders that tell them apart."""
    paths = first.resolve(), second.resolve()
    folders = zip(*([each.name for each in path.parents] for path in paths), strict=False)
    pairs = ((first.stem, second.stem), *folders)
    return next((pair for pair in pairs if pair[0] != pair[1] and all(pair)), (str(first), str(second)))


def _hd95(place: Place, mine: Masks, other: Masks) -> float | None:
    """None where the other side has none, so that the medians of both are over the same cases."""
    return None if other.measures[place].hd95 is None else mine.measures[place].hd95


def _shared(first: Masks, second: Masks) -> list[Place]:
    """Where both have a Dice; the union of all labels is left out beside the labels."""
    known = [_with_dice(side) for side in (first, second)]
    other = set(known[1])
    if shared := [place for place in known[0] if place in other]:
        return shared
    cases, labels_of = (
        [some(sorted({place[part] for place in side}), 3) or "none" for side in known] for part in (0, 1)
    )
    raise DataError(
        f"{first.path}, {second.path}: no case and label has a Dice in both (cases {cases[0]} against "
        f"{cases[1]}; labels {labels_of[0]} against {labels_of[1]}); measure both with the same labels, of "
        "the same names"
    )


def _with_dice(side: Masks) -> list[Place]:
    known = [place for place, each in side.measures.items() if each.dice is not None]
    return [place for place in known if place[1] != UNION] or known


def _people(first: Masks, second: Masks) -> dict[str, str]:
    """The person of each case, as the side says that knows.

    Raises:
        DataError: both know, and differ.
    """
    said = [
        {case: each.person for (case, _), each in side.measures.items()}
        for side in (first, second) if side.people_known or not (first.people_known or second.people_known)
    ]  # fmt: skip
    for case in said[0].keys() & said[-1].keys():
        if said[0][case] != said[-1][case]:
            raise DataError(
                f"{first.path}, {second.path}: case {case} is of {said[0][case]} and of {said[-1][case]}; "
                "say the same when `stampseg evaluate` measures both"
            )
    return said[0] | said[-1]


def read_masks(path: Path) -> Masks:
    """A file of metrics.

    Raises:
        DataError: it is none.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; name {_WANTED}")
    try:
        rows = _rows(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, csv.Error, RecursionError) as error:  # UnicodeDecodeError and json's among them
        raise DataError(f"{path}: cannot be read ({error}); expected {_WANTED}") from None
    lacking = [name for name in COLUMNS if any(name not in row for row in rows)]
    if lacking or not rows:
        what = f"has no {', '.join(lacking)}" if lacking else "has no case"
        raise DataError(f"{path}: {what}; expected {_WANTED}, with {', '.join(COLUMNS)}")
    named = [bool(row.get("person")) for row in rows]
    if any(named) and not all(named):
        raise DataError(
            f"{path}: row {named.index(False) + 1} has no person, and others have; expected all or none "
            "to have one"
        )
    measures: dict[Place, Measure] = {}
    predicted: dict[Place, float | None] = {}
    reference: dict[Place, float | None] = {}
    for place_in_file, row in enumerate(rows, 1):
        place = str(row["case"]), str(row["label"])
        where = f"{path}: row {place_in_file} ({place[0]}, {place[1]})"
        if place in measures:
            raise DataError(f"{where}: is there twice; let `stampseg evaluate` write the file again")
        dice = _figure(row, "dice", where, most=1)
        person = str(row.get("person") or place[0])
        measures[place] = Measure(person, *place, dice, _figure(row, "hd95", where))
        predicted[place] = _figure(row, "predicted_volume", where)
        reference[place] = _figure(row, "reference_volume", where)
    return Masks(path, measures, predicted, reference, str(rows[0].get("unit") or ""), any(named))


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            lines: list[dict[str, Any]] = []
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"line {reader.line_num} has not as many values as there are columns")
                lines.append(row)
            return lines
    found = json.loads(path.read_text(encoding="utf-8-sig"))
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it holds no rows")
    units = found.get("units")
    unit = units.get("length") if isinstance(units, dict) else None
    return [{"unit": unit, **row} for row in rows]


def _figure(row: Mapping[str, Any], name: str, where: str, most: float = math.inf) -> float | None:
    value = row[name]
    return number("" if value is None else str(value), name, where, most)


def _remarks(sides: tuple[Masks, Masks], names: tuple[str, str], shared: Sequence[Place]) -> list[str]:
    """What is not whole, and what speaks against the pairs."""
    said = [*_false_positives(sides, names)]
    for side in sides:
        alone = sorted(set(_with_dice(side)) - set(shared))
        if alone:
            listed = some([f"{case} ({label})" for case, label in alone], 3)
            said.append(
                f"{counted(len(alone), 'case and label', 'cases and labels')} of {side.path.name} left out, "
                f"as only one of the two has a Dice there: {listed}"
            )
    if others := [place for place in shared if _apart(*(side.reference[place] for side in sides))]:
        listed = some([f"{case} ({label})" for case, label in others], 3)
        said.append(
            f"{counted(len(others), 'reference')} {'is' if len(others) == 1 else 'are'} not as large in one "
            f"file as in the other ({listed}): the two were measured against other labels, and a difference "
            "between them may be that of the labels; measure both again with the same"
        )
    if not any(side.people_known for side in sides):
        said.append(
            "nobody said who is who, so that each case counts as a person of its own: several scans of one "
            "person make the interval too narrow; say who is who when `stampseg evaluate` measures"
        )
    return said


def _false_positives(sides: tuple[Masks, Masks], names: tuple[str, str]) -> Iterator[str]:
    """What is predicted where the reference holds nothing: no Dice tells of it."""
    absent = [
        place
        for place in sides[0].reference.keys() & sides[1].reference.keys()
        if not any(side.reference[place] for side in sides) and place[1] != UNION
    ]
    found = [[side.predicted[place] or 0.0 for place in absent] for side in sides]
    if any(map(any, found)):
        each = " and ".join(
            f"{name} in {sum(map(bool, volumes))} ({sum(volumes):,.4g} in all)"
            for name, volumes in zip(names, found, strict=True)
        )
        yield (
            f"of {counted(len(absent), 'case and label', 'cases and labels')} that the reference holds "
            f"nothing of, something was predicted by {each}: no Dice here tells of these false positives"
        )


def _apart(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return False
    return abs(first - second) > APART * max(first, second)
