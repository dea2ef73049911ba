"""The command line. Heavy imports happen inside the commands, so that --help is immediate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError, DataError
from .app import app, console, print_anything, print_json, reported, say_at_once
from .flags import in_flags
from .options import (
    JsonOption,
    OptionalDataArgument,
    OptionalOutputOption,
    OutputOption,
    ResumeOption,
    SetOption,
    TrustOption,
    config_from,
    shape_from,
)
from .run_options import PlanFlags, RunFlags, TrainFlags, as_option, with_options
from .train import refuse_ended, resume_run, start_run

if TYPE_CHECKING:
    from ..doctor.examination import Examination


@app.command()
@reported
@with_options
def check(
    *,
    data: OptionalDataArgument = None,
    options: PlanFlags,
    timing: Annotated[
        bool,
        typer.Option("--timing/--no-timing", help="Take a few steps to tell how long a run takes."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check a data set and plan a run on it. Says what is there, what is wrong, what the run would take."""
    if not as_json:
        say_at_once(f"reading {data or options.images} ...")
    from ..data.cases import check_people, find_dataset
    from ..doctor.check import check as look_at
    from .tables import print_examination

    config = options.resolved()
    place, images, masks = options.place(data)
    dataset = find_dataset(place, images=images, masks=masks, group_regex=config.group_regex)
    check_people(dataset, config.group_regex)
    found = _in_flags(look_at(dataset, config, timing=timing))
    if as_json:
        print_json(found.to_json())
    else:
        print_examination(found, console(), [*([] if data is None else [str(data)]), *options.words()])
    if found.errors:
        raise typer.Exit(DataError.exit_code)


def _in_flags(found: Examination) -> Examination:
    """The same with the flags of options in what is said."""
    told = [replace(f, found=in_flags(f.found), fix=in_flags(f.fix)) for f in found.findings]
    return replace(found, findings=tuple(told))


@app.command()
@reported
@with_options
def train(
    *,
    data: OptionalDataArgument = None,
    output: OptionalOutputOption = None,
    resume: ResumeOption = None,
    before: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Go on from this finished run: DATA, such as what `suggest` wrote, is added to what it had.",
            metavar="RUN",
        ),
    ] = None,
    options: TrainFlags,
) -> None:
    """Train and prune a network; everything is left in the run folder. A stopped run can be resumed."""
    if resume is not None:
        given = {"data": data, "output": output, "from": before, **options.given()}
        given |= {"quiet": None, "devices": None}
        names = [as_option(name) for name, value in given.items() if value is not None]
        if options.steps is not None and len(names) == 1:
            refuse_ended(resume, options.steps)
        if names:
            raise ConfigError(f"--resume uses the data and options of the run; leave out {', '.join(names)}")
        resume_run(resume, options.quiet, options.devices)
    elif output is None or (data is None and options.images is None):
        raise ConfigError("give DATA and -o RUN, or --resume RUN; see `stampseg train --help`")
    else:
        start_run("train", data, output, options, before)


@app.command()
@reported
@with_options
def prune(
    model: Annotated[
        Path,
        typer.Argument(
            help="Model file or run folder, nnU-Net results folder, MONAI bundle, or checkpoint.",
            metavar="MODEL",
        ),
    ],
    data: OptionalDataArgument = None,
    *,
    output: OutputOption,
    options: RunFlags,
    trusted: TrustOption = None,
) -> None:
    """Prune a network that is already trained. It recovers by training on labelled scans."""
    from ..runtime.model import check_order

    check_order(model, [] if data is None else [data], "prune")
    start_run("prune", data, output, options, model, tuple(trusted or ()))


@app.command()
@reported
def inspect(
    model: Annotated[
        str,
        typer.Argument(help="Name of a network, or what `stampseg prune` opens.", metavar="MODEL_OR_NETWORK"),
    ],
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="An input of the named network, batch x channels x axes: 1x1x64x64x64."),
    ] = None,
    settings: SetOption = None,
    trusted: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which channels of a network can be cut. What lives and dies together, what is frozen and why."""
    from ..doctor.network import inspect_target
    from .tables import print_inspection

    options = config_from(None, settings, {})
    found = inspect_target(model, shape_from(shape), options.network, tuple(trusted or ()))
    if as_json:
        print_json(found.to_json())
    else:
        print_inspection(found, console())


@app.command()
@reported
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")] = Path("demo-run"),
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of each of the two runs.")] = 300,
) -> None:
    """Train dense and pruned on slices of real anatomy. The two are then shown side by side."""
    from .demo import run_demo

    run_demo(output, steps, console())


def main() -> None:
    """Entry point of the `stampseg` command."""
    print_anything()
    app(prog_name="stampseg")
