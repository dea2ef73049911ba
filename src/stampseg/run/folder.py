"""The run folder: everything a run leaves behind, each file whole or absent.

run.json  config.yaml  plan.json  fingerprint.json  splits.json  notes.jsonl  log.txt
rounds.jsonl  rounds/000.safetensors ...   model.safetensors   result.json   report.html   methods.md
test/cases.csv  test/masks/ ...   where people were kept aside
of a cross-validation also  folds.json  folds/0 ... (run folders)  out_of_fold/  out_of_fold.csv
of a search also  search.json  search/SETTING/folds/0 ... (run folders)

While it runs, also checkpoint/ (see checkpoint.py): a folder that has it, or no result.json, can be
resumed.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel

from ..core.config import Config, load_config
from ..core.errors import ConfigError, DataError, ModelFileError, StampsegError, StoppedError, WiringError
from ..core.files import is_leftover, remove_leftovers, write_text, write_whole
from ..core.json_file import JsonFile, whole_lines
from ..core.level import Level
from ..core.run_folder import (
    CHECKPOINTS,
    CONFIG_FILE,
    FOLDS_FILE,
    FOLDS_FOLDER,
    MLFLOW_FILE,
    MODEL_FILE,
    ROUNDS_FOLDER,
    SEARCH_FILE,
    SEARCH_FOLDER,
    TENSORBOARD_FOLDER,
    round_file,
)
from ..core.text import some
from ..data.fingerprint import FINGERPRINT
from ..data.plan import PLAN, Plan
from ..data.splits.record import SPLITS
from ..train.round import Round
from .checkpoint import delete_checkpoints
from .lock import LOCK, OWNER_FILE, FolderLock
from .records import NOTES, RESULT, ROUNDS, NoteRecord, RoundRecord
from .spec import SPEC, RunSpec, read_spec

LOG_FILE = "log.txt"
TEST = "test"  # figures and masks of the people kept aside
# What a run writes before its first round. While the specification is there it can be resumed: it goes last.
_EARLY = (
    CONFIG_FILE, PLAN.name, FINGERPRINT.name, SPLITS.name, NOTES.name, LOG_FILE, MLFLOW_FILE, FOLDS_FILE,
    SEARCH_FILE, SPEC.name,
)  # fmt: skip
T = TypeVar("T", bound=BaseModel)
_REFUSALS = (ConfigError, DataError, ModelFileError, WiringError)


def _as_before(config: Config) -> Config:
    """What the options of a run meant before there were scans without labels: what was left open then."""
    prune: dict[str, Any] = {"score_round": False, "guard": False}
    if config.prune.normalizer is None and config.prune.target.kind in ("parameters", "dice"):
        prune["normalizer"] = "l2"
    if config.prune.warmup_share is None and not config.prune.for_time:
        prune["warmup_share"] = 0.15
    return config.merged({"unlabelled": "none", "prune": prune, "train": {"missed_label": "warn"}})


class RunFolder:
    """A folder that holds one run.

    Entered, it is this process's until it is left; a refusal on the way out takes back what was written, if
    nothing was trained: the corrected command may use the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path)
        self._new = False  # whether this process began the run
        self._made: list[Path] = []  # folders and the lock, as this process made them

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self.kept_after(error):
            self.discard()
        elif error is not None:
            with suppress(OSError):
                level = Level.INFO if isinstance(error, StoppedError) else Level.ERROR
                self.note(f"{type(error).__name__}: {error}", level)
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
                SPEC.write(path, spec)
            folder._make(path / ROUNDS_FOLDER)
            (path / LOG_FILE).touch()
        except (StampsegError, StoppedError):
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
        read_spec(path)
        folder = cls(path)
        if folder.ended:
            raise ConfigError(f"{path}: this run has finished, {folder.what_came}; nothing is left to resume")
        try:
            folder._take()
            for place in (path, path / ROUNDS_FOLDER, path / CHECKPOINTS):
                remove_leftovers(place)
            folder._keep_lines(NOTES.name)
            (path / ROUNDS_FOLDER).mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be written to ({error.strerror}); mend that first") from None
        return folder

    def _take(self) -> None:
        """Keep other processes out for as long as this one lives; the system frees it when it dies."""
        place = self.path / LOCK
        there = place.exists()
        self._lock.take()
        if not there and place.exists():
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
        return read_spec(self.path)

    def config(self) -> Config | None:
        """The options that the run began with, settled: defaults may be others by now; None before it began.

        Raises:
            ConfigError: config.yaml is damaged.
        """
        path = self.path / CONFIG_FILE
        if not path.is_file():
            return None
        config = load_config(path)
        if "unlabelled" not in config.model_fields_set:
            return _as_before(config)
        if "guard" not in config.prune.model_fields_set:  # every option is written, those of its time
            return config.merged({"prune": {"guard": False}, "train": {"missed_label": "warn"}})
        return config

    def plan(self) -> Plan | None:
        """How the run began to prepare its cases; None before it began.

        Raises:
            DataError: plan.json cannot be used.
        """
        return PLAN.read_if_there(self.path)

    @property
    def ended(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / RESULT.name).exists() and not (self.path / CHECKPOINTS).exists()

    @property
    def what_came(self) -> str:
        """Of a run that came to its end, in words."""
        there = self.model.is_file()
        return f"its network is {self.model}" if there else "it ended without a model (result.json says why)"

    @property
    def begun(self) -> bool:
        """Whether there is training that would be lost with the folder."""
        within = (self.path / name for name in (FOLDS_FOLDER, SEARCH_FOLDER))  # runs, and settings with runs
        return (
            (self.path / ROUNDS.name).exists()
            or any((self.path / CHECKPOINTS).glob("*.safetensors"))
            or any(RunFolder(each).begun for place in within if place.is_dir() for each in place.iterdir())
        )

    def kept_after(self, error: BaseException) -> bool:
        """Whether the folder stays, and the run can go on, after what ended it."""
        return self.begun or not isinstance(error, _REFUSALS)

    def finish(self) -> None:
        """Delete what only a stopped run needs, at one stroke, and let others in."""
        checkpoint, gone = self.path / CHECKPOINTS, self.path / ".ended"
        with suppress(OSError):  # the name is taken, or there is no checkpoint
            os.replace(checkpoint, gone)
        for place in (gone, checkpoint):
            delete_checkpoints(place)
        self.release()

    def release(self) -> None:
        """Let other processes in."""
        self._lock.release()

    @property
    def model(self) -> Path:
        """The chosen network."""
        return self.path / MODEL_FILE

    @property
    def test(self) -> Path:
        """Folder of what came of the people kept aside."""
        return self.path / TEST

    def round_model(self, number: int) -> Path:
        """The network after a round."""
        return round_file(self.path, number)

    def discard(self) -> None:
        """Delete what this process wrote of a run that ended before its first round, and nothing else.

        Folders go if they were made for the run and are empty.
        """
        if self.begun:
            return
        self._close_log()
        self.release()
        if self._new:
            events = self.path / TENSORBOARD_FOLDER
            for path in (*(self.path / name for name in _EARLY), *events.glob("events.out.tfevents.*")):
                with suppress(OSError):
                    path.unlink()
            self._made += [self.path / CHECKPOINTS, events]
        for path in reversed(self._made):
            with suppress(OSError):
                path.unlink() if path.name == LOCK else path.rmdir()
        self._new, self._made = False, []

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole."""
        write_text(self.path / name, text)

    def append_round(self, turn: Round) -> None:
        """Add one line to rounds.jsonl."""
        self._append(ROUNDS, RoundRecord.of(turn))

    def note(self, text: str, level: Level) -> None:
        """Add one line to notes.jsonl."""
        self._append(NOTES, NoteRecord.now(text, level))

    def _append(self, form: JsonFile[T], value: T) -> None:
        with (self.path / form.name).open("a", encoding="utf-8", newline="\n") as file:
            file.write(form.line(value) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def keep_rounds(self, count: int) -> None:
        """Forget the lines of rounds that ended after the last checkpoint: they come again."""
        self._keep_lines(ROUNDS.name, count)

    def _keep_lines(self, name: str, count: int | None = None) -> None:
        """Forget the lines of a file after the first `count`, and half a line that a killed process wrote."""
        path = self.path / name
        if path.exists():
            lines = whole_lines(path.read_text(encoding="utf-8"))[:count]
            self.write_text(name, "".join(f"{line}\n" for line in lines))

    def write_or_match(
        self, form: JsonFile[T], value: T, what: str, how: Callable[[T, T], str] = lambda *_: ""
    ) -> None:
        """Write a JSON file, or see that a stopped run began with the same.

        Args:
            form: the file.
            value: what it holds.
            what: is told to have changed where it did.
            how: says in what what was there differs from `value`.

        Raises:
            DataError: it began with something else.
        """
        path = self.path / form.name
        if not path.exists():
            form.write(self.path, value)
            return
        before = form.read(self.path)
        if not _agrees(_content(before, exclude_unset=True), _content(value)):
            raise DataError(
                f"{path}: {what} changed since the run began{how(before, value)}; put things back as "
                "they were, or start a new run"
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
        # a path may be of bytes that are no UTF-8
        handler = logging.FileHandler(self.path / LOG_FILE, encoding="utf-8", errors="backslashreplace")
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


def _content(value: BaseModel, exclude_unset: bool = False) -> dict[str, Any]:
    """Without its notes, which another version may word otherwise."""
    return value.model_dump(exclude={"notes"}, exclude_unset=exclude_unset)


def _agrees(before: Any, now: Any) -> bool:
    """Whether all that a file says is so now; a file of an older version says less."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(name in now and _agrees(value, now[name]) for name, value in before.items())
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        return len(before) == len(now) and all(map(_agrees, before, now))
    return bool(before == now)


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
    ours = path.is_file() and not path.is_symlink()
    return ours and (path.name == OWNER_FILE or (path.name == LOCK and not path.stat().st_size))
