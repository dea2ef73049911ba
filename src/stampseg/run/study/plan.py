"""The cells of a study, and where each lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...core.config import Config
from ...core.errors import ConfigError
from ...core.files import write_text
from ...core.json_file import JsonFile
from ...core.machine import Machine
from ...core.options import FileRecord, Number
from ...core.text import counted, some
from .config import StudyConfig, TaskOptions, dump_study, load_study

STUDY_FILE = "study.yaml"
CELLS = "cells"  # a folder in that of a study
RUN, POOL, MASKS, METRICS = "run", "pool.csv", "masks", "metrics.json"  # in that of a cell


class CellResult(FileRecord):
    """What came of a cell; `dice` is the mean over people of the mean of their cases and labels."""

    parameters: int
    flops: int
    parameters_dense: int | None = None
    train_seconds: float
    predict_seconds: float  # for all images that test
    dice: Number = None
    spared: int = 0  # cuts of which channels were spared
    undone: int = 0  # cuts that were undone
    sha256: str  # of the model file
    failure: str | None = None  # why the run has no model; what was tested is the network it chose


class CellRecord(FileRecord):
    """What cell.json holds; it is written last."""

    task: str
    method: str
    labels: int  # people who are labelled
    draw: int
    options: dict[str, object]  # of the run
    labelled: tuple[str, ...]  # ids of the cases
    unlabelled: int
    test: dict[str, str]  # the person of each case
    result: CellResult
    machine: Machine = Machine()


CELL = JsonFile("cell.json", CellRecord, remedy="delete it and start the study again")


@dataclass(frozen=True)
class Cell:
    """One run of a study, tested."""

    task: str
    method: str
    labels: int
    draw: int

    @property
    def name(self) -> str:
        """The folder below cells/, by which the cell is called."""
        return f"{self.task}/{self.method}/{self.labels}-{self.draw}"


@dataclass(frozen=True)
class Study:
    """A study in its folder; `source` is the file that asks for it, for messages on what it says."""

    config: StudyConfig
    folder: Path
    source: Path | None = field(default=None, compare=False)

    @property
    def cells(self) -> list[Cell]:
        """Draw by draw, so that a study that is stopped early has whole draws."""
        return [
            Cell(task, method, labels, number)
            for number in self.config.draws
            for task, options in self.config.tasks.items()
            for labels in options.labelled_people
            for method in self.config.methods
        ]

    def cell(self, name: str) -> Cell:
        """The cell of a name.

        Raises:
            ConfigError: there is none.
        """
        cells = {cell.name: cell for cell in self.cells}
        if name not in cells:
            raise ConfigError(f"`cell` {name!r}: no such cell of this study; cells are {some(cells, 3)}")
        return cells[name]

    def place(self, cell: Cell) -> Path:
        """The folder of a cell."""
        return self.folder / CELLS / cell.name

    def done(self, cell: Cell) -> bool:
        """Whether the cell has its result."""
        return (self.place(cell) / CELL.name).is_file()

    def needs(self, cell: Cell) -> Cell | None:
        """The cell whose size this one's network shall have."""
        same = self.config.same_as(cell.method)
        return None if same is None else Cell(cell.task, same.method, cell.labels, cell.draw)

    @property
    def on_gpu(self) -> bool:
        """Whether some cells compute on CUDA devices."""
        pairs = [(task, method) for task in self.config.tasks for method in self.config.methods]
        return any(self.config.run_options(*pair).device.startswith("cuda") for pair in pairs)

    def run_options(self, cell: Cell) -> Config:
        """The options of a cell's run.

        Raises:
            ConfigError: they need the size of another cell, which is not done.
        """
        other, same, given = self.needs(cell), self.config.same_as(cell.method), None
        if other is not None and same is not None:
            if not self.done(other):
                raise ConfigError(
                    f"{cell.name} shall have the {same.kind} of {other.name}, which is not done; do that "
                    "first"
                )
            result = CELL.read(self.place(other)).result
            given = self.place(other) / RUN if same.kind == "widths" else getattr(result, same.kind)
            if same.kind == "widths" and result.failure is not None:  # the run has no model of its own
                given = _network_of(self.place(other) / RUN)
        return self.config.run_options(cell.task, cell.method, given).merged({"seed": cell.draw})


def _network_of(run: Path) -> Path:
    from ..records import read_result  # imports torch, which reading a study does without

    return read_result(run).network_in(run)


