"""Checkpoints: a run can be stopped at any moment and resumed as if nothing had happened."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..channels.importance import Gathering
from ..core.errors import ModelFileError
from ..core.files import remove_leftovers, write_whole
from ..core.json_file import JsonFile
from ..core.options import FileRecord
from ..core.run_folder import CHECKPOINTS
from ..train.learner import Learner
from ..train.state import State, put_randomness, put_training, take_randomness, take_training
from ..train.trainer import Trainer
from .interruption import asked_to_end, end_if_asked
from .replay import Answer, Replay

KEY = "stampseg-checkpoint"  # of the record in the metadata
STEP = "step.safetensors"  # within a round
_ROUND = re.compile(r"round-\d{4,}\.safetensors")


class Checkpointer:
    """Writes checkpoints after every round and within long ones, and brings a new process to the last one.

    The last two rounds are kept: a cut that has not healed is undone to the round before it. A checkpoint
    within a round stands on that of the round before.

    Args:
        folder: of the run; the run resumes from what is in its `checkpoint`.
        minutes: of training between two checkpoints within a round.
        writes: False in a process that another one writes for: it is brought to the same moment, no more.

    Attributes:
        resumed: whether there was a checkpoint to resume from.
        rounds_saved, steps_saved: that had ended by then.
    """

    def __init__(self, folder: Path, minutes: float, writes: bool = True) -> None:
        self.place, self.minutes, self.writes = folder / CHECKPOINTS, minutes, writes
        self._rounds = {saved.rounds: saved for saved in map(load_checkpoint, round_files(self.place))}
        inner = self.place / STEP
        self._step = load_checkpoint(inner) if inner.is_file() else None
        newest = max(self._rounds.values(), key=lambda saved: saved.rounds, default=None)
        if self._step is not None and newest is not None and self._step.rounds < newest.rounds:
            self._step = None  # the process was killed before it could delete it
        last = self._step or newest
        self.rounds_saved = newest.rounds if newest is not None else 0
        self.replay = Replay(list(last.answers) if last is not None else [])
        self.resumed = last is not None
        self.steps_saved = last.trainer.done if last is not None else 0
        self._before = last.seconds if last is not None else 0.0
        self._start = self._saved = time.monotonic()
        self._passed = 0

    @property
    def seconds(self) -> float:
        """That the run has taken, those of stopped processes included."""
        return self._before + time.monotonic() - self._start

    def follow(self, trainer: Trainer, gathering: Gathering | None, randomness: np.random.Generator) -> None:
        """Say whose state is kept."""
        self.trainer, self.gathering, self.randomness = trainer, gathering, randomness

    def learner(self, live: Learner) -> Learner:
        """The learner that repeats what it answered before the stop, then works."""
        return self.replay.learner(live, self._before_training)

    def passed(self) -> bool:
        """After each round: whether it had ended before the stop, and is on disk."""
        self._passed += 1
        checkpoint = self._rounds.pop(self._passed, None)
        if checkpoint is not None:
            self._put(checkpoint)
        return self._passed <= self.rounds_saved

    def keep(self) -> None:
        """After each new round, when its files are written."""
        if not self.writes:
            return
        self._save(self.place / f"round-{self._passed:04d}.safetensors")
        (self.place / STEP).unlink(missing_ok=True)
        for path in round_files(self.place)[:-2]:
            path.unlink(missing_ok=True)
        end_if_asked()

    def step(self) -> None:
        """After each step of training.

        Raises:
            StoppedError: a signal has asked for it; the checkpoint is written.
        """
        if not self.writes:
            return
        if asked_to_end() or time.monotonic() - self._saved >= 60 * self.minutes:
            self._save(self.place / STEP)
        end_if_asked()

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
                answers=tuple(self.replay.answers),
                trainer=Counts.model_validate(trainer, from_attributes=True),
                training=take_training(trainer.network, trainer.optimizer),
                randomness=take_randomness(self.randomness, trainer.device),
                objective=trainer.objective.state(),
                sums=sums,
                counts=counts,
            ),
        )
        self._saved = time.monotonic()

    def _put(self, checkpoint: Checkpoint) -> None:
        trainer = self.trainer
        put_training(trainer.network, trainer.optimizer, checkpoint.training)
        trainer.objective.put(checkpoint.objective)
        put_randomness(self.randomness, trainer.device, checkpoint.randomness)
        for name, value in checkpoint.trainer:
            setattr(trainer, name, value)
        if self.gathering is not None and checkpoint.sums is not None and checkpoint.counts is not None:
            self.gathering.set_state(checkpoint.sums, checkpoint.counts)


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment.

    Attributes:
        rounds: that had ended.
        seconds: that the run had taken.
        answers: of the learner so far.
        trainer: how far the trainer is.
        training, randomness: see `train/state.py`.
        objective: what the training method remembers.
        sums, counts: of what was gathered for ranking; None where nothing is gathered.
    """

    rounds: int
    seconds: float
    answers: tuple[Answer, ...]
    trainer: Counts
    training: State
    randomness: State
    objective: State
    sums: Mapping[int, np.ndarray] | None = None
    counts: Mapping[str, int] | None = None


