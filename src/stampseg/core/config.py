"""Every option of a run, typed, checked and explained. No torch here.

A `Config` is frozen. It comes from YAML, from the command line, or from code, and the
resolved one is saved in the run folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .method import METHODS, Method, MethodTraits
from .options import Options
from .presets import PRESETS, Preset, with_preset
from .prune_options import PruneOptions
from .refusals import refusals
from .teacher_options import TeacherOptions
from .yaml import read_yaml

Tracker = Literal["tensorboard", "mlflow"]


class DataOptions(Options):
    """Overrides of the preprocessing plan; what is None is planned from the data."""

    spacing: tuple[float, ...] | None = Field(
        None,
        description="Working voxel size in mm (pixels for pictures), one value per axis, or one for all.",
    )
    grid: Literal["auto", "native"] = Field(
        "auto",
        description="auto: a grid on which the whole picture fits the window, if no class loses detail by "
        "it; native: the median grid of the files. `spacing` overrules it.",
    )
    patch_size: tuple[int, ...] | None = Field(
        None, description="Training window in voxels, one value per axis."
    )
    normalization: Literal["zscore", "ct"] | None = Field(
        None, description="zscore: each case by its own mean and deviation; ct: fixed Hounsfield window."
    )
    crop: Literal["none", "nonzero"] | None = Field(
        None, description="nonzero: cut away the empty border of each case before training."
    )
    ignore_label: int | None = Field(
        None,
        description="Value in the label files of voxels of which nobody said what they are: left out of the "
        "loss, of scores and of every Dice. None: what dataset.json calls ignore, if anything.",
    )
    pieces: Literal["auto", "all"] = Field(
        "auto",
        description="auto: of a label that is one piece in every training case (four or more, of three "
        "people) and not thin, as vessels and walls are, masks keep the piece that the network is surest of, "
        "and any that comes near it; all: they keep all pieces.",
    )
    names: dict[int, str] = Field(
        default_factory=dict,
        description="Names of label values, {1: liver, 2: spleen}; they go before those of dataset.json.",
    )
    merge: dict[str, tuple[int | str, ...]] = Field(
        default_factory=dict,
        description="Labels that become one as they are read, {cord: [1, 2]}, by value or name; it has the "
        "first one's value.",
    )
    only: tuple[int | str, ...] = Field(
        (),
        description="Labels that are learnt, by value or name, after merging; all others become background. "
        "Empty: all.",
    )
    cache_megabytes: int = Field(
        1024, ge=0, description="Memory for prepared cases; above it they are read again."
    )


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """The values as a JSON file would give them back: tuples become lists.

    Raises:
        ValueError: something that JSON has no form for, such as a date, a set or not-a-number.
    """
    try:
        return json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"arguments are numbers, texts, true, false, null, lists and mappings of those ({error})"
        ) from None


_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"width": 4, "poolings": 4, "norm": "batch", "activation": "relu"},
}


class NetworkOptions(Options):
    """The network to train."""

    name: str = Field(
        "unet",
        description="unet, monai.UNet, nnunet.PlainConvUNet, smp.Unet, ... (docs/reference/networks.md), or "
        "your own as package.module:Class.",
    )
    arguments: Annotated[dict[str, Any], AfterValidator(as_json)] = Field(
        default_factory=dict,
        description="Arguments of its constructor, before those that the plan and the options give.",
    )
    preset: Literal["default", "paper"] = Field(
        "default", description="paper: unet of width 4, 4 poolings, conv-ReLU-BatchNorm, as published."
    )
    width: int | None = Field(
        None, ge=1,
        description="Channels of the first level; each level doubles them. None: 8, or what is usual for the "
        "network.",
    )  # fmt: skip
    poolings: int | None = Field(None, ge=1, le=6, description="Levels below the first; None: planned.")
    norm: Literal["batch", "instance"] | None = Field(
        None, description="Normalisation layer. None: batch for unet, else the network's own."
    )
    activation: Literal["relu", "leaky_relu"] | None = Field(
        None, description="Activation. None: relu for unet, else the network's own."
    )
    widths_of: Path | None = Field(
        None,
        description="Run folder or model file of a pruned network, cut from this one: train its layers' "
        "widths from random weights (method dense). A control: what pruning gives beyond the widths.",
    )

    @property
    def settled(self) -> NetworkOptions:
        """The same with the preset's values where none is given: what a network is built from."""
        preset = _PRESETS[self.preset]
        return self.model_copy(update={n: v for n, v in preset.items() if getattr(self, n) is None})

    @model_validator(mode="after")
    def _preset_of_unet(self) -> NetworkOptions:
        if self.preset == "paper" and self.name != "unet":
            raise ValueError(f"the preset paper is of network unet; {self.name} has none")
        return self


