"""One file from which a run goes on: answers so far, weights, optimiser, random numbers. Data, no pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .core.errors import ModelFileError
from .core.files import remove_leftovers, write_whole
from .journal import Answer
from .train.state import State

FORMAT = 1
KEY = "stampseg-checkpoint"
STEP = "step.safetensors"  # within a round
_ROUND = re.compile(r"round-\d{4,}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment.

    Attributes:
        rounds: that had ended.
        seconds: that the run had taken.
        answers: of the learner so far.
        trainer: counts of the trainer by name.
        training, randomness: see `state.py`.
        sums, counts: of what was gathered for ranking; None where nothing is gathered.
    """

    rounds: int
    seconds: float
    answers: tuple[Answer, ...]
    trainer: Mapping[str, float]
    training: State
    randomness: State
    sums: Mapping[int, np.ndarray] | None = None
    counts: Mapping[str, int] | None = None


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
    values = {
        "format": FORMAT,
        "rounds": checkpoint.rounds,
        "seconds": checkpoint.seconds,
        "answers": [[a.call, a.value, list(a.arrays)] for a in checkpoint.answers],
        "trainer": dict(checkpoint.trainer),
        "training": checkpoint.training.values,
        "randomness": checkpoint.randomness.values,
        "sums": None if checkpoint.sums is None else list(checkpoint.sums),
        "counts": None if checkpoint.counts is None else dict(checkpoint.counts),
    }
    tensors = {**checkpoint.training.tensors, **checkpoint.randomness.tensors}
    for number, answer in enumerate(checkpoint.answers):
        for place, array in enumerate(answer.arrays.values()):
            tensors[f"answer/{number}/{place}"] = torch.from_numpy(np.ascontiguousarray(array))
    for index, array in (checkpoint.sums or {}).items():
        tensors[f"sum/{index}"] = torch.from_numpy(np.ascontiguousarray(array))
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(path, lambda place: save_file(plain, place, {KEY: json.dumps(values)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read it back.

    Raises:
        ModelFileError: the file is damaged, or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, this version reads {FORMAT}")
        return _checkpoint(values, tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFileError(
            f"{path}: not a checkpoint that this version can go on from ({error}); "
            "start the run again in a new folder"
        ) from None


def _checkpoint(values: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    answers = tuple(
        Answer(
            call,
            value,
            {name: tensors[f"answer/{number}/{place}"].numpy() for place, name in enumerate(names)},
        )
        for number, (call, value, names) in enumerate(values["answers"])
    )
    random = {name: tensor for name, tensor in tensors.items() if name.startswith("random/")}
    training = {n: t for n, t in tensors.items() if n.startswith(("network/", "optimizer/"))}
    sums = values["sums"]
    return Checkpoint(
        rounds=values["rounds"],
        seconds=values["seconds"],
        answers=answers,
        trainer=values["trainer"],
        training=State(training, values["training"]),
        randomness=State(random, values["randomness"]),
        sums=None if sums is None else {index: tensors[f"sum/{index}"].numpy() for index in sums},
        counts=values["counts"],
    )
