"""Every option of a run, typed, checked and explained. No torch here.

A `Config` is frozen. It comes from YAML, from the command line, or from code, and the
resolved one is saved in the run folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .options import Options
from .plain_yaml import read_yaml
from .target import COSTS, Cost, Target

Method = Literal["stamp+", "stamp", "dense", "flat"]
Tracker = Literal["tensorboard", "mlflow"]
Criterion = Literal[
    "taylor", "taylor-abs", "l1", "l2", "l1-std", "random", "weight-l1", "norm-scale", "noise"
]
Scope = Literal["all", "published"]
Normalizer = Literal["l2", "mean", "none", "parameters", "flops", "memory", "latency"]


class DataOptions(Options):
    """Overrides of the preprocessing plan; what is None is planned from the data."""

    spacing: tuple[float, ...] | None = Field(
        None, description="Working voxel size in mm (pixels for pictures), one value per axis."
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
    cache_megabytes: int = Field(
        1024, ge=0, description="Memory for prepared cases; above it they are read again."
    )


class NetworkOptions(Options):
    """The network to train."""

    name: str = Field(
        "unet",
        description="unet, monai.UNet, nnunet.PlainConvUNet, smp.Unet, ... (docs/reference/networks.md), or "
        "your own as package.module:Class.",
    )
    arguments: dict[str, Any] = Field(
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

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("preset") == "paper":
            return {"width": 4, "poolings": 4, "norm": "batch", "activation": "relu", **values}
        return values

    @field_validator("arguments")
    @classmethod
    def _as_json(cls, values: dict[str, Any]) -> dict[str, Any]:
        return as_json(values)

    @model_validator(mode="after")
    def _preset_of_unet(self) -> NetworkOptions:
        if self.preset == "paper" and self.name != "unet":
            raise ValueError(f"the preset paper is of network unet; {self.name} has none")
        return self


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


class PruneOptions(Options):
    """STAMP: what is removed, how much of it, when."""

    target: Target = Field(
        Target(share=0.15),
        description="Cost to come down to, or Dice to keep: 15%, 50k, flops:25%, flops:2G, memory:200MB, "
        "latency:50ms, dice:0.85.",
    )
    criterion: Criterion = Field(
        "taylor-abs",
        description="How a channel's importance is measured. taylor is the published one: its signed terms "
        "cancel, so that a vital channel can rank low; taylor-abs takes the absolute value per example.",
    )
    normalizer: Normalizer | None = Field(
        None,
        description="Scaling before layers compete: l2 per layer as published, mean, none, or the score "
        "divided by the parameters, flops, memory or latency that go with the channel. None: l2, or the "
        "kind of the target where that is flops, memory or latency.",
    )
    rankable: Scope | None = Field(
        None,
        description="Layers that may be cut. published: neither up-convolutions nor the last layer before "
        "the classes, found by following any network, whatever its names; all: these too, and a class can "
        "be lost for good with a channel. None: published, but all where the scores are divided by flops, "
        "memory or latency, which lie in those layers: there `even` keeps them from starving.",
    )
    dropout: Literal["layer", "channel"] = Field(
        "layer", description="STAMP+: one rate per layer as published, or one per channel."
    )
    dropout_base: float = Field(0.10, ge=0, lt=1, description="Rate of the least important layer.")
    dropout_initial: float = Field(0.005, ge=0, lt=1, description="Rate before the first cut.")
    dropout_in_finish: bool = Field(
        False, description="Keep the last round's dropout after the last cut, as published."
    )
    per_round: int | float | None = Field(
        None,
        description="Channels removed per round: a count (4), a share of those left (0.1), or "
        "None: as many as a geometric path to the target asks for in `rounds` rounds.",
    )
    rounds: int = Field(20, ge=1, description="Rounds of the path when per_round is None.")
    warmup_share: float | None = Field(
        None, ge=0, lt=1,
        description="Share of the steps before the first cut, at least; see ready_dice. None: 0.15, or 0.10 "
        "where the scores are divided by flops, memory or latency: an early cut is what saves time.",
    )  # fmt: skip
    ready_dice: float = Field(
        0.5, ge=0, le=1,
        description="Dice on the training set that the first cut waits for, until half of the steps at most: "
        "before a network has found its structures its channels cannot be told apart.",
    )  # fmt: skip
    final_share: float | None = Field(
        None, ge=0, lt=1,
        description="Share of the steps after the last cut; less where warm-up or recovery took longer. "
        "None: 0.40, or 0.65 where the scores are divided by flops, memory or latency.",
    )  # fmt: skip
    recovery_steps: int | None = Field(
        None, ge=1, description="Optimiser steps after each cut; None: what the shares leave."
    )
    minimum_width: int = Field(1, ge=1, description="Channels every layer keeps.")
    even: float | None = Field(
        None, ge=0, le=1,
        description="No layer keeps less than this times what an even cut of all layers to the target would "
        "leave it, rounded down. None: 0.75 where the scores are divided by flops, memory or latency, which "
        "would starve the layers at full resolution; else 0.",
    )  # fmt: skip
    max_drop: float = Field(
        0.20, ge=0, description="A cut that stays this far below the best Dice is rolled back."
    )
    choose: Literal["target", "smallest"] = Field(
        "target",
        description="Which round becomes the model. target: the best that meets the target; smallest: "
        "the smallest of all rounds within `tolerance` of the best.",
    )
    rollbacks: int = Field(
        3, ge=0,
        description="Rolled-back cuts after which pruning ends; their channels are spared afterwards.",
    )  # fmt: skip
    tolerance: float = Field(0.01, ge=0, description="Validation Dice that `smallest` may give away.")
    score_batches: int | None = Field(
        None, ge=1, description="Batches used for ranking; None: the whole training set."
    )
    scoring: Literal["training", "pass"] = Field(
        "training",
        description="training: the last batches trained on before a cut rank the channels, at no extra pass, "
        "where the criterion is taylor, taylor-abs, l1 or l2; pass: a pass over the training set without "
        "augmentation and dropout, as published.",
    )
    runtime: Literal["eager", "onnxruntime", "openvino"] = Field(
        "eager", description="What latency is measured with, on this machine, one image at a time."
    )

    @property
    def scaling(self) -> Normalizer:
        """The normalizer, settled."""
        if self.normalizer is not None:
            return self.normalizer
        kind = self.target.kind
        return "l2" if kind == "parameters" or kind == "dice" else kind

    @property
    def cost(self) -> Cost | None:
        """What a channel's score is divided by, or None."""
        return self.scaling if self.scaling in COSTS else None

    @property
    def evenness(self) -> float:
        """`even`, settled."""
        if self.even is not None:
            return self.even
        return 0.75 if self.for_time else 0.0

    @property
    def scope(self) -> Scope:
        """`rankable`, settled."""
        return self.rankable or ("all" if self.for_time else "published")

    @property
    def for_time(self) -> bool:
        """Whether channels are ranked by what they cost to run."""
        return self.scaling in ("flops", "memory", "latency")

    @property
    def shares(self) -> tuple[float, float]:
        """`warmup_share` and `final_share`, settled."""
        warmup, final = (0.10, 0.65) if self.for_time else (0.15, 0.40)
        return (
            warmup if self.warmup_share is None else self.warmup_share,
            final if self.final_share is None else self.final_share,
        )

    @model_validator(mode="after")
    def _check_amounts(self) -> PruneOptions:
        if self.per_round is not None and self.per_round <= 0:
            raise ValueError("per_round must be a count of at least 1 or a share between 0 and 1")
        if isinstance(self.per_round, float) and self.per_round >= 1:
            raise ValueError("per_round as a share must lie below 1; write a count without a point")
        if sum(self.shares) >= 1:
            raise ValueError(
                "warmup_share + final_share must leave room for the rounds (below 1); "
                f"they are {self.shares[0]:g} + {self.shares[1]:g}"
            )
        return self


