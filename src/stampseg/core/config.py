"""All options of a run, typed, checked and explained, in sets that have files of their own. No torch here.

A `Config` is frozen. It comes from YAML, from the command line, or from code, and the
resolved one is saved in the run folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from .data_options import DataOptions
from .errors import ConfigError
from .method import METHODS, Method, MethodTraits
from .network_options import NetworkOptions
from .options import Options
from .presets import PRESETS, Preset, with_preset
from .prune_options import PruneOptions
from .refusals import refusals
from .teacher_options import TeacherOptions
from .train_options import TrainOptions
from .yaml import read_yaml

Tracker = Literal["tensorboard", "mlflow"]


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
        "dropout to the end; no look at single labels, no scans without labels, the files' own grid. "
        "one-shot: the control that cuts once to the target, at six tenths of the steps, and goes on "
        "training.",
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
