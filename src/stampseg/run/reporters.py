"""Who may watch a run: the console, and trackers such as TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..train.stamp import Round


class Reporter(Protocol):
    """Whoever watches a run."""

    def note(self, text: str) -> None:
        """A decision, in words."""
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

    def note(self, text: str) -> None:
        """Tell all of a decision."""
        for reporter in self.each:
            reporter.note(text)

    def step(self, done: int, total: int, loss: float) -> None:
        """Tell all of a step."""
        for reporter in self.each:
            reporter.step(done, total, loss)

    def round(self, turn: Round) -> None:
        """Tell all of a round."""
        for reporter in self.each:
            reporter.round(turn)
