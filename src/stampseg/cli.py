"""The command line. Heavy imports happen inside the commands, so that --help is immediate."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
import yaml

from .config import Config, Target, load_config
from .errors import ConfigError, DataError, StampsegError

if TYPE_CHECKING:
    from rich.console import Console

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


DataArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder (Medical Segmentation Decathlon, nnU-Net raw, images/ + masks/) or a CSV.",
        metavar="DATA",
    ),
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Folder of images, where the layout is your own.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="Folder of masks, where the layout is your own.")
]
GroupOption = Annotated[
    str | None,
    typer.Option("--group-regex", help="Its first group in a case's id names the person, e.g. '(.+)-IM-'."),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file of options.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any option, as in --set prune.criterion=l1 --set data.spacing=[1,1,2]."),
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]
LabelsOption = Annotated[
    int | None, typer.Option("--labels", help="Train on this many labelled cases, drawn with the seed.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")]
ValidationOption = Annotated[
    str | None,
    typer.Option("--validation", help="CSV of cases, a share such as 20%, none, or auto (default)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def _config(path: Path | None, settings: list[str] | None, options: dict[str, Any]) -> Config:
    """Defaults, then the file, then --set, then the named options."""
    config = load_config(path) if path else Config()
    for setting in settings or []:
        key, separator, value = setting.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {setting!r}: expected NAME=VALUE, as in --set prune.criterion=l1")
        config = config.merged(_nested(key, _value(setting, value)))
    for key, value in options.items():
        if value is not None:
            config = config.merged(_nested(key, value))
    return config


def _value(setting: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {setting!r}: {text!r} is not a YAML value; quote or close it") from None


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


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
    config: ConfigOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is there, what is wrong with it, and what the plan would be."""
    from .checking import check_data, print_findings
    from .data.cases import find_dataset

    options = _config(
        config, settings,
        {"labels": labels, "seed": seed, "group_regex": group_regex, "train.validation": validation},
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
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder to make.", metavar="RUN")],
    images: ImagesOption = None,
    masks: MasksOption = None,
    group_regex: GroupOption = None,
    labels: LabelsOption = None,
    seed: SeedOption = None,
    method: Annotated[
        str | None, typer.Option("--method", help="stamp+ (default), stamp, dense or flat.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="15% (default), 50k, flops:25%, flops:2G or dice:0.85.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimiser steps of the whole run, cuts included.")
    ] = None,
    validation: ValidationOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    device: DeviceOption = None,
) -> None:
    """Train and prune a network; everything is left in the run folder."""
    options = _config(
        config, settings,
        {
            "labels": labels, "seed": seed, "method": method, "device": device, "group_regex": group_regex,
            "train.steps": steps, "train.validation": validation,
            "prune.target": Target.parse(target).model_dump(exclude_none=True) if target else None,
        },
    )  # fmt: skip
    from .console import ConsoleReporter
    from .data.cases import find_dataset
    from .pipeline import run_training
    from .runs import RunFolder

    dataset = find_dataset(data, images=images, masks=masks, group_regex=options.group_regex)
    folder = RunFolder.create(output)
    with ConsoleReporter(_console(), folder.logger()) as reporter:
        try:
            result = run_training(dataset, folder, options, reporter)
        except (ConfigError, DataError):
            folder.discard()  # nothing was trained: the corrected command may use the same name
            raise
        reporter.note(
            f"{result['parameters_before']:,} -> {result['parameters_after']:,} parameters in "
            f"{result['rounds']} rounds, {result['steps']} steps, {result['seconds']:.0f} s; "
            f"validation Dice {_dice(result['validation_dice'])}; "
            f"chosen: round {result['chosen_round']} ({result['rule']}); {folder.model}"
        )


@app.command()
@reported
def predict(
    model: Annotated[Path, typer.Argument(help="Run folder or model.safetensors.")],
    inputs: Annotated[list[Path], typer.Argument(help="Image files, folders of images, or DICOM series.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the masks; names as in the input.")
    ],
    overlays: Annotated[
        Path | None, typer.Option("--overlays", help="Also write pictures of the masks here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace masks that are there.")] = False,
    device: DeviceOption = None,
) -> None:
    """Segment images; each mask lies on its image's own grid and has its file type."""
    from .segmenting import segment

    segment(
        model, inputs, output, overlays=overlays, device=device or "cpu", overwrite=overwrite, echo=typer.echo
    )


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
