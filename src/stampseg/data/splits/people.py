"""Who is who, of cases that are known by name alone: masks that were predicted, say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ...core.errors import ConfigError, DataError
from ...core.text import some
from ..cases import cases_of, match_group
from ..io.formats import stem_of
from ..layouts.case_table import CHANNEL as IMAGE_OF
from ..layouts.case_table import NUMBERED, check_once, read_rows
from ..layouts.case_table import ORGAN as LABEL_OF
from ..layouts.listing import Entry
from ..layouts.pairing import CHANNEL
from .record import SPLITS, Splits

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
        DataError: the file cannot be used, says nothing of some case, or more than one thing.
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
    twice = [name for name in names if len(known[name]) > 1]
    if twice:
        raise DataError(
            f"{groups}: {twice[0]} is {' and '.join(sorted(known[twice[0]])[:3])} ({len(twice)} of "
            f"{len(names)} cases are several persons); expected one person for every case; write a CSV with "
            "columns case and group alone, a row for each mask"
        )
    return {name: next(iter(known[name])) for name in names}


def _of_run(place: Path) -> dict[str, set[str]]:
    folder = place if place.is_dir() else place.parent
    if not (folder / SPLITS.name).is_file():
        runs = sorted(path.parent for path in folder.glob(f"*/{SPLITS.name}"))
        inner = f"; give the run folder in it, {runs[0]}" if len(runs) == 1 else ""
        raise DataError(f"{place}: holds no {SPLITS.name}; {EXPECTED}{inner}")
    splits: Splits = SPLITS.read(folder)
    # Those of other runs first: a case of this one may be called alike.
    entries = (
        *splits.known, *splits.unlabelled, *splits.held_out, *splits.test, *splits.validation,
        *splits.training,
    )  # fmt: skip
    return {entry.id: {entry.group or entry.id} for entry in entries}


def _of_csv(table: Path) -> dict[str, set[str]]:
    if not table.is_file():
        raise DataError(f"{table}: file not found; {EXPECTED}")
    found = read_rows(table, lambda names: _naming(names, table))
    if found is None:
        raise DataError(f"{table}: no column group beside one of case, image, label; {EXPECTED}")
    columns, rows = found
    known: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name in {name for column in columns for name in _names(row[column])}:
            known[name].add(row["group"] or name)
    for name, person in _in_folders(columns, rows, table.parent):
        known[name].add(person)
    return dict(known)


def _naming(names: Sequence[str], table: Path) -> list[str] | None:
    """The columns that name a case; None where there is none, or nobody says who it is.

    Raises:
        DataError: one of them is there twice.
    """
    naming = [
        name
        for name in names
        if name in NAMING or NUMBERED.fullmatch(name) or name.startswith((IMAGE_OF, LABEL_OF))
    ]
    if not naming or "group" not in names:
        return None
    check_once(table, names, {*naming, "group"})
    return naming


def _in_folders(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], root: Path
) -> Iterator[tuple[str, str]]:
    """What a training calls the cases where images of several folders are called alike, and who they are."""
    images = sorted(name for name in columns if name.startswith("image"))
    entries = [
        Entry(stem_of(root / row[images[0]]), (root / row[images[0]],), None, row["group"] or None)
        for row in rows
        if images and row[images[0]]
    ]
    with suppress(DataError):  # not even the folders tell them apart
        yield from ((case.id, case.group) for case in cases_of(entries, root, None))


def _names(cell: str) -> list[str]:
    """What a case may be called by a cell: the stem of its file, also without the number of a channel."""
    stem = stem_of(Path(cell)) if cell else ""
    channel = CHANNEL.fullmatch(stem)
    return [name for name in (stem, channel[1] if channel else "") if name]
