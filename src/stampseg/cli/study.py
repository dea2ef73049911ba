"""`stampseg study`: every cell of a study, on this machine or on many."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError, StoppedError
from ..core.level import Level
from ..core.text import dice_text, some
from .app import app, reported, say

if TYPE_CHECKING:
    from ..data.cases import Dataset
    from ..run.spec import RunSpec
    from ..run.study.plan import Study
    from ..run.study.work import Engine


@app.command()
@reported
def study(
    config: Annotated[
        Path, typer.Argument(help="YAML file of tasks, methods, draws and claims.", metavar="CONFIG")
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the study.", metavar="DIR")],
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Cells at a time on this machine; default: one for each core, or GPU."
        ),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option("--slurm", help="Give the cells to this partition of SLURM.", metavar="PARTITION"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            help="Give the cells to the Ray cluster of this head; local: one of this machine.",
            metavar="HOST:PORT",
        ),
    ] = None,
    cell: Annotated[
        str | None, typer.Option("--cell", help="Do this one cell, as an engine does.", metavar="NAME")
    ] = None,
    list_cells: Annotated[  # no `names`, which is data.names where options are told by their flags
        bool,
        typer.Option("--list", help="Print the name of every cell, a tab and the cell that it needs."),
    ] = False,
) -> None:
    """Train methods on draws of people and test them on others. Killed and started again it goes on."""
    from ..run.study.plan import open_study

    chosen = [
        flag
        for flag, given in (
            ("--workers", workers), ("--slurm", slurm), ("--ray", ray), ("--cell", cell),
            ("--list", list_cells),
        ) if given
    ]  # fmt: skip
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)}: give one of them")
    found = open_study(config, output, cell, written=not list_cells)
    if list_cells:
        for each in found.cells:
            needed = found.needs(each)
            typer.echo(each.name if needed is None else f"{each.name}\t{needed.name}")
    elif cell is not None:
        _work_one(found, cell)
    else:
        _work_all(found, workers, slurm, ray)


def _work_one(found: Study, name: str) -> None:
    from ..run.interruption import ending_on_signals
    from ..run.study.cell import work_cell
    from ..run.study.command import hold_leash
    from ..run.study.tables import write_tables
    from ..run.study.work import WITHOUT_MODEL

    with ending_on_signals():
        led = hold_leash()
        record = work_cell(found, found.cell(name), _train, say)
        if not led:  # else whoever gave the cell away writes them
            write_tables(found)
    refused = "" if record.result.failure is None else f"; {WITHOUT_MODEL}"
    say(f"{name}: Dice {dice_text(record.result.dice)}{refused}")


def _train(spec: RunSpec, output: Path) -> None:
    from ..run.launch import open_run
    from .train import carry_out

    carry_out(open_run(spec, output), spec, quiet=False)


def _work_all(found: Study, workers: int | None, slurm: str | None, ray: str | None) -> None:
    from ..run.interruption import ending_on_signals
    from ..run.lock import FolderLock
    from ..run.study.draw import find_task
    from ..run.study.tables import write_tables
    from ..run.study.work import Work, failure

    lock = FolderLock(found.folder, "study")
    lock.take()
    try:
        if found.config.added:
            say(f"added after the first result: {some(found.config.added)}")
        if found.config.taken_out:
            say(f"taken out after results: {some(found.config.taken_out)}")
        for name, task in found.config.tasks.items():  # what is wrong with them is said before the first run
            _warn_of_people(name, find_task(name, task, found.source), task.people is not None)
        with ending_on_signals():
            work = Work(found, _engine(found, workers, slurm, ray), say)
            try:
                work.all()
            except (KeyboardInterrupt, StoppedError):
                say(f"{work.engine.stop()}; the same command goes on", err=True)
                raise
            finally:
                with suppress(OSError):
                    for path in write_tables(found):
                        say(str(path))
    finally:
        lock.release()
    if (error := failure(work)) is not None:
        raise error


def _warn_of_people(name: str, dataset: Dataset, given: bool) -> None:
    """Where cases look as if several were of one person: some may be labelled while others test."""
    from ..data.splits.likely_people import doubtful_people

    for found in doubtful_people(dataset, given):
        said = found.said.replace("training and validation", "those who are labelled and those who test")
        fix = found.remedy.replace("`group_regex`", f"`people` of tasks.{name}")
        say(Level.WARNING.shown(f"tasks.{name}: {said}; {fix}"), err=True)


def _engine(found: Study, workers: int | None, slurm: str | None, ray: str | None) -> Engine:
    from ..run.study.local import LocalEngine, gpus_here

    if slurm is not None:
        from ..run.study.slurm import SlurmEngine

        return SlurmEngine(found, slurm, say)
    if ray is not None:
        from ..run.study.ray import RayEngine

        return RayEngine(found, ray, os.cpu_count() or 1)
    gpus = gpus_here() if found.on_gpu else []
    return LocalEngine(found.folder, workers or len(gpus) or os.cpu_count() or 1, gpus)
