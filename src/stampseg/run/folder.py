"""The run folder: everything a run leaves behind, each file whole or absent.

run.json  config.yaml  plan.json  fingerprint.json  splits.json  log.txt
rounds.jsonl  rounds/000.safetensors ...   model.safetensors   result.json   report.html

While it runs, also checkpoint/ (see checkpoint.py): a folder that has it, or no result.json, can be
resumed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from ..core.config import Config, load_config
from ..core.errors import ConfigError, DataError, ModelFileError, StampsegError, WiringError
from ..core.files import is_leftover, remove_leftovers, write_text, write_whole
from ..core.text import some
from ..train.stamp import Round
from .checkpoint import delete_checkpoints
from .spec import RunSpec

SPEC_FILE = "run.json"
LOCK = ".lock"
# What a run writes before its first round. While the specification is there it can be resumed: it goes last.
_EARLY = ("config.yaml", "plan.json", "fingerprint.json", "splits.json", "log.txt", "mlflow.db", SPEC_FILE)
_REFUSALS = (ConfigError, DataError, ModelFileError, WiringError)


class RunFolder:
    """A folder that holds one run.

    Entered, it is this process's until it is left; a refusal on the way out takes back what was written, if
    nothing was trained: the corrected command may use the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: BaseFileLock | None = None
        self._new = False  # whether this process began the run
        self._made: list[Path] = []  # folders and the lock, as this process made them

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _REFUSALS):
            self.discard()
        self._close_log()
        self.release()

    @classmethod
    def create(cls, path: Path, spec: RunSpec | None = None) -> RunFolder:
        """Make a new run folder, and keep other processes out of it.

        Args:
            path: of a folder that is not there, or is free (see `check_free`).
            spec: what is asked of the run; without it the run cannot be resumed.

        Raises:
            ConfigError: the folder is not free, or another process has it.
            DataError: it cannot be written to.
        """
        check_free(path)
        folder = cls(path)
        try:
            folder._make(path)
            folder._take()
            check_free(path)  # a run of another process may have come and gone in the meantime
            folder._new = True
            if spec is not None:
                folder.write_json(SPEC_FILE, spec.to_json())
            folder._make(path / "rounds")
            (path / "log.txt").touch()
        except StampsegError:
            folder.discard()
            raise
        except OSError as error:
            folder.discard()
            raise DataError(
                f"{path}: cannot be written to ({error.strerror}); choose another `output`"
            ) from None
        return folder

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Take up the folder of a run that was stopped.

        Raises:
            ConfigError: the run has ended, or another process has the folder.
            DataError: it is no run folder, or cannot be written to.
        """
        RunSpec.read(path / SPEC_FILE)
        folder = cls(path)
        if folder.ended:
            raise ConfigError(f"{path}: this run has ended; there is nothing to resume")
        try:
            folder._take()
            for place in (path, path / "rounds", path / "checkpoint"):
                remove_leftovers(place)
            (path / "rounds").mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be written to ({error.strerror}); mend that first") from None
        return folder

    def _take(self) -> None:
        """Keep other processes out for as long as this one lives; the system frees it when it dies."""
        place = self.path / LOCK
        lock, there = FileLock(place, timeout=0), place.exists()
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"{self.path}: another process is at work on this run; wait for it, or stop it"
            ) from None
        self._lock = lock
        if not there:
            self._made.append(place)

    def _make(self, path: Path) -> None:
        """Make a folder with those above it, and remember which were not there."""
        for folder in (*reversed(path.parents), path):
            if not os.path.lexists(folder):
                with suppress(FileExistsError):  # another process was quicker
                    folder.mkdir()
                    self._made.append(folder)

    @property
    def spec(self) -> RunSpec:
        """What was asked of the run.

        Raises:
            DataError: the folder does not say.
        """
        return RunSpec.read(self.path / SPEC_FILE)

    def config(self) -> Config:
        """The options that the run began with, settled: defaults may be others by now.

        Raises:
            ConfigError: config.yaml is missing or damaged.
        """
        return load_config(self.path / "config.yaml")

    @property
    def ended(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "result.json").exists() and not (self.path / "checkpoint").exists()

    @property
    def begun(self) -> bool:
        """Whether there is training that would be lost with the folder."""
        return (self.path / "rounds.jsonl").exists() or any((self.path / "checkpoint").glob("*.safetensors"))

    def finish(self) -> None:
        """Delete what only a stopped run needs, at one stroke, and let others in."""
        checkpoint, gone = self.path / "checkpoint", self.path / ".ended"
        with suppress(OSError):  # the name is taken, or there is no checkpoint
            os.replace(checkpoint, gone)
        for place in (gone, checkpoint):
            delete_checkpoints(place)
        self.release()

    def release(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            self._lock.release()

    @property
    def model(self) -> Path:
        """The chosen network."""
        return self.path / "model.safetensors"

    def round_model(self, number: int) -> Path:
        """The network after a round."""
        return self.path / "rounds" / f"{number:03d}.safetensors"

    def discard(self) -> None:
        """Delete what this process wrote of a run that ended before its first round, and nothing else.

        Folders go if they were made for the run and are empty.
        """
        if self.begun:
            return
        self._close_log()
        self.release()
        if self._new:
            events = self.path / "tensorboard"
            for path in (*(self.path / name for name in _EARLY), *events.glob("events.out.tfevents.*")):
                with suppress(OSError):
                    path.unlink()
            self._made += [self.path / "checkpoint", events]
        for path in reversed(self._made):
            with suppress(OSError):
                path.unlink() if path.name == LOCK else path.rmdir()
        self._new, self._made = False, []

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole."""
        write_text(self.path / name, text)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write_text(name, _as_text(values))

    def append_round(self, turn: Round) -> None:
        """Add one line to rounds.jsonl."""
        with (self.path / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(turn.to_json()) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def keep_rounds(self, count: int) -> None:
        """Forget the lines of rounds that ended after the last checkpoint: they come again."""
        path = self.path / "rounds.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:count]
            self.write_text(path.name, "".join(lines))

    def settle(self, name: str, values: Mapping[str, Any], what: str) -> None:
        """Write a JSON file, or see that a stopped run began with the same.

        Raises:
            DataError: it began with something else.
        """
        path = self.path / name
        if not path.exists():
            self.write_json(name, values)
        elif path.read_text(encoding="utf-8") != _as_text(values):
            raise DataError(
                f"{path}: {what} changed since the run began; put things back as they were, or start a "
                "new run"
            )

    def choose(self, number: int) -> None:
        """Make a round's network the model of the run."""
        write_whole(self.model, lambda place: shutil.copyfile(self.round_model(number), place))

    def logger(self) -> logging.Logger:
        """A logger that writes log.txt of this run."""
        self._close_log()
        logger = self._logger()
        logger.setLevel(logging.INFO)
        logger.propagate = False
        handler = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        return logger

    def _logger(self) -> logging.Logger:
        return logging.getLogger(f"stampseg.run.{self.path.resolve()}")

    def _close_log(self) -> None:
        logger = self._logger()
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()


def _as_text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def check_free(path: Path) -> None:
    """See that a folder can become a run's: it is not there, or holds nothing but what a killed run left.

    Raises:
        ConfigError: something else is there.
    """
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise ConfigError(f"{path}: is not a folder; expected a new or an empty one; choose another `output`")
    names = sorted(file.name for file in path.iterdir() if not (is_leftover(file) or _is_old_lock(file)))
    if names:
        raise ConfigError(
            f"{path}: is not empty, it holds {some(names)}; choose another `output` or empty it"
        )


def _is_old_lock(path: Path) -> bool:
    return path.name == LOCK and path.is_file() and not path.is_symlink() and not path.stat().st_size
