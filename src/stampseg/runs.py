"""The run folder: everything a run leaves behind, each file whole or absent.

config.yaml  plan.json  fingerprint.json  splits.json  log.txt  rounds.jsonl
rounds/000.safetensors ...   model.safetensors   result.json   report.html
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .algorithm import Round
from .atomic import write_text, write_whole
from .errors import ConfigError, DataError, ModelFileError


class RunFolder:
    """A folder that holds one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make a new run folder.

        Raises:
            ConfigError: the folder exists and is not empty.
            DataError: it cannot be written to.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigError(f"{path}: exists and is not empty; choose another -o or delete it")
        try:
            (path / "rounds").mkdir(parents=True, exist_ok=True)
            (path / "log.txt").touch()
        except OSError as error:
            raise DataError(f"{path}: cannot be written to ({error.strerror}); choose another -o") from None
        return cls(path)

    @property
    def model(self) -> Path:
        """The chosen network."""
        return self.path / "model.safetensors"

    def round_model(self, number: int) -> Path:
        """The network after a round."""
        return self.path / "rounds" / f"{number:03d}.safetensors"

    def discard(self) -> None:
        """Remove the folder of a run that ended before its first round."""
        if not (self.path / "rounds.jsonl").exists():
            shutil.rmtree(self.path)

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole."""
        write_text(self.path / name, text)

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write_text(name, json.dumps(values, indent=2) + "\n")

    def append_round(self, turn: Round) -> None:
        """Add one line to rounds.jsonl."""
        with (self.path / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(turn.to_json()) + "\n")
            file.flush()

    def choose(self, number: int) -> None:
        """Make a round's network the model of the run."""
        write_whole(self.model, lambda place: shutil.copyfile(self.round_model(number), place))

    def logger(self) -> logging.Logger:
        """A logger that writes log.txt of this run."""
        logger = logging.getLogger(f"stampseg.run.{self.path.resolve()}")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()
        handler = logging.FileHandler(self.path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        return logger


def find_model(path: Path) -> Path:
    """The model file of a run folder, or the file itself.

    Raises:
        ModelFileError: there is none.
    """
    if path.is_dir():
        model = path / "model.safetensors"
        if not model.is_file():
            raise ModelFileError(
                f"{path}: holds no model.safetensors; the run has not ended or is not a run folder"
            )
        return model
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file or run folder")
    return path


def read_rounds(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of rounds.jsonl."""
    with (path / "rounds.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
