"""The command line. Heavy imports happen inside the commands, so that --help is immediate."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_app import app, console, reported
from .cli_options import (
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
    OutputOption,
    SeedOption,
    SetOption,
    StepsOption,
    TargetOption,
    TrustOption,
    ValidationOption,
    config_from,
    run_config,
    shape_from,
)
from .config import Config
from .errors import ConfigError, DataError, ModelFileError, WiringError

if TYPE_CHECKING:
    from .data.cases import Dataset
    from .pipeline import Reporter
    from .runs import RunFolder


def _dice(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


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
    as_json: JsonOption = False,
) -> None:
    """Say what is there, what is wrong with it, and what the plan would be."""
    from .checking import check_data, print_findings
    from .data.cases import find_dataset

    options = config_from(
        config, settings,
        {
            "labels": labels, "seed": seed, "group_regex": group_regex, "train.validation": validation,
            "network.name": network,
        },
    )  # fmt: skip
    dataset = find_dataset(data, images=images, masks=masks, group_regex=options.group_regex)
    findings = check_data(dataset, options)
    if as_json:
        typer.echo(json.dumps(findings.to_json(), indent=2))
    else:
        print_findings(findings, console())
    if findings.errors:
        raise typer.Exit(DataError.exit_code)


@app.command()
@reported
def train(
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
    device: DeviceOption = None,
) -> None:
    """Train and prune a network; everything is left in the run folder."""
    options = run_config(
        config, settings, labels=labels, seed=seed, method=method, target=target, steps=steps,
        costs={"flops": target_flops, "latency": target_latency, "memory": target_memory},
        validation=validation, network=network, device=device, group_regex=group_regex,
    )  # fmt: skip
    from .pipeline import run_training

    _run(data, images, masks, output, options, run_training)


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
) -> None:
    """Prune a network that is already trained, with recovery training on labelled scans."""
    options = run_config(
        config, settings, labels=labels, seed=seed, method=method, target=target, steps=steps,
        costs={"flops": target_flops, "latency": target_latency, "memory": target_memory},
        validation=validation, network=network, device=device, group_regex=group_regex,
    )  # fmt: skip
    from .pruning import prune_trained

    work = functools.partial(prune_trained, model, tuple(trust or ()))
    _run(data, images, masks, output, options, work, tuple(trust or ()))


def _run(
    data: Path,
    images: Path | None,
    masks: Path | None,
    output: Path,
    options: Config,
    work: Callable[[Dataset, RunFolder, Config, Reporter], dict[str, Any]],
    trusted: tuple[str, ...] = (),
) -> None:
    """Do the work in a new run folder and say what came of it."""
    from .console import ConsoleReporter
    from .data.cases import find_dataset
    from .report.writing import report_of_run
    from .runs import RunFolder

    dataset = find_dataset(data, images=images, masks=masks, group_regex=options.group_regex)
    folder = RunFolder.create(output)
    with ConsoleReporter(console(), folder.logger()) as reporter:
        try:
            result = work(dataset, folder, options, reporter)
        except (ConfigError, DataError, ModelFileError, WiringError):
            folder.discard()  # nothing was trained: the corrected command may use the same name
            raise
        before = result["validation_dice_before"]
        was = f" (as given {before:.3f})" if before is not None else ""
        reporter.note(
            f"{result['parameters_before']:,} -> {result['parameters_after']:,} parameters in "
            f"{result['rounds']} rounds, {result['steps']} steps, {result['seconds']:.0f} s; "
            f"validation Dice {_dice(result['validation_dice'])}{was}; "
            f"chosen: round {result['chosen_round']} ({result['rule']}); {folder.model}"
        )
        reporter.note(report_of_run(folder.path, options.device, (options.network.name, *trusted)))


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
    from .inspecting import inspect_target, print_inspection

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
    from .demo_run import run_demo

    run_demo(output, steps, console())


from . import cli_models  # noqa: E402, F401 - its commands come after these in the list


def main() -> None:
    """Entry point of the `stampseg` command."""
    app(prog_name="stampseg")


if __name__ == "__main__":
    main()
