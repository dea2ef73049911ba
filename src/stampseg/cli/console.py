"""What a person sees while a run goes on: rich in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from ..core.level import Level
from ..core.text import duration_text
from ..train.round import Round
from .flags import in_flags

PLAIN_SECONDS = 20.0  # between lines that say how far a run is, where there is no live line
LEVELS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}


class ConsoleReporter:
    """Prints notes and rounds, shows how far the run is, and writes the log.

    In a terminal a live line holds the round, the parameters left, the last Dice, the loss and the time
    left; elsewhere there are plain lines only.

    Args:
        console: where to print.
        logger: of the run; has every line.
        quiet: print nothing but warnings.
    """

    def __init__(self, console: Console, logger: logging.Logger, quiet: bool = False) -> None:
        self.console, self.logger, self.quiet = console, logger, quiet
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("steps"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            console=console, transient=True, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self.task = self.progress.add_task("preparing", total=None, left="")
        self.part = ""  # of the run, such as a fold
        self.last: Round | None = None
        self._begun: tuple[int, float] | None = None  # step and time of the first step of this process
        self._told = 0.0

    def __enter__(self) -> ConsoleReporter:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        if error is not None:
            self.logger.error("%s: %s", type(error).__name__, in_flags(str(error)))

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """Print and log a decision; options are called by their flags."""
        text = in_flags(text)
        if not self.quiet or level is not Level.INFO:
            self.console.print(escape(level.shown(text)), highlight=False)
        self.logger.log(LEVELS[level], text)

    def begin(self, part: str) -> None:
        """A part of the run begins, with rounds and steps of its own."""
        self.part, self.last, self._begun = part, None, None
        self.progress.update(self.task, completed=0, total=None, description=part or "preparing", left="")

    def step(self, done: int, total: int, loss: float) -> None:
        """Move the live line; elsewhere print a plain one from time to time."""
        now_is = "  ".join(filter(None, (self.part, describe_now(self.last, loss))))
        now = monotonic()
        if self._begun is None:
            self._begun, self._told = (done - 1, now), now
        left = self._left(done, total, now)
        self.progress.update(self.task, completed=done, total=total, description=now_is, left=left)
        if now - self._told < PLAIN_SECONDS or self.console.is_terminal or self.quiet:
            return
        self.console.print(escape(f"step {done:,} of {total:,}  {left}"), highlight=False)
        self._told = now

    def _left(self, done: int, total: int, now: float) -> str:
        """By all the time since the first step, with validations and cuts; "" before there is any."""
        if self._begun is None or now <= self._begun[1]:
            return ""
        first, start = self._begun
        return time_left((now - start) * (total - done) / max(done - first, 1))

    def round(self, turn: Round) -> None:
        """Print and log one line for the round."""
        self.last, self._told = turn, monotonic()
        line = describe_round(turn)
        if not self.quiet:
            self.console.print(escape(line), highlight=False)
        self.logger.info(line)


def time_left(seconds: float) -> str:
    """`about 4 min left`, at the speed so far: with pruning the steps become faster."""
    return f"about {duration_text(seconds)} left"


def describe_now(last: Round | None, loss: float) -> str:
    """`round 8  120,331 parameters  Dice 0.801  loss 0.412`, of a round that goes on."""
    parts = [f"round {last.number + 1 if last is not None else 0}"]
    if last is not None:
        parts.append(f"{last.parameters:,} parameters")
        if last.validation is not None:
            parts.append(f"Dice {last.validation.dice:.3f}")
    return "  ".join([*parts, f"loss {loss:.3f}"])


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
