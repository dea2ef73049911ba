"""The command line. Heavy imports happen inside the commands, so that --help is immediate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConfigError, DataError
from ..run.spec import RunSpec
from .app import app, console, reported
from .options import (
    ConfigOption,
    DataArgument,
    DeviceOption,
    FlopsOption,
    GroupOption,
    ImagesOption,
    JsonOption,
    LabelsOption,
    LatencyOption,
    MasksOption,
    MemoryOption,
    MethodOption,
    NetworkOption,
    OptionalDataArgument,
    OptionalOutputOption,
    OutputOption,
    QuietOption,
    ResumeOption,
    SeedOption,
    SetOption,
    StepsOption,
    TargetOption,
    TrackOption,
    TrustOption,
    ValidationOption,
    config_from,
    run_config,
    shape_from,
)
from .train import resume_run, start_run


@app.command()
@reported
def check(
    data: DataArgument,
    images: ImagesOption = None,
    masks: MasksOption = None,
    group_regex: GroupOption = None,
    labels: LabelsOption = None,
    seed: SeedOption = None,
    validation: ValidationOption = None,
    network: NetworkOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    timing: Annotated[
        bool,
        typer.Option("--timing/--no-timing", help="Take a few steps to tell how long a run takes."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Say what is there, what is wrong with it, what the plan would be and what it would take."""
    from ..data.cases import find_dataset
    from ..doctor.examination import examine
    from .tables import print_examination

    options = config_from(
        config, settings,
        {
            "labels": labels, "seed": seed, "group_regex": group_regex, "train.validation": validation,
            "network.name": network,
        },
    )  # fmt: skip
    dataset = find_dataset(data, images=images, masks=masks, group_regex=options.group_regex)
    found = examine(dataset, options, timing=timing)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        given = {
            "--images": images, "--masks": masks, "--group-regex": group_regex, "--labels": labels,
            "--seed": seed, "--validation": validation, "--network": network, "--config": config,
        }  # fmt: skip
        words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        words += [word for setting in settings or [] for word in ("--set", setting)]
        print_examination(found, console(), words)
    if found.errors:
        raise typer.Exit(DataError.exit_code)


@app.command()
@reported
def train(
    data: OptionalDataArgument = None,
    output: OptionalOutputOption = None,
    images: ImagesOption = None,
    masks: MasksOption = None,
    group_regex: GroupOption = None,
    labels: LabelsOption = None,
    seed: SeedOption = None,
    method: MethodOption = None,
    target: TargetOption = None,
    target_flops: FlopsOption = None,
    target_latency: LatencyOption = None,
    target_memory: MemoryOption = None,
    steps: StepsOption = None,
    validation: ValidationOption = None,
    network: NetworkOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    device: DeviceOption = None,
    resume: ResumeOption = None,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train and prune a network; everything is left in the run folder. A stopped run can be gone on with."""
    if resume is not None:
        asked = dict(locals())
        given = [name for name in asked.keys() - {"resume", "quiet"} if asked[name] is not None]
        if given:
            raise ConfigError(
                f"--resume goes on with the options and data of the run; leave out {', '.join(sorted(given))}"
            )
        resume_run(resume, quiet)
        return
    if data is None or output is None:
        raise ConfigError("give DATA and -o RUN, or --resume RUN; see `stampseg train --help`")
    options = run_config(
        config, settings, labels=labels, seed=seed, method=method, target=target, steps=steps,
        costs={"flops": target_flops, "latency": target_latency, "memory": target_memory},
        validation=validation, network=network, device=device, group_regex=group_regex, track=track,
    )  # fmt: skip
    start_run(RunSpec("train", data, options, images, masks), output, quiet)


@app.command()
@reported
def prune(
    model: Annotated[
        Path,
        typer.Argument(
            help="Model file or run folder, nnU-Net results folder, MONAI bundle, or checkpoint.",
            metavar="MODEL",
        ),
    ],
    data: DataArgument,
    output: OutputOption,
    images: ImagesOption = None,
    masks: MasksOption = None,
    group_regex: GroupOption = None,
    labels: LabelsOption = None,
    seed: SeedOption = None,
    method: MethodOption = None,
    target: TargetOption = None,
    target_flops: FlopsOption = None,
    target_latency: LatencyOption = None,
    target_memory: MemoryOption = None,
    steps: StepsOption = None,
    validation: ValidationOption = None,
    network: NetworkOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    trust: TrustOption = None,
    device: DeviceOption = None,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Prune a network that is already trained, with recovery training on labelled scans."""
    options = run_config(
        config, settings, labels=labels, seed=seed, method=method, target=target, steps=steps,
        costs={"flops": target_flops, "latency": target_latency, "memory": target_memory},
        validation=validation, network=network, device=device, group_regex=group_regex, track=track,
    )  # fmt: skip
    start_run(RunSpec("prune", data, options, images, masks, model, tuple(trust or ())), output, quiet)


@app.command()
@reported
def inspect(
    target: Annotated[
        str,
        typer.Argument(help="Name of a network, or what `stampseg prune` opens.", metavar="MODEL_OR_NETWORK"),
    ],
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="An input of the named network, batch x channels x axes: 1x1x64x64x64."),
    ] = None,
    settings: SetOption = None,
    trust: TrustOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the channel groups of a network: what lives and dies together, what is frozen and why."""
    from ..doctor.network import inspect_target
    from .tables import print_inspection

    options = config_from(None, settings, {})
    found = inspect_target(target, shape_from(shape), options.network, tuple(trust or ()))
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_inspection(found, console())


@app.command()
@reported
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")] = Path("demo-run"),
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of each of the two runs.")] = 300,
) -> None:
    """Train dense and pruned on a few slices of real anatomy, and show the two side by side."""
    from .demo import run_demo

    run_demo(output, steps, console())


def main() -> None:
    """Entry point of the `stampseg` command."""
    app(prog_name="stampseg")
