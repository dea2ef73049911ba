"""Who may watch a run: the console, and trackers such as TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..core.level import Level
from ..train.round import Round
from .folder import RunFolder


class Reporter(Protocol):
    """Whoever watches a run."""

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """A decision, in words, and how much it matters."""
        ...

    def step(self, done: int, total: int, loss: float) -> None:
        """An optimiser step was taken."""
        ...

    def round(self, turn: Round) -> None:
        """A round has ended."""
        ...


class Reporters:
    """Several that watch the same run."""

    def __init__(self, each: Sequence[Reporter]) -> None:
        self.each = tuple(each)

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """Tell all of a decision."""
        for reporter in self.each:
            reporter.note(text, level)

    def step(self, done: int, total: int, loss: float) -> None:
        """Tell all of a step."""
        for reporter in self.each:
            reporter.step(done, total, loss)

    def round(self, turn: Round) -> None:
        """Tell all of a round."""
        for reporter in self.each:
            reporter.round(turn)


class NoteKeeper:
    """Writes what is noted into the run folder, where the report finds it."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """A line of notes.jsonl."""
        self.folder.note(text, level)

    def step(self, done: int, total: int, loss: float) -> None:
        """Steps are no notes."""

    def round(self, turn: Round) -> None:
        """Rounds have a file of their own."""
