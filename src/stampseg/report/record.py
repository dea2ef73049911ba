"""A run folder as the report reads it: whatever is there, and a line for whatever is not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ..core.errors import DataError
from ..data.fingerprint import Fingerprint
from ..data.plan import Plan
from ..data.splits import Splits
from ..run.records import Result, Turn, _Invocation

FILES = ("config.yaml", "rounds.jsonl")  # a run folder has at least one of them
NO_RESULT = "this run has not ended, or was stopped: there is no result.json, and no model is chosen yet"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Record:
    """What a run folder holds.

    Attributes:
        path: the folder.
        rounds: in their order, possibly none.
        result: None while the run has not ended.
        splits: None where it is not recorded.
        plan: None where it is not recorded.
        fingerprint: None where it is not recorded.
        config: the text of config.yaml, "" where it is not there.
        command: how the run was started, word by word; empty where it is not recorded.
        said: what the run noted before and after its rounds, from its log.
        gaps: what is missing or damaged, one line each.
    """

    path: Path
    rounds: tuple[Turn, ...]
    result: Result | None
    splits: Splits | None
    plan: Plan | None
    fingerprint: Fingerprint | None
    config: str
    command: tuple[str, ...]
    said: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def chosen(self) -> int | None:
        """Number of the round whose network is the model."""
        return self.result.chosen_round if self.result else None

    @property
    def model(self) -> Path | None:
        """The chosen network, or that of the last round while there is none."""
        rounds = sorted((self.path / "rounds").glob("*.safetensors"))
        for place in (self.path / "model.safetensors", *reversed(rounds)):
            if place.is_file():
                return place
        return None


def read_record(path: Path) -> Record:
    """Read a run folder; files that are missing or damaged are told in `gaps`.

    Raises:
        DataError: no such folder, or no run folder.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; name a run folder, as `stampseg train` and `prune` make")
    if not any((path / name).is_file() for name in FILES):
        raise DataError(
            f"{path}: holds neither {' nor '.join(FILES)}; expected a run folder, as `stampseg train` "
            "and `prune` make"
        )
    gaps: list[str] = []
    result = _model_of(path / "result.json", Result, gaps, NO_RESULT)
    invocation = _model_of(path / "run.json", _Invocation, gaps)
    return Record(
        path=path,
        rounds=_rounds(path / "rounds.jsonl", gaps),
        result=result,
        splits=_model_of(path / "splits.json", Splits, gaps, "splits.json is missing: no case is named"),
        plan=_model_of(path / "plan.json", Plan, gaps, "plan.json is missing: the plan is not known"),
        fingerprint=_model_of(path / "fingerprint.json", Fingerprint, gaps),
        config=_text(path / "config.yaml", gaps, "config.yaml is missing: the options are not known"),
        command=invocation.command if invocation else (),
        said=_said(_text(path / "log.txt", gaps)),
        gaps=tuple(gaps),
    )


def _text(path: Path, gaps: list[str], absent: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if absent:
            gaps.append(absent)
    except OSError as error:
        gaps.append(f"{path.name} cannot be read ({error.strerror})")
    return ""


def _model_of(path: Path, kind: type[M], gaps: list[str], absent: str = "") -> M | None:
    """The file as `kind`; None, and a line in `gaps`, where it cannot be used."""
    text = _text(path, gaps, absent)
    if not text and not path.exists():
        return None
    try:
        return kind.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        gaps.append(f"{path.name} is damaged or of another version ({_short(error)})")
        return None


def _rounds(path: Path, gaps: list[str]) -> tuple[Turn, ...]:
    """All lines that can be used; a run that was killed leaves half a line."""
    turns = []
    lines = _text(path, gaps, "rounds.jsonl is missing: no round has ended").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            turns.append(Turn.model_validate(json.loads(line)))
        except (ValueError, RecursionError) as error:
            gaps.append(f"rounds.jsonl: line {number} is left out, it is damaged ({_short(error)})")
    return tuple(turns)


def _short(error: Exception) -> str:
    """The first thing that is wrong, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _said(log: str) -> tuple[str, ...]:
    """Messages of a log, but for the lines of the rounds, which the report draws."""
    texts = []
    for line in log.splitlines():
        parts = line.split(" ", 3)  # date, time, level, message
        if len(parts) == 4 and parts[2].isupper() and not parts[3].startswith("round "):
            texts.append(parts[3])
    return tuple(texts)
