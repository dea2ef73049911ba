"""JSON files with a format number: each is written and read by one typed form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from .errors import DataError, StampsegError
from .files import write_text

T = TypeVar("T")


@dataclass(frozen=True)
class JsonFile(Generic[T]):
    """The form of one file, or of every line of one.

    The format number is the first entry of the JSON, "format". JSON without one is older than these
    numbers; it is read like format 1. JSON of a newer format is refused.

    Attributes:
        name: of the file.
        kind: what it holds, a pydantic model or a dataclass. Of what an older format lacks it has defaults.
        remedy: what to do where the JSON is damaged.
        newest: the format that is written; it and the older ones are read.
        error: raised where the JSON cannot be used.
    """

    name: str
    kind: type[T]
    remedy: str = "put back the file as it was written"
    newest: int = 1
    error: type[StampsegError] = DataError

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self.kind)

    def line(self, value: T) -> str:
        """The value as JSON in one line."""
        return f'{{"format":{self.newest},{self._dumped(value)[1:]}'

    def text(self, value: T) -> str:
        """The value as JSON for people to read."""
        return f'{{\n  "format": {self.newest},{self._dumped(value, indent=2)[1:]}\n'

    def _dumped(self, value: T, indent: int | None = None) -> str:
        try:
            return self._adapter.dump_json(value, indent=indent).decode()
        except PydanticSerializationError:  # a file's name of bytes that are no UTF-8
            return json.dumps(self._adapter.dump_python(value), default=_plain, indent=indent)

    def parse(self, text: str | bytes, where: str) -> T:
        """The value of a JSON text.

        Args:
            text: what `line` or `text` made, in this version or another.
            where: begins the error, as in "run/plan.json:".

        Raises:
            StampsegError: `error`; the JSON is damaged, or of a newer format.
        """
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise ValueError("all of it: no JSON object")
            self._check_format(values.pop("format", 1), where)
            return self._adapter.validate_python(values)
        except ValidationError as error:
            reason = _first(error)
        except (ValueError, RecursionError) as error:  # endless digits, nested without end
            reason = str(error)
        raise self.error(f"{where} is damaged ({reason}); {self.remedy}") from None

    def _check_format(self, number: Any, where: str) -> None:
        if type(number) is not int:
            raise ValueError(f"format: {json.dumps(number)[:20]} is no whole number")
        if number > self.newest:
            verb = "written" if where.endswith(":") else "is written"
            raise self.error(
                f"{where} {verb} in format {number}; this version reads format {self.newest}; update stampseg"
            )

    def read(self, folder: Path) -> T:
        """What the file of a folder holds.

        Raises:
            StampsegError: `error`; the file is missing, cannot be read, is damaged, or of a newer format.
        """
        return self.read_file(folder / self.name)

    def read_if_there(self, folder: Path) -> T | None:
        """What the file of a folder holds, None where there is none; raises as `read`."""
        return self.read(folder) if (folder / self.name).is_file() else None

    def read_file(self, path: Path) -> T:
        """What a file of any name holds; raises as `read`."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise self.error(f"{path}: cannot be read ({error.strerror}); check the path") from None
        return self.parse(text, f"{path}:")

    def read_lines(self, folder: Path) -> list[T]:
        """What the lines of the file hold; the last one is left out where a killed process wrote half of it.

        Raises:
            OSError: the file cannot be read.
            StampsegError: `error`; a line is damaged, or of a newer format.
        """
        path = folder / self.name
        lines = whole_lines(path.read_text(encoding="utf-8"))
        return [self.parse(line, f"{path}: line {number}") for number, line in enumerate(lines, 1)]

    def write(self, folder: Path, value: T) -> None:
        """Write the file whole.

        Raises:
            DataError: as `write_whole`.
        """
        write_text(folder / self.name, self.text(value))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else str(value)


def whole_lines(text: str) -> list[str]:
    """The lines that end with a line feed, without it; other marks that break lines may be in a name."""
    return text.split("\n")[:-1]


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "all of it"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