def open_study(config: Path, folder: Path, only: str | None = None, *, written: bool = True) -> Study:
    """Take up a study, or begin one: what is asked is written to its folder.

    Methods and draws may be added to a study that has begun, and tasks where no claim is over all; what came
    after the first result is written down. Nothing that has a result can be taken out, but a method without
    a claim, which is written down as well.

    Args:
        config: YAML file.
        folder: of the study.
        only: the one cell that will be worked on; None: all are looked at.
        written: False leaves the folder as it is.

    Raises:
        ConfigError: the file cannot be used, the folder holds something else, the claims or what they are
            over are no longer what was written down before the first result, or cells that are done have
            other options.
    """
    # cells name networks of other cells, and may be done by processes that start elsewhere
    folder = folder.absolute()
    study = Study(load_study(config).model_copy(update={"added": (), "taken_out": ()}), folder, config)
    stored = folder / STUDY_FILE
    if stored.is_file():
        study = _taken_up(study, load_study(stored))
    elif folder.is_dir() and (names := sorted(p.name for p in folder.iterdir() if p.name[0] != ".")):
        raise ConfigError(
            f"{folder}: is not the folder of a study (there is no {STUDY_FILE}), and holds {some(names)}; "
            "choose another `output`"
        )
    for cell in study.cells if only is None else [study.cell(only)]:
        other = study.needs(cell)
        if study.done(cell) and (other is None or study.done(other)):
            _check_options(study, cell)
    if written and (not stored.is_file() or stored.read_text(encoding="utf-8") != dump_study(study.config)):
        write_text(stored, dump_study(study.config))
    return study


def _taken_up(study: Study, before: StudyConfig) -> Study:
    """The study with what came after its first result; refused where results could decide what counts."""
    done = [cell for cell in Study(before, study.folder).cells if study.done(cell)]
    if not done:
        update = {"added": before.added, "taken_out": before.taken_out}
        return replace(study, config=study.config.model_copy(update=update))
    if before.claims != study.config.claims:
        what = f"the claims are others than those of its {STUDY_FILE}"
        raise _too_late(study, what, done, "claims are written down before the first result")
    cells = set(study.cells)
    lost = [cell.name for cell in done if cell.method in study.config.methods and cell not in cells]
    if lost:
        what = f"{some(lost, 3)}: task, draw or number of labelled people taken out"
        raise _too_late(study, what, done, "what has a result counts")
    for name in dict.fromkeys(cell.task for cell in done):
        asked, stored = (_learnt_from(each.tasks[name]) for each in (study.config, before))
        if asked != stored:
            what = f"tasks.{name}: other people or files ({_differences(stored, asked)})"
            raise _too_late(study, what, done, "all cells of a task draw from the same people and labels")
    later = [name for name in study.config.tasks if name not in before.tasks]
    if later and any(claim.tasks == "all" for claim in study.config.claims):
        what = f"tasks {some(later)} added, and a claim is over all tasks"
        raise _too_late(study, what, done, "what claims are over is written down before the first result")
    update = {
        "added": tuple(dict.fromkeys((*before.added, *_added(before, study.config)))),
        "taken_out": tuple(dict.fromkeys((*before.taken_out, *_taken_out(done, study.config)))),
    }
    return replace(study, config=study.config.model_copy(update=update))


def _learnt_from(task: TaskOptions) -> dict[str, Any]:
    """Who is drawn, and from which folders; where these lie is no matter, as data are moved."""
    found = task.model_dump(include={"people", "each", "test", "images", "masks"})
    folders = {name: found[name] and Path(found[name]).name for name in ("images", "masks")}
    return {**found, **folders}


def _too_late(study: Study, what: str, done: Sequence[Cell], rule: str) -> ConfigError:
    return ConfigError(
        f"{study.folder}: {what}, and {counted(len(done), 'cell')} done already: {rule}; put it back as it "
        "was, or begin another study with another `output`"
    )


def _added(before: StudyConfig, now: StudyConfig) -> Iterator[str]:
    """What is new, in words."""
    yield from (f"task {name}" for name in now.tasks if name not in before.tasks)
    yield from (f"method {name}" for name in now.methods if name not in before.methods)
    yield from (f"draw {number}" for number in now.draws if number not in before.draws)
    for name, task in now.tasks.items():
        known = before.tasks[name].labelled_people if name in before.tasks else task.labelled_people
        yield from (f"{name} with {count} labelled" for count in task.labelled_people if count not in known)


def _taken_out(done: Sequence[Cell], now: StudyConfig) -> Iterator[str]:
    """Methods that have results and are asked for no more, in words."""
    gone = Counter(cell.method for cell in done if cell.method not in now.methods)
    yield from (f"method {name} taken out, {counted(number, 'cell')} done" for name, number in gone.items())


def _check_options(study: Study, cell: Cell) -> None:
    place, other = study.place(cell), study.needs(cell)
    stored, asked = (
        _wherever(options, other)
        for options in (CELL.read(place).options, study.run_options(cell).as_given())
    )
    if stored != asked:
        raise ConfigError(
            f"{place}: was done with other options ({_differences(stored, asked)}); put them back, choose "
            "another `output`, or delete that folder to do the cell anew"
        )


def _wherever(options: Mapping[str, Any], other: Cell | None) -> dict[str, Any]:
    """The options, another cell's network named from the study's folder on: that may have been moved."""
    network = options.get("network")
    if other is None or not isinstance(network, Mapping) or "widths_of" not in network:
        return dict(options)
    _, name, rest = Path(network["widths_of"]).as_posix().rpartition(f"{CELLS}/{other.name}/")
    return {**options, "network": {**network, "widths_of": f"{name}{rest}"}}


def _differences(one: object, other: object, name: str = "") -> str:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return f"{name} {one!r}, now {other!r}"
    names = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return "; ".join(_differences(one.get(key), other.get(key), f"{name}.{key}".strip(".")) for key in names)