class TrainOptions(Options):
    """Optimisation."""

    steps: int = Field(1000, ge=1, description="Optimiser steps of the whole run, all rounds included.")
    batch_size: int = Field(4, ge=1, description="Windows per optimiser step.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd has Nesterov momentum.")
    learning_rate: float = Field(3e-3, gt=0, description="Highest rate, after a short linear rise.")
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled for adamw.")
    momentum: float = Field(0.9, ge=0, lt=1, description="For sgd.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Of the rate, over the whole run.")
    loss: Literal["dice-ce", "dice"] = Field(
        "dice-ce", description="Soft Dice of all classes over the batch, with or without cross-entropy."
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
    augment: bool = Field(True, description="Turn, scale, shift, gamma, brightness and noise.")
    foreground_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Windows centred on a labelled voxel, where windows are smaller than the image.",
    )
    validation: str = Field("auto", description="A CSV of cases, a share (0.2 or 20%), none, or auto.")
    validate_every: int | None = Field(
        None, ge=1, description="Steps between validations outside pruning rounds; None: a tenth of the run."
    )
    patience: int | None = Field(
        None, ge=1, description="Validations without a better Dice after which a stage ends early."
    )
    checkpoint_minutes: float = Field(
        10, ge=0, description="Minutes of training between checkpoints within a round; one ends each round."
    )


