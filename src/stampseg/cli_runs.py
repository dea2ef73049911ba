"""What `train` and `prune` share: a run is started or gone on with, and what came of it is said."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .cli_app import console
from .order import Order

if TYPE_CHECKING:
    from .runs import RunFolder


def start_run(order: Order, output: Path, quiet: bool) -> None:
    """Do what is asked in a new run folder, or in the one where the same was stopped."""
    if not order.data.exists():  # says so, before PyTorch takes its seconds to be imported
        from .data.cases import find_dataset

        find_dataset(order.data)
    from .running import open_run

    words = ("stampseg", *sys.argv[1:])
    order = replace(order, command=words, directory=str(Path.cwd())).absolute()
    _carry_out(open_run(order, output), order, quiet)


def resume_run(path: Path, quiet: bool) -> None:
    """Go on with a run that was stopped."""
    from .runs import RunFolder

    folder = RunFolder.reopen(path)
    _carry_out(folder, folder.order, quiet)


def _carry_out(folder: RunFolder, order: Order, quiet: bool) -> None:
    from .console import ConsoleReporter
    from .reporters import Reporters
    from .running import carry_out
    from .trackers import tracking

    try:
        with (
            ConsoleReporter(console(), folder.logger(), quiet) as screen,
            tracking(order.config.track, folder.path, order.config) as trackers,
        ):
            reporter = Reporters([screen, *trackers])
            result = carry_out(folder, order, reporter)
            before = result["validation_dice_before"]
            was = f" (as given {before:.3f})" if before is not None else ""
            reporter.note(
                f"{result['parameters_before']:,} -> {result['parameters_after']:,} parameters in "
                f"{result['rounds']} rounds, {result['steps']} steps, {result['seconds']:.0f} s; "
                f"validation Dice {_dice(result['validation_dice'])}{_support(result)}{was}; "
                f"chosen: round {result['chosen_round']} ({result['rule']}); {folder.model}"
            )
    except BaseException:
        if folder.begun:
            typer.echo(f"go on with: stampseg train --resume {folder.path}", err=True)
        raise
    finally:
        folder.release()


def _support(result: dict[str, Any]) -> str:
    """How many cases the Dice of each label rests on."""
    cases: dict[str, int] = result["validation_cases_per_label"] or {}
    dice: dict[str, float] = result["validation_dice_per_label"] or {}
    if len(cases) < 2:
        return "".join(f" in {count} case(s)" for count in cases.values())
    parts = [
        f"{n} {dice[n]:.3f} in {count} case(s)" if count else f"{n} in no case" for n, count in cases.items()
    ]
    return f" ({', '.join(parts)})"


def _dice(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
