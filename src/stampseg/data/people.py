"""Who is who, of cases that are known by name alone: masks that were predicted, say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ConfigError, DataError
from ..core.text import some
from .cases import match_group
from .io.formats import stem_of
from .io.limits import read_text_file
from .pairing import CHANNEL
from .splits import SPLITS, Splits

NAMING = ("case", "image", "label")  # columns that name a case, by itself or by its file
EXPECTED = "expected a run folder, or a CSV with a column group and one of case, image, label"


def people_of_names(names: Sequence[str], group_regex: str | None, groups: Path | None) -> dict[str, str]:
    """The person of each named case; nothing where nobody says who is who.

    Args:
        names: of the cases, as their files are called without suffix.
        group_regex: its first group in a name is the person.
        groups: a CSV, or the splits of a run.

    Raises:
        ConfigError: both are given, or the regex does not match every name.
        DataError: the file cannot be used, or says nothing of some case.
    """
    if groups is None:
        return {} if group_regex is None else {name: match_group(group_regex, name) for name in names}
    if group_regex is not None:
        raise ConfigError("`group_regex` and `groups` both say who is who; give one of them")
    known = _of_run(groups) if groups.is_dir() or groups.name == SPLITS.name else _of_csv(groups)
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(
            f"{groups}: says nothing of {some(missing, 3)} ({len(missing)} of {len(names)} cases); expected "
            "a person for every case; add the rows, or evaluate the others apart"
        )
    return {name: known[name] for name in names}


def _of_run(place: Path) -> dict[str, str]:
    folder = place if place.is_dir() else place.parent
    if not (folder / SPLITS.name).is_file():
        raise DataError(f"{place}: holds no {SPLITS.name}; {EXPECTED}")
    splits: Splits = SPLITS.read(folder)
    entries = (*splits.training, *splits.validation, *splits.unlabelled, *splits.test)
    return {entry.id: entry.group or entry.id for entry in entries}


def _of_csv(table: Path) -> dict[str, str]:
    if not table.is_file():
        raise DataError(f"{table}: file not found; {EXPECTED}")
    text = read_text_file(table)
    for delimiter in (",", ";", "\t"):
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        columns = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
        naming = [columns[name] for name in NAMING if name in columns]
        if "group" in columns and naming:
            return {
                name: (row[columns["group"]] or "").strip() or name
                for row in rows
                for column in naming
                for name in _names(row[column] or "")
            }
    raise DataError(f"{table}: no column group beside one of case, image, label; {EXPECTED}")


def _names(cell: str) -> list[str]:
    """What a case may be called by a cell: the stem of its file, also without the number of a channel."""
    stem = stem_of(Path(cell.strip())) if cell.strip() else ""
    channel = CHANNEL.fullmatch(stem)
    return [name for name in (stem, channel[1] if channel else "") if name]
