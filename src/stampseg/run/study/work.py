"""All cells of a study, whatever does the work: order, attempts, and what is said meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ...core.errors import DataError, StampsegError, TrainingError
from ...core.run_folder import CHECKPOINTS, RESULT_FILE
from ...core.text import counted, dice_text, duration_text, some
from ..records import ROUNDS
from .command import LOG
from .plan import CELL, RUN, Cell, Study
from .tables import write_tables

TABLES_SECONDS = 60.0  # between two writings of the tables while cells go on
ATTEMPTS = 3  # without a step forward between them
# Exit codes by which the program itself says what is wrong: the same command would say it again.
_FINAL = {2, 3, 4}
WITHOUT_MODEL = "the run ended without a model; the network that it refused was tested all the same"


class Engine(Protocol):
    """What does the work: it is given names of cells, and gives back exit codes."""

    @property
    def room(self) -> int | None:
        """Cells that it takes at a time; None: any number."""

    def begun(self) -> list[str]:
        """Cells that an engine of the same kind was given before this process, and has still."""

    def submit(self, names: Sequence[str]) -> None:
        """Take cells."""

    def ended(self) -> list[tuple[str, int | None]]:
        """Cells that have ended since the last call, with their exit codes (None: unknown); waits a while."""

    def stop(self) -> str:
        """Let go of what has not ended, so that it can be taken up again; what became of it, in words."""


@dataclass
class Work:
    """A study at work.

    Args:
        study: which.
        engine: does the work.
        echo: is told of every cell that ended.
    """

    study: Study
    engine: Engine
    echo: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)  # why, by the name of the cell
    _waiting: list[Cell] = field(default_factory=list)
    _running: dict[str, Cell] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)  # without a step forward
    _far: dict[str, object] = field(default_factory=dict)  # how far a cell was when it was submitted
    _start: float = field(default_factory=time.monotonic)
    _ended: int = 0
    _told: float = -math.inf  # when the tables were written

    def all(self) -> None:
        """Do every cell that is not done."""
        cells = self.study.cells
        self._waiting = [cell for cell in cells if not self.study.done(cell)]
        if self._waiting:
            already = len(cells) - len(self._waiting)
            done = f"{counted(already, 'cell')} of {len(cells)} done already; " if already else ""
            self.echo(f"{done}{counted(len(self._waiting), 'cell')} to do, each with a log in its folder")
        names = {cell.name for cell in self._waiting}
        for name in self.engine.begun():
            if name in names:
                self._begin(self.study.cell(name))
        while self._waiting or self._running:
            self._submit()
            for name, code in self.engine.ended():
                if name in self._running:
                    self._judge(self._running.pop(name), code)

    def _submit(self) -> None:
        """Everything that waits for nothing; what waits for a cell that failed fails with it."""
        ready = []
        for cell in list(self._waiting):
            other = self.study.needs(cell)
            if other is not None and other.name in self.failed:
                self._waiting.remove(cell)
                self._fail(cell, f"needs {other.name}, which failed")
            elif other is None or self.study.done(other):
                ready.append(cell)
        if self.engine.room is not None:  # in the order of the study
            ready = ready[: max(0, self.engine.room - len(self._running))]
        for cell in ready:
            self._begin(cell)
        if ready:
            self.engine.submit([cell.name for cell in ready])

    def _begin(self, cell: Cell) -> None:
        self._waiting.remove(cell)
        self._running[cell.name] = cell
        self._far[cell.name] = progress(self.study.place(cell))

    def _judge(self, cell: Cell, code: int | None) -> None:
        place = self.study.place(cell)
        if self.study.done(cell):
            self._succeed(cell)
            return
        forward = progress(place) != self._far[cell.name]
        self._attempts[cell.name] = 0 if forward else self._attempts.get(cell.name, 0) + 1
        if code not in _FINAL and self._attempts[cell.name] < ATTEMPTS:
            self._waiting.insert(0, cell)
            return
        often = "" if code in _FINAL else f" {ATTEMPTS} times without a step forward"
        said = f"exit code {code}" if code is not None else "no exit code is known"
        self._fail(cell, f"ended{often} ({said}): {last_line(place / LOG)}; its log: {place / LOG}")

    def _succeed(self, cell: Cell) -> None:
        self._ended += 1
        try:
            result = CELL.read(self.study.place(cell)).result
        except DataError as error:
            self._fail(cell, str(error))
            return
        self._tell_so_far()
        refused = "" if result.failure is None else f"  {WITHOUT_MODEL}"
        self.echo(
            f"{cell.name}  Dice {dice_text(result.dice)}  {result.parameters:,} parameters  "
            f"{duration_text(result.train_seconds)}{refused}  ({self._left()})"
        )

    def _tell_so_far(self) -> None:
        """Write the tables, not too often: all cells are read for them."""
        if time.monotonic() - self._told < TABLES_SECONDS:
            return
        with suppress(DataError, OSError):  # said when the study ends
            write_tables(self.study)
        self._told = time.monotonic()

    def _fail(self, cell: Cell, why: str) -> None:
        self.failed[cell.name] = why
        self.echo(f"{cell.name}  FAILED: {why}")

    def _left(self) -> str:
        left, total = len(self._waiting) + len(self._running), len(self.study.cells)
        place = f"{total - left} of {total}"
        if not left:
            return place
        seconds = (time.monotonic() - self._start) / self._ended * left
        return f"{place}; about {duration_text(seconds)} left"


def progress(place: Path) -> object:
    """How far a cell is: its rounds and checkpoints; it changes when there is a step forward."""
    run = place / RUN
    rounds = run / ROUNDS.name
    files = sorted((run / CHECKPOINTS).glob("*.safetensors")) if run.is_dir() else []
    return (
        rounds.stat().st_size if rounds.is_file() else 0,
        tuple((path.name, path.stat().st_mtime_ns) for path in files if path.is_file()),
        (run / RESULT_FILE).is_file(),
    )


def last_line(log: Path) -> str:
    """What a cell said last."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it said nothing"
    said = [line.strip() for line in lines if line.strip() and not line.startswith("resume it with: ")]
    return said[-1].removeprefix("stampseg: ")[:300] if said else "it said nothing"


def failure(work: Work) -> StampsegError | None:
    """The error that a study ends with; None where every cell is done."""
    if not work.failed:
        return None
    return TrainingError(
        f"{counted(len(work.failed), 'cell')} of {len(work.study.cells)} failed: "
        f"{some(work.failed, 3)}; mend what their logs say and start the same command again"
    )
