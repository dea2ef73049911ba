"""Keeps a run so that it can be stopped at any moment and gone on with, as if nothing had happened."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from .channels.importance import Gathering
from .checkpoint import STEP, Checkpoint, load_checkpoint, round_files, save_checkpoint
from .journal import Journal
from .train.stamp import Learner
from .train.state import put_randomness, put_training, take_randomness, take_training
from .train.trainer import Trainer


class Keeper:
    """Writes checkpoints after every round and within long ones, and leads a new process to the last one.

    The last two rounds are kept: a cut that has not healed is undone to the round before it. A checkpoint
    within a round stands on that of the round before.

    Args:
        folder: of the run; what is in its `checkpoint` is gone on from.
        minutes: of training between two checkpoints within a round.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        self.place, self.minutes = folder / "checkpoint", minutes
        self._rounds = {kept.rounds: kept for kept in map(load_checkpoint, round_files(self.place))}
        inner = self.place / STEP
        self._step = load_checkpoint(inner) if inner.is_file() else None
        newest = max(self._rounds.values(), key=lambda kept: kept.rounds, default=None)
        if self._step is not None and newest is not None and self._step.rounds < newest.rounds:
            self._step = None  # the process was killed before it could delete it
        last = self._step or newest
        self.kept = newest.rounds if newest is not None else 0
        self.journal = Journal(list(last.answers) if last is not None else [])
        self._before = last.seconds if last is not None else 0.0
        self._start = self._saved = time.monotonic()
        self._passed = 0

    @property
    def resumed(self) -> bool:
        """Whether there is something to go on from."""
        return bool(self.journal.answers)

    @property
    def seconds(self) -> float:
        """That the run has taken, those of stopped processes included."""
        return self._before + time.monotonic() - self._start

    def follow(self, trainer: Trainer, gathering: Gathering | None, randomness: np.random.Generator) -> None:
        """Say whose state is kept."""
        self.trainer, self.gathering, self.randomness = trainer, gathering, randomness

    def learner(self, live: Learner) -> Learner:
        """The learner that repeats what it answered before the stop, then works."""
        return self.journal.learner(live, self._before_training)

    def passed(self) -> bool:
        """After each round: whether it had ended before the stop, and is on disk."""
        self._passed += 1
        kept = self._rounds.pop(self._passed, None)
        if kept is not None:
            self._put(kept)
        return self._passed <= self.kept

    def keep(self) -> None:
        """After each new round, when its files are written."""
        self._save(self.place / f"round-{self._passed:04d}.safetensors")
        (self.place / STEP).unlink(missing_ok=True)
        for path in round_files(self.place)[:-2]:
            path.unlink(missing_ok=True)

    def step(self) -> None:
        """After each step of training."""
        if time.monotonic() - self._saved >= 60 * self.minutes:
            self._save(self.place / STEP)

    def _before_training(self) -> None:
        inner, self._step = self._step, None
        if inner is not None:
            self._put(inner)

    def _save(self, path: Path) -> None:
        sums, counts = self.gathering.state() if self.gathering is not None else (None, None)
        trainer = self.trainer
        save_checkpoint(
            path,
            Checkpoint(
                rounds=self._passed,
                seconds=self.seconds,
                answers=tuple(self.journal.answers),
                trainer={name: getattr(trainer, name) for name in ("done", "taken", "total", "damping")},
                training=take_training(trainer.network, trainer.optimizer),
                randomness=take_randomness(self.randomness, trainer.device),
                sums=sums,
                counts=counts,
            ),
        )
        self._saved = time.monotonic()

    def _put(self, kept: Checkpoint) -> None:
        trainer = self.trainer
        put_training(trainer.network, trainer.optimizer, kept.training)
        put_randomness(self.randomness, trainer.device, kept.randomness)
        for name, value in kept.trainer.items():
            setattr(trainer, name, value)
        if self.gathering is not None and kept.sums is not None and kept.counts is not None:
            self.gathering.set_state(kept.sums, kept.counts)
