"""What a person sees while a run goes on: rich in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .algorithm import Round


class ConsoleReporter:
    """Prints notes and rounds, keeps a progress bar with the time left, and writes the log."""

    def __init__(self, console: Console, logger: logging.Logger) -> None:
        self.console, self.logger = console, logger
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("steps"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self.task = self.progress.add_task("training", total=None)

    def __enter__(self) -> ConsoleReporter:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        if error is not None:
            self.logger.error("%s: %s", type(error).__name__, error)

    def note(self, text: str) -> None:
        """Print and log a decision."""
        self.console.print(escape(text), highlight=False)
        self.logger.info(text)

    def step(self, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=done, total=total, description=f"loss {loss:.3f}")

    def round(self, turn: Round) -> None:
        """Print and log one line for the round."""
        line = describe_round(turn)
        self.console.print(escape(line), highlight=False)
        self.logger.info(line)


def describe_round(turn: Round) -> str:
    """`round  7  cut  step  400  parameters 120,331  loss 0.412  Dice 0.801 (A 0.81, B 0.79)`."""
    line = (
        f"round {turn.number:3d}  {turn.event:11s} step {turn.steps:5d}  "
        f"parameters {turn.parameters:10,d}  loss {turn.loss:.4f}"
    )
    if turn.validation is None:
        return line
    labels = ", ".join(f"{name} {value:.3f}" for name, value in turn.validation.per_label.items())
    return f"{line}  Dice {turn.validation.dice:.3f}" + (
        f" ({labels})" if len(turn.validation.per_label) > 1 else ""
    )
