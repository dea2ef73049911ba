"""Options that commands share, and what their texts mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.config import Config, load_config
from ..core.errors import ConfigError
from ..core.target import Cost, Target
from ..core.yaml import read_yaml

_DATA = typer.Argument(
    help="Folder (Medical Segmentation Decathlon, nnU-Net raw, images/ + masks/) or a CSV.", metavar="DATA"
)
_RUN = typer.Option("-o", "--output", help="Run folder to make.", metavar="RUN")
DataArgument = Annotated[Path, _DATA]
OptionalDataArgument = Annotated[Path | None, _DATA]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Folder of images in DATA, where the layout is your own.")
]
MasksOption = Annotated[
    Path | None, typer.Option("--masks", help="Folder of masks in DATA, where the layout is your own.")
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
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="unet (default), monai.BasicUNet, nnunet.PlainConvUNet, smp.Unet, package.module:Class.",
    ),
]
TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", help="package.module:Class whose code a model may run, or a .pt2 file; may be repeated."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
OutputOption = Annotated[Path, _RUN]
OptionalOutputOption = Annotated[Path | None, _RUN]
ResumeOption = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with the run that was stopped in this folder.", metavar="RUN"),
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track", help="tensorboard or mlflow: also write figures, into the run folder; may be repeated."
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="Print warnings and errors only; log.txt has everything.")
]
MethodOption = Annotated[str | None, typer.Option("--method", help="stamp+ (default), stamp, dense or flat.")]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="15% (default), 50k, flops:25%, flops:2G or dice:0.85.")
]
FlopsOption = Annotated[
    str | None, typer.Option("--target-flops", help="Operations to come down to: 25% or 2G.")
]
LatencyOption = Annotated[
    str | None,
    typer.Option(
        "--target-latency", help="Time of one window to come down to, measured on this machine: 50ms or 25%."
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--target-memory", help="Memory of a window's maps to come down to: 100MB or 25%."),
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", help="Optimiser steps of the whole run, cuts included.")
]


def config_from(path: Path | None, settings: list[str] | None, options: dict[str, Any]) -> Config:
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


def run_config(
    path: Path | None,
    settings: list[str] | None,
    *,
    target: str | None,
    costs: dict[Cost, str | None],
    steps: int | None,
    validation: str | None,
    network: str | None,
    **options: Any,
) -> Config:
    """The same for the named options of `train` and `prune`."""
    goal = _goal(target, costs)
    inner = {"train.steps": steps, "train.validation": validation, "network.name": network}
    return config_from(path, settings, {**options, **inner, "prune.target": goal})


def _goal(target: str | None, costs: dict[Cost, str | None]) -> Target | None:
    """The one target among --target, --target-flops, --target-latency and --target-memory."""
    given = {kind: text for kind, text in costs.items() if text}
    if len(given) + bool(target) > 1:
        names = ["--target"] * bool(target) + [f"--target-{kind}" for kind in given]
        raise ConfigError(f"{' and '.join(names)}: give one target")
    for kind, text in given.items():
        return Target.parse(text, kind, f"--target-{kind}")
    return Target.parse(target) if target else None


def _value(setting: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except ValueError:
        raise ConfigError(f"--set {setting!r}: {text!r} is not a YAML value; quote or close it") from None


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def shape_from(text: str | None) -> tuple[int, ...] | None:
    """Numbers of `1x1x64x64x64`.

    Raises:
        ConfigError: the text is something else.
    """
    if text is None:
        return None
    parts = text.lower().replace(",", "x").split("x")
    if not 3 <= len(parts) <= 5 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"--shape {text!r}: expected batch x channels x axes, as in 1x1x64x64x64")
    return tuple(int(part) for part in parts)
