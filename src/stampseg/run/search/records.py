"""What search.json says of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ...core.json_file import JsonFile
from ...core.options import FileRecord, Number
from ...core.run_folder import SEARCH_FILE
from ...data.splits.folds import Fold


class Entrant(FileRecord):
    """A setting that was tried.

    Attributes:
        name: of its folder below search/.
        words: what it is.
        changes: options that differ from those given.
        folds: how many it ran.
        people: Dice of each person who was held out in them, mean over their cases and labels.
        mean: over these people.
        out: it has left the race, being worse.
    """

    name: str
    words: str
    changes: dict[str, Any]
    folds: int = 0
    people: Mapping[str, float] = Field(default_factory=dict)
    mean: Number = None
    out: bool = False


class Search(FileRecord):
    """A search, as far as it has come.

    Attributes:
        words: how the folds were made.
        folds: who was held out with whom.
        entrants: the settings, the default first.
        seconds: that were spent.
        chosen: name of the setting that the run's network is trained with; None before the end.
        estimate: Dice to be expected of choosing so, on other people.
        why: what was found, in words.
    """

    words: str
    folds: tuple[Fold, ...]
    entrants: tuple[Entrant, ...]
    seconds: float = 0.0
    chosen: str | None = None
    estimate: Number = None
    why: str = ""

    def entrant(self, name: str) -> Entrant:
        """By its name."""
        return next(one for one in self.entrants if one.name == name)


SEARCH = JsonFile(SEARCH_FILE, Search)


def read_search(run: Path) -> Search | None:
    """What a run folder says of its search; None where it has none.

    Raises:
        DataError: its search.json cannot be used.
    """
    return SEARCH.read_if_there(run)
