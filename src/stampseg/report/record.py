"""A run folder as the report reads it: whatever is there, and a line for whatever is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..core.errors import DataError
from ..core.json_file import JsonFile
from ..core.run_folder import CONFIG_FILE, ROUNDS_FOLDER, round_file
from ..data.fingerprint import FINGERPRINT, Fingerprint
from ..data.plan import PLAN, Plan
from ..data.splits.record import SPLITS, Splits
from ..run.folds.records import FOLDS, Folds
from ..run.records import NOTES, RESULT, ROUNDS, NoteRecord, Result, RoundRecord
from ..run.search.records import SEARCH, Search
from ..run.spec import SPEC

FILES = (CONFIG_FILE, ROUNDS.name)  # a run folder has at least one of them
NO_RESULT = f"this run has not ended, or was stopped: there is no {RESULT.name}, and no model is chosen yet"

T = TypeVar("T")


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
        given: name of the trained network it began with, to prune it or to go on; None: it began by chance.
        notes: what the run noted before and after its rounds, each once: a run that was stopped repeats them;
            runs of version 0.1 have theirs in log.txt alone, which is not read.
        folds: of a cross-validation; None where there was none.
        search: of other settings; None where there was none.
        gaps: what is missing or damaged, one line each.
    """

    path: Path
    rounds: tuple[RoundRecord, ...]
    result: Result | None
    splits: Splits | None
    plan: Plan | None
    fingerprint: Fingerprint | None
    config: str
    command: tuple[str, ...]
    given: str | None
    notes: tuple[NoteRecord, ...]
    folds: Folds | None
    search: Search | None
    gaps: tuple[str, ...]

    @property
    def chosen(self) -> int | None:
        """Number of the round whose network is the model."""
        return self.result.chosen_round if self.result and self.result.failure is None else None

    @property
    def model(self) -> Path | None:
        """The network that the result is of, or that of the last round while there is none."""
        names: tuple[Path, ...]
        if self.result is not None:
            names = (self.result.network_in(self.path), round_file(self.path, self.result.chosen_round))
        else:
            names = tuple(sorted((self.path / ROUNDS_FOLDER).glob("*.safetensors"), reverse=True))
        return next((name for name in names if name.is_file()), None)


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
    result = _read(path, RESULT, gaps, NO_RESULT)
    spec = _read(path, SPEC, gaps)
    return Record(
        path=path,
        rounds=tuple(_read_lines(path, ROUNDS, gaps, f"{ROUNDS.name} is missing: no round has ended")),
        result=result,
        splits=_read(path, SPLITS, gaps, f"{SPLITS.name} is missing: no case is named"),
        plan=_read(path, PLAN, gaps, f"{PLAN.name} is missing: the plan is not known"),
        fingerprint=_read(path, FINGERPRINT, gaps),
        config=_text(path / CONFIG_FILE, gaps, f"{CONFIG_FILE} is missing: the options are not known") or "",
        command=spec.command if spec else (),
        given=spec.model.name if spec and spec.model else None,
        notes=_once(_read_lines(path, NOTES, gaps)),
        folds=_read(path, FOLDS, gaps),
        search=_read(path, SEARCH, gaps),
        gaps=tuple(gaps),
    )


def _text(path: Path, gaps: list[str], absent: str = "") -> str | None:
    """What the file holds; None, and a line in `gaps` if it says something, where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        gaps += [absent] if absent else []
    except OSError as error:
        gaps.append(f"{path.name} cannot be read ({error.strerror})")
    return None


def _read(folder: Path, form: JsonFile[T], gaps: list[str], absent: str = "") -> T | None:
    """What the file holds; None, and a line in `gaps`, where it cannot be used."""
    text = _text(folder / form.name, gaps, absent)
    try:
        return None if text is None else form.parse(text, form.name)
    except DataError as error:
        gaps.append(str(error))
        return None


def _read_lines(folder: Path, form: JsonFile[T], gaps: list[str], absent: str = "") -> list[T]:
    """All lines that can be used; a run that was killed leaves half a line."""
    found = []
    for number, line in enumerate((_text(folder / form.name, gaps, absent) or "").split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(form.parse(line, f"{form.name}: line {number}"))
        except DataError as error:
            gaps.append(f"{error} (it is left out)")
    return found


def _once(notes: Sequence[NoteRecord]) -> tuple[NoteRecord, ...]:
    """The first of those that say the same."""
    return tuple({(note.level, note.text): note for note in reversed(notes)}.values())[::-1]
