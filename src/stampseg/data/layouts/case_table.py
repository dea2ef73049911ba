"""A CSV of cases: what its columns are, and its rows."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from ...core.errors import DataError
from ...core.text import composed, some
from ..io.formats import is_hidden, stem_of
from ..io.limits import read_text_file
from .listing import Entry, check_exist, left_over

DELIMITER = re.compile(r"\A\s*sep=.[ \t]*(?:\r\n|\r|\n)", re.I)  # which Excel writes in front of the header
NUMBERED = re.compile(r"image_?(\d+)")
CHANNEL, ORGAN = "image:", "label:"
PLAIN = ("image", "label", "group")
MEANT = {
    **dict.fromkeys(("scan", "volume"), "image"),
    **dict.fromkeys(("mask", "masks", "segmentation", "seg", "annotation", "gt"), "label"),
    **dict.fromkeys(("patient", "person", "subject", "patient_id", "subject_id", "person_id"), "group"),
}  # other names that people give to the columns
NOBODY = {"na", "n/a", "#n/a", "<na>", "nan", "none", "null", "-", "--", "?"}  # in a cell that names nobody
COLUMNS = (
    "columns image,label and optionally group; several channels are image,image_2,... or image:t1,image:t2, "
    "a mask of each organ label:liver,label:spleen"
)
T = TypeVar("T")


@dataclass(frozen=True)
class CaseTable:
    """The rows of a CSV.

    Attributes:
        entries: one per row.
        channels: names of the image columns, where they have some, in the order of the channels.
        organs: names of the label columns, where there is one for each organ, in the order of the classes.
        warnings: one line each.
    """

    entries: list[Entry]
    channels: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Columns:
    images: tuple[str, ...]
    labels: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(name.removeprefix(CHANNEL) for name in self.images if name.startswith(CHANNEL))

    @property
    def organs(self) -> tuple[str, ...]:
        return tuple(name.removeprefix(ORGAN) for name in self.labels if name.startswith(ORGAN))


def read_table(table: Path, root: Path, *, bare: bool = False) -> CaseTable:
    """Rows of a CSV; paths are relative to `root` or absolute.

    With `bare`, it lists images alone: it needs no column of labels, and what those say is not read.

    Channels are in the order of their numbers or names, organs in the order of their names, so that two CSVs
    with the same columns mean the same however these are ordered.

    Raises:
        DataError: not such a CSV, or files that it names are missing.
    """
    found = _read(table, bare=bare)
    if found is None:
        needed = "column image" if bare else "columns image,label"
        expected = f"expected a header line with the {needed} and optionally group"
        raise DataError(f"{table}: {expected}{_meant(table)}")
    columns, rows = found
    if not rows:
        raise DataError(
            f"{table}: no rows below the header; expected one image{'' if bare else ' and label'} each"
        )
    entries = [_entry(row, columns, table, root) for row in rows]
    check_exist(table, entries)
    if 0 < sum(entry.group is None for entry in entries) < len(entries):
        nameless = next(entry for entry in entries if entry.group is None)
        raise DataError(
            f"{table}: no group for {nameless.stem}; fill the column in every row or in none (cells such as "
            "NA, nan, - and ? name nobody)"
        )
    warnings = []
    if columns.others:
        used = ", ".join((*columns.images, *columns.labels, "group"))
        people = [name for name in columns.others if MEANT.get(name.lower()) == "group"]
        hint = f"; if {people[0]} says who is who, call it group" if people and not entries[0].group else ""
        unread = (
            f"columns that are not read: {some(columns.others, 9)} (read are {used}, and the one that "
            "`fold_column` names)"
        )
        warnings = [f"{table.name}: {unread}{hint}"]
    return CaseTable(entries, columns.channels, columns.organs, tuple(warnings))


def unread_groups(folder: Path) -> list[str]:
    """A word about a CSV in a folder that says who is who, and is not read, as it lists no labels."""

    def says_who(names: Sequence[str]) -> bool | None:
        return ("group" in names and "image" in names and "label" not in names) or None

    found = []
    for path in sorted(folder.glob("*.csv")):
        with suppress(DataError):
            if not is_hidden(path) and read_rows(path, says_who, surplus=True):
                found.append(path.name)
    return list(left_over("not read, as it has no column label beside image and group", found))


def read_column(data: Path, column: str) -> dict[Path, str]:
    """What a column of the data's CSV says of each image, by the first path that its case has.

    Args:
        data: the CSV, or the folder that holds it.
        column: its name, in small or capital letters.

    Raises:
        DataError: the column is not there, or empty in some row.
    """
    table = data if data.is_file() else own_table(data)
    found = _read(table) if table is not None else None
    if table is None or found is None or not found[1]:
        raise DataError(
            f"{data}: holds no CSV of images and labels; a column such as {column} is read from one"
        )
    columns, rows = found
    name, image = _lower(column.strip()), columns.images[0]
    if name not in rows[0]:
        raise DataError(f"{table}: has no column {column}, only {', '.join(rows[0])}; name one of these")
    check_once(table, columns.others, {name})
    empty = next((row[image] for row in rows if not row[name]), None)
    if empty is not None:
        raise DataError(f"{table}: nothing in column {column} for {empty}; fill it in every row")
    return {table.parent / row[image]: row[name] for row in rows}


def own_table(folder: Path) -> Path | None:
    """The CSV in a folder that lists images and labels; None where there is none.

    Raises:
        DataError: there are several.
    """
    tables = [path for path in sorted(folder.glob("*.csv")) if not is_hidden(path) and _lists_cases(path)]
    if len(tables) > 1:
        names = " and ".join(path.name for path in tables)
        raise DataError(f"{folder}: {names} all list images and labels; give the one to use as DATA")
    return tables[0] if tables else None


def _entry(row: dict[str, str], columns: _Columns, table: Path, root: Path) -> Entry:
    images = [row[name] for name in columns.images]
    labels = [row[name] for name in columns.labels]
    if not images[0]:
        said = f" (label {labels[0]!r})" if labels else ""
        raise DataError(f"{table}: a row has no image{said}; expected a path in every row")
    if not all(images):
        lacking = columns.images[images.index("")]
        raise DataError(
            f"{table}: no {lacking} in the row of {images[0]}; expected every channel in every row; fill it, "
            "or leave the case out"
        )
    paths, group = tuple(root / image for image in images), row.get("group") or None
    _check_own_files(columns, row, table, root)
    if not columns.organs:
        label = root / labels[0] if any(labels) else None
        return Entry(stem_of(paths[0]), paths, label, group, channels=columns.channels)
    if any(labels) and not all(labels):
        lacking = columns.labels[labels.index("")]
        raise DataError(
            f"{table}: no {lacking} in the row of {images[0]}; expected a mask of each organ, as what is not "
            "drawn is learnt as not there; name an empty mask where the organ is not there, or leave all of "
            "the row's labels empty"
        )
    organs = dict(zip(columns.organs, (root / label for label in labels), strict=True)) if all(labels) else {}
    return Entry.of(paths, organs, group, columns.channels)


def _check_own_files(columns: _Columns, row: Mapping[str, str], table: Path, root: Path) -> None:
    """Refuse one file as two channels of a row, and as its image and its label."""
    seen: dict[str, str] = {}
    for name in (*columns.images, *columns.labels):
        file = os.path.realpath(root / row[name]) if row[name] else ""
        other = seen.get(file)
        if file and other is not None and name in columns.images:
            raise DataError(
                f"{table}: {row[name]} is {other} and {name} of one row; expected a file of its own for each "
                "channel; correct the row"
            )
        if file and other in columns.images:
            raise DataError(
                f"{table}: in the row of {row[columns.images[0]]} the {name} is the {other} itself; expected "
                "the file of a mask; correct the row"
            )
        seen[file] = name


def check_once(table: Path, names: Sequence[str], used: Collection[str]) -> None:
    """See that no column that is read is there twice, were it in other letters: the last would count.

    Raises:
        DataError: one is.
    """
    seen: dict[str, str] = {}
    for name in filter(used.__contains__, names):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(
                f"{table}: the columns {other} and {name} differ in upper and lower case alone; expected "
                "every column once; rename or remove one"
            )
        if names.count(name) > 1:
            raise DataError(f"{table}: the column {name} is there twice; expected every column once")


def _read(table: Path, *, bare: bool = False) -> tuple[_Columns, list[dict[str, str]]] | None:
    """Columns and stripped cells; None when no columns of images and labels are there."""
    return read_rows(table, lambda names: _columns(names, table, bare=bare))


def read_rows(
    table: Path, understand: Callable[[list[str]], T | None], *, surplus: bool = False
) -> tuple[T, list[dict[str, str]]] | None:
    """What the header of a CSV says, and the stripped cells of each row by column.

    Args:
        table: with commas, semicolons or tabs, and the line `sep=` that Excel writes in front or without.
        understand: is given the names of the columns, and says what they are, or None.
        surplus: rows may have more cells than there are columns.

    Returns:
        None where no header is understood.

    Raises:
        DataError: it is no CSV, or a row has more cells than there are columns.
    """
    text, above = DELIMITER.subn("", read_text_file(table), count=1)
    header = text.lstrip().partition("\n")[0]
    # Spreadsheets of some countries write semicolons.
    for delimiter in sorted((",", ";", "\t"), key=header.count, reverse=True):
        try:
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            cells = filter(any, ([cell.strip() for cell in row] for row in lines))
            names = [_lower(name) for name in next(cells, [])]
            found = understand(names)
            if found is not None:  # a table of something else may be large
                rows = []
                for row in cells:
                    if not surplus:
                        _check_cells(row, names, f"{table}: line {lines.line_num + above}", delimiter)
                    rows.append(_row(names, row))
                return found, rows
        except csv.Error as error:
            raise DataError(f"{table}: cannot be read ({error}); expected a CSV in UTF-8") from None
    return None


def _check_cells(cells: Sequence[str], names: Sequence[str], where: str, delimiter: str) -> None:
    """What stands apart from the columns is a remark; what follows them may be half of a cell."""
    if len(cells) > len(names) and cells[len(names)]:
        what = {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]
        raise DataError(
            f"{where} has {len(cells)} cells ({some(cells, 6)}), and the header names {len(names)} "
            f"columns; put a cell that holds a {what} in quotes, or name the column"
        )


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Cells by column; a person is one, however a system composes the letters of a name, and NA is nobody."""
    row = dict(zip(names, [*cells, *[""] * len(names)], strict=False))
    if "group" in row:
        row["group"] = "" if row["group"].casefold() in NOBODY else composed(row["group"])
    return row


