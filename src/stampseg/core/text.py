"""Words for messages, and lines of tables."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable


def some(names: Iterable[str], limit: int = 5) -> str:
    """A list for a one-line message: the first few names and how many more there are."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 case", "2,400 cases"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size_text(sizes: Iterable[float], digits: int = 6, sign: str = "x") -> str:
    """Voxels, millimetres or poolings per axis: "512 x 512 x 94"; `digits` are of what is not whole."""
    return f" {sign} ".join(number_text(n, digits) for n in sizes)


def composed(name: str) -> str:
    """A name with an ü as one character, whether a system writes it so or as a u and its dots."""
    return unicodedata.normalize("NFC", name)


def number_text(number: float, digits: int = 4) -> str:
    """A number of so many digits, but whole ones and all before the point as they are: "2063", "20.63"."""
    whole = number % 1 == 0 or abs(number) >= 10**digits
    text = f"{number:.{digits}g}"
    if whole:
        return f"{number + 0.0:.0f}" if abs(number) < 1e15 else text
    return f"{float(text):.0f}" if "e+" in text else text  # 999.6 of three digits is 1000, not 1e+03


def range_text(low: float, high: float, digits: int = 4) -> str:
    """`20.63 to 2063`."""
    return f"{number_text(low, digits)} to {number_text(high, digits)}"


def dice_text(dice: float | None, none: str = "not measured") -> str:
    """`0.853`; `none` where there is no figure."""
    return none if dice is None else f"{dice:.3f}"


def duration_text(seconds: float) -> str:
    """`40 s`, `4 min`, `1.6 h`."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def shape_text(shape: Iterable[int]) -> str:
    """The shape of a tensor as `shape` takes it: "1x1x64x64"."""
    return "x".join(map(str, shape)) or "scalar"


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """A table of comma-separated values, its header among the rows; None is an empty cell."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
