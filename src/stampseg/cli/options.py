"""Options that commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError

if TYPE_CHECKING:
    from ..core.config import Config
    from ..data.cases import Dataset

_DATA = typer.Argument(
    help="Folder (images/ + masks/, Decathlon, nnU-Net raw, a folder for each case, BIDS) or a CSV.",
    metavar="DATA",
)
_RUN = typer.Option("-o", "--output", help="Run folder to make.", metavar="RUN")
OptionalDataArgument = Annotated[Path | None, _DATA]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of images, where the layout is your own: in DATA, or without it."),
]
MasksOption = Annotated[
    Path | None,
    typer.Option("--masks", help="Folder of masks, where the layout is your own: in DATA, or without it."),
]
ImagesOfDataOption = Annotated[
    Path | None, typer.Option("--images", help="Folder of images of --data, where the layout is your own.")
]
MasksOfDataOption = Annotated[
    Path | None, typer.Option("--masks", help="Folder of masks of --data, where the layout is your own.")
]
IgnoreOption = Annotated[
    int | None,
    typer.Option(
        "--ignore-label",
        help="Value in the label files of voxels that are left out; default: what dataset.json calls ignore.",
    ),
]
NamesOption = Annotated[
    str | None, typer.Option("--names", help="What label values are called: 1=liver,2=spleen.")
]
MergeOption = Annotated[
    list[str] | None,
    typer.Option("--merge", help="Labels, by value or name, that become one: cord=1,2; may be repeated."),
]
OnlyOption = Annotated[
    str | None,
    typer.Option("--only", help="Labels to keep, by value or name; all others become background: liver,3."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any option, as in --set prune.criterion=l1 --set data.spacing=[1,1,2]."),
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]
DevicesOption = Annotated[
    int | None,
    typer.Option("--devices", help="Processes that share every batch, each on a GPU of its own with cuda."),
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
    typer.Option("--resume", help="Resume the run that was stopped in this folder.", metavar="RUN"),
]


def labels_from(names: str | None, merge: list[str] | None, only: str | None) -> dict[str, Any]:
    """`1=liver,2=spleen`, `cord=1,2` and `liver,3` as the options of a Config, those that are given.

    Raises:
        ConfigError: a text of another form.
    """
    changes: dict[str, Any] = {}
    if names is not None:
        pairs = [_pair(part, "--names", names, "1=liver,2=spleen") for part in names.split(",")]
        if not all(value.isascii() and value.isdigit() for value, _ in pairs):
            raise ConfigError(f"--names {names!r}: expected values with names, as in 1=liver,2=spleen")
        changes["data.names"] = {int(value): name for value, name in pairs}
        if len(changes["data.names"]) < len(pairs):
            raise ConfigError(f"--names {names!r}: one value twice; expected one name for each value")
    if merge:
        parts = [_pair(text, "--merge", text, "cord=1,2") for text in merge]
        changes["data.merge"] = {name: parts_of(labels) for name, labels in parts}
        if len(changes["data.merge"]) < len(parts):
            raise ConfigError(f"--merge {parts[-1][0]}: one name twice; list all of its labels at once")
    if only is not None:
        changes["data.only"] = parts_of(only)
    return changes


def _pair(text: str, flag: str, whole: str, example: str) -> tuple[str, str]:
    name, separator, value = (part.strip() for part in text.partition("="))
    if not (name and separator and value):
        raise ConfigError(f"{flag} {whole!r}: expected {example}")
    return name, value


def parts_of(text: str) -> list[str]:
    """What commas part, without the spaces around it."""
    return [part.strip() for part in text.split(",") if part.strip()]


SETS = ("data", "network", "prune", "train", "teacher")  # of options


def dataset_at(data: Path | None, images: Path | None, masks: Path | None) -> Dataset | None:
    """The data set that is named, if one is.

    Raises:
        ConfigError: folders of a data set without one.
        DataError: as `find_dataset`.
    """
    from ..data.cases import find_dataset

    if data is not None:
        return find_dataset(data, images=images, masks=masks)
    if images is not None or masks is not None:
        raise ConfigError(
            "--images and --masks name folders of --data, and there is none; give --data as well"
        )
    return None


def config_from(path: Path | None, settings: list[str] | None, options: dict[str, Any]) -> Config:
    """Defaults, then the file, then --set, then the named options.

    Raises:
        ConfigError: a name or value that is none, or an option that is given twice.
    """
    from ..core.config import Config, load_config, merge

    config = load_config(path) if path else Config()
    given = {key: f"`{key}`" for key, value in options.items() if value is not None}
    changes: dict[str, Any] = {}
    for setting in settings or []:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {setting!r}: expected NAME=VALUE, as in --set prune.criterion=l1")
        change = _nested(key, _value(setting, text))
        for name in _names(change):
            if name in given:
                raise ConfigError(f"{given[name]} and --set {name}: one option twice; give one of them")
            given[name] = f"--set {name}"
        changes = merge(changes, change)
    for key, value in options.items():
        if value is not None:
            changes = merge(changes, _nested(key, value))
    return config.merged(changes, "")  # together: two of them may hold only with one another


def _names(change: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Full names of what a change sets, with those of the sets that it lies in: a target is one value."""
    for key, value in change.items():
        inner = isinstance(value, dict) and f"{prefix}{key}" in SETS
        yield from _names(value, f"{prefix}{key}.") if inner else [f"{prefix}{key}"]


def _value(setting: str, text: str) -> Any:
    from ..core.yaml import read_yaml

    try:
        return read_yaml(text)
    except ValueError as error:
        raise ConfigError(
            f"--set {setting!r}: {text!r} is not a YAML value ({error}); quote or close it"
        ) from None


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
