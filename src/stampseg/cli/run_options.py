"""The options of a run, each declared once: commands that take them name one parameter of such a class."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from ..core.errors import ConfigError
from .flags import flag_of, library_name
from .options import (
    DeviceOption,
    DevicesOption,
    IgnoreOption,
    ImagesOption,
    MasksOption,
    MergeOption,
    NamesOption,
    OnlyOption,
    SetOption,
    config_from,
    labels_from,
)

if TYPE_CHECKING:
    from ..core.config import Config
    from ..core.target import Cost, Target

R = TypeVar("R")
APART = {"images", "masks", "config", "settings", "quiet"}  # no part of a Config
TARGETS: dict[str, Cost | None] = {
    "target": None,
    "target_flops": "flops",
    "target_latency": "latency",
    "target_memory": "memory",
}


@dataclass(frozen=True)
class PlanFlags:
    """What a plan is made by: of `check`, `train` and `prune`."""

    images: ImagesOption = None
    masks: MasksOption = None
    group_regex: Annotated[
        str | None,
        typer.Option(
            "--group-regex", help="Its first group in a case's id names the person, e.g. '(.+)-IM-'."
        ),
    ] = None
    labels: Annotated[
        int | None, typer.Option("--labels", help="Train on this many labelled cases, drawn with the seed.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None
    validation: Annotated[
        str | None,
        typer.Option("--validation", help="CSV of cases, a share such as 20%, none, or auto (default)."),
    ] = None
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            help="People kept aside, predicted once at the end: a CSV of cases, or a share such as 20%.",
        ),
    ] = None
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            help="unet (default), monai.BasicUNet, nnunet.PlainConvUNet, smp.Unet, package.module:Class.",
        ),
    ] = None
    unlabelled: Annotated[
        str | None,
        typer.Option(
            "--unlabelled",
            help="Scans without labels to learn from as well: auto (default: images without a mask), none, a "
            "folder or a CSV.",
        ),
    ] = None
    grid: Annotated[
        str | None,
        typer.Option(
            "--grid", help="Working grid: auto (default), native (the files'), or a spacing: 2, 1x1x3."
        ),
    ] = None
    ignore_label: IgnoreOption = None
    names: NamesOption = None
    merge: MergeOption = None
    only: OnlyOption = None
    config: Annotated[Path | None, typer.Option("--config", help="YAML file of options.")] = None
    settings: SetOption = None

    def place(self, data: Path | None) -> tuple[Path, Path | None, Path | None]:
        """Where the data are, their images and their masks; two folders need no DATA around them.

        Raises:
            ConfigError: neither DATA nor two folders.
        """
        if data is not None:
            return data, self.images, self.masks
        if self.images is None or self.masks is None:
            raise ConfigError("give DATA, or two folders as --images A --masks B")
        images, masks = self.images.absolute(), self.masks.absolute()
        return Path(os.path.commonpath((images, masks))), images, masks

    def given(self) -> dict[str, Any]:
        """Options that are not as they are by default."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if value not in (default, [])}

    def words(self) -> list[str]:
        """The options that were given, as one types them."""
        flags = {name: flag_of(name, declared) for name, declared in _declared(type(self)).items()}
        return [
            word
            for name, value in self.given().items()
            for each in (value if isinstance(value, list) else [value])
            for word in (flags[name], str(each))
        ]

    def resolved(self) -> Config:
        """Defaults, then the file, then --set, then the options that have a flag of their own."""
        return config_from(self.config, self.settings, self._changes())

    def _changes(self) -> dict[str, Any]:
        """What the options change, by the names of a Config."""
        changes = {library_name(name): value for name, value in self.given().items() if name not in APART}
        changes |= labels_from(self.names, self.merge, self.only)
        if self.grid is not None and self.grid not in ("auto", "native"):
            del changes[library_name("grid")]
            changes["data.spacing"] = _spacing(self.grid)
        return changes