_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class TrainOptions(Options):
    """Optimisation."""

    steps: int = Field(1000, ge=1, description="Optimiser steps of the whole run, all rounds included.")
    batch_size: int = Field(4, ge=1, description="Windows per optimiser step.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd has Nesterov momentum.")
    learning_rate: float = Field(3e-3, gt=0, description="Highest rate, after a short linear rise.")
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled for adamw.")
    momentum: float = Field(0.9, ge=0, lt=1, description="For sgd.")
    schedule: Literal["auto", "cosine", "hold", "constant"] = Field(
        "auto",
        description="Of the rate, over the whole run: cosine to zero; hold: the highest rate until "
        "`hold_share` of the steps, then cosine to zero; constant; auto: hold where scans without labels are "
        "learnt from, else cosine.",
    )
    hold_share: float = Field(
        0.6, ge=0, lt=1, description="Share of the steps at the highest rate, where the schedule is hold."
    )
    loss: Literal["dice-ce", "dice"] = Field(
        "dice-ce", description="Soft Dice of all classes over the batch, with or without cross-entropy."
    )
    class_weights: Literal["none", "auto"] | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        "none",
        description="Of the classes in both parts of the loss. auto: by the root of how much rarer a class "
        "is in the training masks, at most ten times the least, 1 on average; or one number for each class, "
        "background first.",
    )
    precision: Literal["f32", "bf16"] = Field(
        "f32",
        description="bf16: forward passes under autocast, weights stay float32. Gains on GPUs and on "
        "processors with matrix units for it, not on others.",
    )
    compile: bool = Field(
        False,
        description="Compile the network with torch.compile, anew after every cut; needs a C++ compiler. "
        "Pays where the stretches between cuts are long.",
    )
    mixing: float = Field(
        0.0, ge=0, le=1,
        description="Share of the labelled windows of which a box comes from another one, as in CutMix; "
        "where no scans without labels are learnt from.",
    )  # fmt: skip
    channel_dropout: float = Field(
        0.0, ge=0, lt=1,
        description="Rate at which whole channels are dropped, the same in every layer, but for the last 40% "
        "of the steps: for methods that do not target it.",
    )  # fmt: skip
    augment: bool = Field(True, description="Turn, scale, shift, gamma, brightness and noise.")
    foreground_share: float = Field(
        0.5, ge=0, le=1,
        description="Windows centred on a labelled voxel, where windows are smaller than the image.",
    )  # fmt: skip
    validation: str = Field("auto", description="A CSV of cases, a share (0.2 or 20%), none, or auto.")
    test: str = Field(
        "none",
        description="People kept aside from training, validation and scans without labels, and predicted "
        "once, when the run has ended: a CSV of cases, a share of all (0.2 or 20%), or none.",
    )
    folds: int | None = Field(
        None, ge=2,
        description="Cross-validation before the network of the run: the labelled people are held out in so "
        "many folds, each predicted by a network that has not seen them. `validation` auto is none then.",
    )  # fmt: skip
    fold_column: str | None = Field(
        None,
        description="The same with a fold for each value of this column of the data's CSV, such as the site.",
    )
    distil: bool = Field(
        False,
        description="With folds: the network of the run also learns from the mean of the folds' networks, on "
        "scans with and without labels, so that one file has the gain of all. All then prepare images alike.",
    )
    search: bool = Field(
        False,
        description="Before the network of the run, try other settings by folds (working grid, size, width, "
        "steps, no teacher) and take the best, if choosing it is worth more than the default on people who "
        "had no part in the choice.",
    )
    budget: str | None = Field(
        None, description="With search: time after which no further fold is begun, such as 2h or 45m."
    )
    validate_every: int | None = Field(
        None, ge=1, description="Steps between validations: all along, or after the last cut of a run that "
        "prunes. None: a tenth of the run, or a fifth of what is left then.",
    )  # fmt: skip
    missed_label: Literal["fail", "warn"] = Field(
        "fail",
        description="A label that the network does not find in its own training cases at the end. fail: the "
        "run has no model and ends with exit status 4; warn: it is only said.",
    )
    patience: int | None = Field(
        None, ge=1, description="Validations without a better Dice after which a stage ends early."
    )
    checkpoint_minutes: float = Field(
        10, ge=0, description="Minutes of training between checkpoints within a round; one ends each round."
    )

    @field_validator("budget")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        if value is not None and not _TIME.fullmatch(value):
            raise ValueError("expected a time with its unit, such as 2h, 45m or 90s")
        return value

    @property
    def budget_seconds(self) -> float | None:
        """The budget; None: as long as it takes."""
        found = _TIME.fullmatch(self.budget) if self.budget is not None else None
        return None if found is None else float(found[1]) * _SECONDS[found[2]]