def _meant(table: Path) -> str:
    """What its first line holds instead, and which columns may be meant by that."""
    line = next((line for line in read_text_file(table).splitlines() if line.strip()), "")[:200]
    names = [name.strip() for name in re.split("[,;\t]", line)]
    near = [f"{meant} for {name}" for name in names if name not in PLAIN and (meant := _column_meant(name))]
    hint = f"; did you mean {' and '.join(near)}?" if near else ""
    return f"; found {some(names, 6)}{hint}" if line else "; found nothing"


def _column_meant(name: str) -> str | None:
    """The column that is called otherwise, or mistyped."""
    near = get_close_matches(name.lower(), PLAIN, n=1, cutoff=0.7)
    return near[0] if near else MEANT.get(name.lower())


def _lower(name: str) -> str:
    """A column's name without regard to case; what a channel or an organ is called stays as it is."""
    kind, separator, own = name.partition(":")
    return f"{kind.strip().lower()}{separator}{own.strip()}"


def _columns(names: list[str], table: Path, *, bare: bool = False) -> _Columns | None:
    """Which columns are images, in the order of the channels, and which are labels: none with `bare`.

    Raises:
        DataError: a channel or an organ twice, or columns that contradict each other.
    """
    named = sorted(name for name in names if name.startswith(CHANNEL))
    numbers = {name: int(match[1]) for name in names if (match := NUMBERED.fullmatch(name))}
    plain = [*(["image"] if "image" in names else []), *sorted(numbers, key=lambda name: numbers[name])]
    organs = sorted(name for name in names if name.startswith(ORGAN) and not bare)
    whole = ["label"] if "label" in names and not bare else []
    if not (named or "image" in plain or 1 in numbers.values()) or not (organs or whole or bare):
        return None
    if (named and plain) or (organs and whole):
        mixed = (*plain, *named) if named and plain else (*whole, *organs)
        raise DataError(f"{table}: columns {', '.join(mixed)} contradict each other; expected {COLUMNS}")
    counts = [*([1] if "image" in plain else []), *sorted(numbers.values())]
    if plain and counts != list(range(1, len(counts) + 1)):
        raise DataError(
            f"{table}: columns {', '.join(plain)}; expected image,image_2,image_3,... without a gap; rename "
            "them"
        )
    used = {*plain, *named, *organs, *whole, "group"}
    check_once(table, names, used)
    others = tuple(name for name in names if name and name not in used)
    return _Columns(tuple(named or plain), tuple(organs or whole), others)


def _lists_cases(table: Path) -> bool:
    def lists(names: list[str]) -> bool | None:
        try:
            return _columns(names, table) is not None or None
        except DataError:  # what is wrong with its columns and rows is said when they are read
            return True

    with suppress(DataError):
        return read_rows(table, lists, surplus=True) is not None
    return False