class Config(Options):
    """A whole run."""

    method: Method = Field(
        "stamp+",
        description="stamp+: prune with targeted dropout; stamp: without; dense: train only; flat: train a "
        "U-Net of one width whose size is nearest to the target.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    device: str = Field("cpu", description="cpu, cuda, cuda:1 or mps.")
    labels: int | None = Field(None, ge=1, description="Train on this many labelled cases.")
    track: tuple[Tracker, ...] = Field(
        (), description="Also write the figures for tensorboard, mlflow or both, into the run folder."
    )
    group_regex: str | None = Field(None, description="Its first group in a case's id names the person.")
    data: DataOptions = DataOptions()
    network: NetworkOptions = NetworkOptions()
    prune: PruneOptions = PruneOptions()
    train: TrainOptions = TrainOptions()

    def merged(self, changes: dict) -> Config:
        """A copy with nested `changes` applied and checked again."""
        return parse_config(_merge(self.model_dump(exclude_unset=True), changes), "command line")


def _merge(base: dict, changes: dict) -> dict:
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        if isinstance(inner, dict) and isinstance(value, dict) and key != "target":  # a target is one value
            value = _merge(inner, value)
        merged[key] = value
    return merged


def parse_config(values: object, source: str) -> Config:
    """Check `values` (nested dict) and name `source` in the error.

    Raises:
        ConfigError: an unknown name, or a value out of range; every finding is listed.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected names with values, found {type(values).__name__}")
    values = dict(values)
    prune = values.get("prune")
    if isinstance(prune, dict) and isinstance(prune.get("target"), str | int):
        values["prune"] = {
            **prune,
            "target": Target.parse(str(prune["target"])).model_dump(exclude_none=True),
        }
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
        findings = "; ".join(_finding(item) for item in found[:10]) + more
        raise ConfigError(f"{source}: {findings}") from None


def _finding(item: Any) -> str:
    """One error of pydantic in our words, with the nearest name for a misspelt one."""
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{path}: {item['msg']} (found {_short(item['input'])})"
    known = list(_names(Config, ""))
    near = get_close_matches(path, known, n=1, cutoff=0.6) or [n for n in known if n.endswith(f".{path}")]
    hint = f"did you mean {near[0]}?" if near else "docs/reference/options.md lists all"
    return f"{path}: no such option (found {_short(item['input'])}); {hint}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


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
    return parse_config(values or {}, str(path))


def dump_config(config: Config) -> str:
    """The configuration as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False)