class Config(Options):
    """A whole run."""

    method: Method = Field(
        "stamp+",
        description="; ".join(f"{name}: {traits.explanation}" for name, traits in METHODS.items()) + ".",
    )
    preset: Preset = Field(
        "default",
        description="published: ranks, drops out and cuts as published, where not told otherwise: the signed "
        "Taylor criterion by a pass in eval mode, l2 per layer, 20 rounds from a twentieth of the steps on, "
        "dropout to the end; no guard, no scans without labels, the files' own grid. one-shot: the control "
        "that cuts once to the target, at six tenths of the steps, and goes on training.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    device: str = Field("cpu", description="cpu, cuda, cuda:1 or mps.")
    devices: int = Field(
        1, ge=1,
        description="Processes that share every batch, each on its own GPU where `device` is cuda. The "
        "result is that of one, to rounding; a stopped run may go on with another number.",
    )  # fmt: skip
    labels: int | None = Field(None, ge=1, description="Train on this many labelled cases.")
    unlabelled: str = Field(
        "auto",
        description="Scans without labels to learn from as well: auto: images of the data set that have no "
        "mask; none; a folder of images, or a CSV with a column image.",
    )
    track: tuple[Tracker, ...] = Field(
        (), description="Also write the figures for tensorboard, mlflow or both, into the run folder."
    )
    group_regex: str | None = Field(None, description="Its first group in a case's id names the person.")
    data: DataOptions = DataOptions()
    network: NetworkOptions = NetworkOptions()
    prune: PruneOptions = PruneOptions()
    train: TrainOptions = TrainOptions()
    teacher: TeacherOptions = TeacherOptions()

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values

    @property
    def traits(self) -> MethodTraits:
        """What the method does."""
        return METHODS[self.method]

    def as_given(self) -> dict[str, Any]:
        """What was set, as plain values; the rest are the defaults."""
        return self.model_dump(mode="json", exclude_unset=True)

    def merged(self, changes: dict, source: str = "options") -> Config:
        """A copy with nested `changes` applied and checked again; an error names their `source`.

        A preset among them goes before what was set here, and behind what else they say; what the preset of
        before brought goes with it. A working grid among them takes back a spacing that was set here.
        """
        base = _given(self)
        if "preset" in changes:
            base = merge(_without(base, PRESETS[self.preset]), PRESETS.get(str(changes["preset"]), {}))
        data = changes.get("data")
        if isinstance(data, dict) and "grid" in data and "spacing" not in data:
            base = _without(base, {"data": {"spacing": self.data.spacing}})
        return parse_config(merge(base, changes), source)


def _given(options: Options) -> dict[str, Any]:
    """What was set, nested by sets of options; a value of several parts, such as a target, stays one."""
    values = {n: getattr(options, n) for n in type(options).model_fields if n in options.model_fields_set}
    return {n: _given(value) if isinstance(value, Options) else value for n, value in values.items()}


def _without(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """What is set but for these values, nested."""
    left = {}
    for name, value in base.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            left[name] = _without(value, values[name])
        elif name not in values or values[name] != value:
            left[name] = value
    return left


def merge(base: dict, changes: dict) -> dict:
    """Nested dictionaries; what `changes` says goes before what `base` says."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = merge(inner, value)
        merged[key] = value
    return merged


def parse_config(values: object, source: str, *, in_file: bool = False) -> Config:
    """Check `values` (nested dict) and name `source` in the error, if it says something.

    Raises:
        ConfigError: an unknown name, or a value out of range; every finding is listed.
    """
    where = f"{source}: " if source else ""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}expected names with values, found {type(values).__name__}")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(where + refusals(error.errors(), list(_names(Config, "")), in_file)) from None


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Full names of all options."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
            yield from _names(field.annotation, f"{prefix}{name}.")


def load_config(path: Path) -> Config:
    """Read a YAML file of options.

    Raises:
        ConfigError: the file is missing, not YAML, or holds something unknown.
    """
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name an existing YAML file") from None
    except ValueError as error:  # UnicodeDecodeError among them
        raise ConfigError(f"{path}: not a YAML file of options ({error}); correct it") from None
    return parse_config(values or {}, str(path), in_file=True)


def dump_config(config: Config) -> str:
    """The configuration as YAML that `load_config` reads back to an equal one."""
    values = config.model_dump(mode="json", exclude_none=True)
    for part, preset in PRESETS[config.preset].items():
        if isinstance(preset, dict):  # which would fill what is None, if the file did not say so
            values[part] |= {name: None for name in preset if name not in values[part]}
    return yaml.safe_dump(values, sort_keys=False)