class Counts(FileRecord):
    """How far a trainer is; see `Trainer`."""

    done: int
    taken: int
    total: float
    damping: float


class CheckpointRecord(FileRecord):
    """What stands beside the tensors, whose names it orders; numbers may be infinite or none."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    rounds: int
    seconds: float
    answers: tuple[tuple[str, Any, tuple[str, ...]], ...]  # function, JSON value, names of its arrays
    trainer: Counts
    training: Any  # see `State`
    randomness: Any
    objective: Any = Field(default_factory=dict)  # checkpoints of version 0.1 have none
    sums: tuple[int, ...] | None = None
    counts: dict[str, int] | None = None


CHECKPOINT = JsonFile(
    "checkpoint", CheckpointRecord, remedy="start the run again in a new folder", error=ModelFileError
)


def round_files(folder: Path) -> list[Path]:
    """Checkpoints after rounds, the oldest first; whatever else is in the folder is the user's."""
    return sorted(path for path in folder.glob("round-*.safetensors") if _ROUND.fullmatch(path.name))


def delete_checkpoints(folder: Path) -> None:
    """Delete the checkpoints in a folder, and the folder if nothing else is in it."""
    with suppress(OSError):
        for path in (*round_files(folder), folder / STEP):
            path.unlink(missing_ok=True)
        remove_leftovers(folder)
        folder.rmdir()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file; it appears whole or not at all.

    Raises:
        DataError: the folder cannot be written to, or the disk is full.
    """
    record = CheckpointRecord(
        rounds=checkpoint.rounds,
        seconds=checkpoint.seconds,
        answers=tuple((a.call, a.value, tuple(a.arrays)) for a in checkpoint.answers),
        trainer=checkpoint.trainer,
        training=checkpoint.training.values,
        randomness=checkpoint.randomness.values,
        objective=checkpoint.objective.values,
        sums=None if checkpoint.sums is None else tuple(checkpoint.sums),
        counts=None if checkpoint.counts is None else dict(checkpoint.counts),
    )
    tensors = {**checkpoint.training.tensors, **checkpoint.randomness.tensors}
    tensors |= {f"objective/{name}": tensor for name, tensor in checkpoint.objective.tensors.items()}
    for number, answer in enumerate(checkpoint.answers):
        for place, array in enumerate(answer.arrays.values()):
            tensors[f"answer/{number}/{place}"] = torch.from_numpy(np.ascontiguousarray(array))
    for index, array in (checkpoint.sums or {}).items():
        tensors[f"sum/{index}"] = torch.from_numpy(np.ascontiguousarray(array))
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(path, lambda place: save_file(plain, place, {KEY: CHECKPOINT.line(record)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read it back.

    Raises:
        ModelFileError: the file is damaged, or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {})[KEY]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return _checkpoint(CHECKPOINT.parse(text, f"{path}:"), tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFileError(
            f"{path}: not a checkpoint that this version can resume from ({error}); "
            "start the run again in a new folder"
        ) from None


def _checkpoint(record: CheckpointRecord, tensors: dict[str, Tensor]) -> Checkpoint:
    answers = tuple(
        Answer(
            call,
            value,
            {name: tensors[f"answer/{number}/{place}"].numpy() for place, name in enumerate(names)},
        )
        for number, (call, value, names) in enumerate(record.answers)
    )
    random = {name: tensor for name, tensor in tensors.items() if name.startswith("random/")}
    training = {n: t for n, t in tensors.items() if n.startswith(("network/", "optimizer/"))}
    beside = {n.removeprefix("objective/"): t for n, t in tensors.items() if n.startswith("objective/")}
    sums = record.sums
    return Checkpoint(
        rounds=record.rounds,
        seconds=record.seconds,
        answers=answers,
        trainer=record.trainer,
        training=State(training, record.training),
        randomness=State(random, record.randomness),
        objective=State(beside, record.objective),
        sums=None if sums is None else {index: tensors[f"sum/{index}"].numpy() for index in sums},
        counts=record.counts,
    )