def _spacing(text: str) -> list[float]:
    """2 -> [2], of every axis; 1x1x3 -> [1, 1, 3]."""
    try:
        values = [float(part) for part in text.split("x")]
    except ValueError:
        raise ConfigError(
            f"--grid {text!r}: expected auto, native, or a spacing such as 2 or 1x1x3"
        ) from None
    if not all(0 < value < float("inf") for value in values):
        raise ConfigError(f"--grid {text!r}: a spacing lies above 0, as in 2 or 1x1x3")
    return values


@dataclass(frozen=True)
class RunFlags(PlanFlags):
    """What a run is told: of `train` and `prune`."""

    method: Annotated[
        str | None, typer.Option("--method", help="stamp+ (default), stamp, dense, flat or thin.")
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", help="published: the algorithm as it was published; one-shot: cut once, then go on."
        ),
    ] = None
    target: Annotated[
        str | None, typer.Option("--target", help="15% (default), 50k, flops:25%, flops:2G or dice:0.85.")
    ] = None
    target_flops: Annotated[
        str | None, typer.Option("--target-flops", help="Operations to come down to: 25% or 2G.")
    ] = None
    target_latency: Annotated[
        str | None,
        typer.Option(
            "--target-latency",
            help="Time of one window to come down to, measured on this machine's processor: 50ms or 25%.",
        ),
    ] = None
    target_memory: Annotated[
        str | None,
        typer.Option("--target-memory", help="Memory of a window's maps to come down to: 100MB or 25%."),
    ] = None
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimiser steps of the whole run, cuts included.")
    ] = None
    device: DeviceOption = None
    devices: DevicesOption = None
    track: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            help="tensorboard or mlflow: also write figures, into the run folder; may be repeated.",
        ),
    ] = None
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print warnings and errors only; log.txt has everything.")
    ] = False

    def _changes(self) -> dict[str, Any]:
        others = {name: value for name, value in super()._changes().items() if name not in TARGETS}
        return others | {library_name("target"): self._goal()}

    def _goal(self) -> Target | None:
        """The one target among --target, --target-flops, --target-latency and --target-memory."""
        from ..core.target import Target

        given = {name: text for name, text in self.given().items() if name in TARGETS}
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(map(as_option, given))}: give one target")
        for name, text in given.items():
            return Target.parse(text, TARGETS[name], as_option(name))
        return None


@dataclass(frozen=True)
class TrainFlags(RunFlags):
    """What a training is told beside: of `train`."""

    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            help="First cross-validate: hold out the people in so many folds, each predicted by a network "
            "that has not seen them.",
        ),
    ] = None
    fold_column: Annotated[
        str | None,
        typer.Option(
            "--fold-column",
            help="The same with a fold for each value of this column of the CSV, such as site.",
        ),
    ] = None
    distil: Annotated[
        bool,
        typer.Option("--distil", help="With folds: their networks together teach the network of the run."),
    ] = False
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="First try other settings by folds (grid, size, width, steps, no teacher); take the best if "
            "it is worth more on people who were left out.",
        ),
    ] = False
    budget: Annotated[str | None, typer.Option("--budget", help="Time for --search: 2h, 45m.")] = None


def as_option(parameter: str) -> str:
    """A parameter of a command for a message of ours, which reads as its flag."""
    return f"`{library_name(parameter)}`"


def _declared(options: type[PlanFlags]) -> dict[str, Any]:
    """Fields with what declares them."""
    types = get_type_hints(options, include_extras=True)
    return {field.name: types[field.name] for field in fields(options)}


def with_options(command: Callable[..., R]) -> Callable[..., R]:
    """The command with options of its own for each field of its parameter `options`.

    typer reads a command's signature: there, the fields stand in the parameter's place.
    """
    own = inspect.signature(command, eval_str=True).parameters
    kind: type[PlanFlags] = own["options"].annotation
    declared = _declared(kind)
    spliced: list[Parameter] = []
    for parameter in own.values():
        if parameter.name != "options":
            spliced.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        spliced += [
            Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=declared[f.name])
            for f in fields(kind)
        ]

    @functools.wraps(command)
    def wrapped(**values: Any) -> R:
        options = kind(**{name: values.pop(name) for name in declared})
        return command(options=options, **values)

    wrapped.__signature__ = Signature(spliced)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in spliced}
    return wrapped
