"""Values of a JSON file that others wrote: each is what it should be, or an error names file and key."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import ModelFileError

_ABSENT = object()


@dataclass(frozen=True)
class Part:
    """A mapping of a file.

    Attributes:
        path: of the file.
        values: as read.
        where: keys that lead to it, with a dot after each.
    """

    path: Path
    values: Mapping[str, Any]
    where: str = ""

    def error(self, key: str, expected: str) -> ModelFileError:
        """What to raise for the value of `key`."""
        found = "nothing" if key not in self.values else _shown(self.values[key])
        return ModelFileError(
            f"{self.path}: {self.where}{key}: found {found}; expected {expected}; copy the file again"
        )

    def get(self, key: str, fits: Callable[[Any], bool], expected: str, default: Any = _ABSENT) -> Any:
        """The value of `key`; `default`, if there is one, where the key is absent or null."""
        value = self.values.get(key)
        if value is None and default is not _ABSENT:
            return default
        if not fits(value):
            raise self.error(key, expected)
        return value

    def part(self, key: str, default: Any = _ABSENT) -> Part:
        """A mapping inside."""
        values = self.get(key, lambda v: isinstance(v, Mapping), "names with values", default)
        return Part(self.path, values, f"{self.where}{key}.")

    def text(self, key: str, default: Any = _ABSENT) -> Any:
        """A text."""
        return self.get(key, lambda v: isinstance(v, str) and v != "", "a text", default)

    def number(self, key: str) -> float:
        """A finite number."""
        return float(self.get(key, is_number, "a number"))

    def count(self, key: str) -> int:
        """A whole number above 0."""
        return int(self.get(key, is_count, "a whole number above 0"))

    def list(
        self, key: str, fits: Callable[[Any], bool], what: str, lengths: tuple[int, ...] = (), **default: Any
    ) -> Any:
        """A list of what fits, of one of these lengths; of any but 0 where none is given."""
        long = f"{' or '.join(map(str, lengths))} " if lengths else ""
        return self.get(
            key,
            lambda v: (
                isinstance(v, list)
                and (len(v) in lengths if lengths else len(v) > 0)
                and all(fits(each) for each in v)
            ),
            f"a list of {long}{what}",
            **default,
        )


def read_part(path: Path) -> Part:
    """Read a JSON file.

    Raises:
        ModelFileError: it cannot be read, or is not a mapping.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: cannot be read as JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path}: found {type(values).__name__}; expected names with values")
    return Part(path, values)


def is_text(value: Any) -> bool:
    """Not an empty one."""
    return isinstance(value, str) and value != ""


def is_whole(value: Any) -> bool:
    """A whole number that is no truth value, of a size that counts have."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def is_count(value: Any) -> bool:
    """A whole number above 0."""
    return is_whole(value) and value > 0


def is_number(value: Any) -> bool:
    """A finite number."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:  # JSON may be nested deeper than that
        return type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
