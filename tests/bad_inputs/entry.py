"""One bad input: how it is made, what is done with it, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .bench import Bench

Command = Sequence[object]
Maker = Callable[[Bench], list[Command]]


@dataclass(frozen=True)
class Refused:
    """One line with the exit code, in which the pattern is found; nothing is left behind."""

    code: int
    pattern: str

    def __str__(self) -> str:
        return f"refused, exit code {self.code}"


@dataclass(frozen=True)
class Same:
    """The same plan, network or mask as of the clean input."""

    dims: int = 3

    def __str__(self) -> str:
        return "the same as of the clean input"


@dataclass(frozen=True)
class Works:
    """Exit code 0, and the pattern is found in what is said."""

    pattern: str = ""

    def __str__(self) -> str:
        return "works, and says so" if self.pattern else "works"


@dataclass(frozen=True)
class BadInput:
    """A name for people, the answer, and the maker, which gives the commands to run."""

    name: str
    expected: Refused | Same | Works
    make: Maker


INPUTS: dict[str, BadInput] = {}


def bad(name: str, expected: Refused | Same | Works) -> Callable[[Maker], Maker]:
    """Enter a maker into the list."""

    def enter(make: Maker) -> Maker:
        assert name not in INPUTS, name
        INPUTS[name] = BadInput(name, expected, make)
        return make

    return enter
