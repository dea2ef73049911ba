"""The command line. Heavy imports happen inside the commands, so that --help is immediate."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

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
from .errors import ConfigError, DataError, ModelFileError, StampsegError, WiringError
from .packages import missing

if TYPE_CHECKING:
    from rich.console import Console

    from .data.cases import Dataset
    from .pipeline import Reporter
    from .runs import RunFolder

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="stampseg",
    help="Train and prune a segmentation network at the same time, with few labelled scans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into one line and an exit code; nobody sees a traceback for a wrong input."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except StampsegError as error:
            typer.echo(f"stampseg: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except ModuleNotFoundError as error:
            said = missing(error, f"stampseg {command.__name__}")
            if said is None:
                raise
            typer.echo(f"stampseg: {said}", err=True)
            raise typer.Exit(said.exit_code) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(
                f"stampseg: {where}{error.strerror or error}; check the path and the space left", err=True
            )
            raise typer.Exit(DataError.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("stampseg: stopped by the user", err=True)
            raise typer.Exit(130) from None

    return wrapped


def _dice(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=True)


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
        print_findings(findings, _console())
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

    _run(data, images, masks, output, options, functools.partial(prune_trained, model, tuple(trust or ())))


def _run(
    data: Path,
    images: Path | None,
    masks: Path | None,
    output: Path,
    options: Config,
    work: Callable[[Dataset, RunFolder, Config, Reporter], dict[str, Any]],
) -> None:
    """Do the work in a new run folder and say what came of it."""
    from .console import ConsoleReporter
    from .data.cases import find_dataset
    from .runs import RunFolder

    dataset = find_dataset(data, images=images, masks=masks, group_regex=options.group_regex)
    folder = RunFolder.create(output)
    with ConsoleReporter(_console(), folder.logger()) as reporter:
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
        print_inspection(found, _console())


@app.command()
@reported
def predict(
    model: Annotated[
        Path, typer.Argument(help="Run folder, model.safetensors, or an exported .onnx, .openvino or .pt2.")
    ],
    inputs: Annotated[list[Path], typer.Argument(help="Image files, folders of images, or DICOM series.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the masks; names as in the input.")
    ],
    overlays: Annotated[
        Path | None, typer.Option("--overlays", help="Also write pictures of the masks here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace masks that are there.")] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average over all mirrored views: slower, often a little better.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Windows computed at once; more memory.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads to compute with; default: all cores.")
    ] = None,
    trust: TrustOption = None,
    device: DeviceOption = None,
) -> None:
    """Segment images; each mask lies on its image's own grid and has its file type."""
    from .segmenting import segment

    segment(
        model, inputs, output, overlays=overlays, device=device or "cpu", overwrite=overwrite, mirror=mirror,
        batch_size=batch, threads=threads, trusted=tuple(trust or ()), echo=typer.echo,
    )  # fmt: skip


@app.command()
@reported
def export(
    model: Annotated[Path, typer.Argument(help="Run folder or model.safetensors.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write: .onnx, .openvino or .pt2.", metavar="FILE")
    ],
    format: Annotated[
        str | None, typer.Option("--format", help="onnx, openvino or torch-export; default: as FILE ends.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="f32, bf16 (openvino, torch-export) or int8 (onnx, openvino).")
    ] = "f32",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data set to check the file on; default: the run's validation cases."),
    ] = None,
    images: ImagesOption = None,
    masks: MasksOption = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", help="Image or folder to check the file on instead; may be repeated."),
    ] = None,
    cases: Annotated[int, typer.Option("--cases", help="Cases to check it on, at most.")] = 3,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Dice that may be lost; default: f32 0.001, bf16 0.02, int8 0.01."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    trust: TrustOption = None,
) -> None:
    """Write a file that runs without PyTorch, if it predicts on real cases what the model predicts."""
    from .exporting import export_file

    export_file(
        model, output, format=format, precision=precision, data=data, images=images, masks=masks,
        inputs=inputs or (), cases=cases, tolerance=tolerance, overwrite=overwrite,
        trusted=tuple(trust or ()), echo=typer.echo,
    )  # fmt: skip


@app.command()
@reported
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder (or file) of predicted masks.")],
    labels: Annotated[Path, typer.Argument(help="Folder (or file) of reference masks.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a .csv (or .json) of every case.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Surface Dice tolerance in mm (pixels for pictures).")
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Dice, HD95, surface Dice and volume error of predictions against labels."""
    from .evaluation_report import evaluate_folder, print_evaluation

    result = evaluate_folder(predictions, labels, tolerance_mm=tolerance)
    if output is not None:
        result.write(output)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_evaluation(result, _console())


@app.command()
@reported
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")] = Path("demo-run"),
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps of each of the two runs.")] = 300,
) -> None:
    """Train dense and pruned on a few slices of real anatomy, and show the two side by side."""
    from .demo_run import run_demo

    run_demo(output, steps, _console())


def main() -> None:
    """Entry point of the `stampseg` command."""
    app(prog_name="stampseg")


if __name__ == "__main__":
    main()
