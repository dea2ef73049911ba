"""What `train` and `prune` share: a run is started or gone on with, and what came of it is said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..run.spec import Order
from .app import console

if TYPE_CHECKING:
    from ..run.folder import RunFolder


def start_run(order: Order, output: Path, quiet: bool) -> None:
    """Do what is asked in a new run folder, or in the one where the same was stopped."""
    if not order.data.exists():  # says so, before PyTorch takes its seconds to be imported
        from ..data.cases import find_dataset

        find_dataset(order.data)
    from ..run.launch import open_run

    words = ("stampseg", *sys.argv[1:])
    order = replace(order, command=words, directory=str(Path.cwd())).absolute()
    _carry_out(open_run(order, output), order, quiet)


def resume_run(path: Path, quiet: bool) -> None:
    """Go on with a run that was stopped."""
    from ..run.folder import RunFolder

    folder = RunFolder.reopen(path)
    _carry_out(folder, folder.order, quiet)


def _carry_out(folder: RunFolder, order: Order, quiet: bool) -> None:
    from ..run.launch import carry_out
    from ..run.reporters import Reporters
    from ..run.trackers import tracking
    from .console import ConsoleReporter

    with folder:  # left last: trackers write until they are closed
        try:
            with (
                ConsoleReporter(console(), folder.logger(), quiet) as screen,
                tracking(order.config.track, folder.path, order.config) as trackers,
            ):
                reporter = Reporters([screen, *trackers])
                reporter.note(_outcome(carry_out(folder, order, reporter), folder))
        except BaseException:
            if folder.begun:
                typer.echo(f"go on with: stampseg train --resume {folder.path}", err=True)
            raise


def _outcome(result: dict[str, Any], folder: RunFolder) -> str:
    before = result["validation_dice_before"]
    was = f" (as given {before:.3f})" if before is not None else ""
    return (
        f"{result['parameters_before']:,} -> {result['parameters_after']:,} parameters in "
        f"{result['rounds']} rounds, {result['steps']} steps, {result['seconds']:.0f} s; "
        f"validation Dice {_dice(result['validation_dice'])}{was}; "
        f"chosen: round {result['chosen_round']} ({result['rule']}); {folder.model}"
    )


def _dice(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
