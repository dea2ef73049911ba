"""A MONAI bundle: configs/inference.json, configs/metadata.json, models/model.pt. Nothing of it is run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.errors import ConfigError, ModelFileError
from .. import monai_networks
from ..registry import NetworkSpec, find_entry
from ..skeleton import check_example
from .bundle_config import BundleConfig, Unsaid
from .bundle_preprocessing import Preparation, picture_axes, read_preprocessing
from .checkpoint import find_weights, read_checkpoint
from .parts import is_count
from .trained_network import Source

CONFIGS = "configs"
_FILES = tuple(f"{name}.{suffix}" for name in ("inference", "train") for suffix in ("json", "yaml", "yml"))
_PREPARATIONS = ("preprocessing", "validate#preprocessing", "preprocessing_transforms")
_AFTERWARDS = ("postprocessing", "validate#postprocessing", "postprocessing_transforms")
_INFERERS = ("inferer", "validate#inferer")
_EXAMPLE = {2: 256, 3: 96}  # voxels of an example where the bundle states none


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return any((folder / CONFIGS / name).is_file() for name in _FILES)


def open_bundle(folder: Path, weights: Path | None, trusted: Collection[str]) -> Source:
    """A network of a bundle, with what its configuration says of the images.

    Args:
        folder: of the bundle.
        weights: a file of its models folder; None: models/model.pt.
        trusted: `package.module:Class` names whose code may be imported.

    Raises:
        ModelFileError: the network is unknown or only code can tell its arguments, or a file is damaged.
    """
    configs = [BundleConfig.read(folder / CONFIGS / n) for n in _FILES if (folder / CONFIGS / n).is_file()]
    config = next((c for c in configs if _definition(c) is not None), configs[0])
    name, arguments = _network(config, trusted)
    entry = find_entry(name)
    dims = _whole(config, arguments, "spatial_dims", arguments.get("dimensions", 3), (2, 3))
    channels = _whole(config, arguments, entry.data.get("in_channels", "in_channels"), 1)
    classes = arguments.get(entry.data.get("out_channels", "out_channels"))
    _refuse_sigmoid(config)
    metadata = _metadata(folder)
    patch = _patch(config, dims)
    example = patch or _stated_shape(metadata, dims) or (_EXAMPLE[dims],) * dims
    try:
        spec = NetworkSpec(name=name, arguments=arguments, example_shape=(1, channels, *example))
        check_example(spec.example_shape)  # before anything is made for each channel
    except ConfigError as error:
        raise ModelFileError(f"{config.path}: {error}") from None
    except ValidationError as error:
        text = error.errors()[0]["msg"]
        raise ModelFileError(f"{config.path}: network_def cannot be used: {text}; mend it") from None
    prepared = _preparation(config, channels)
    overrides = {**prepared.overrides, **_labels(metadata, classes, prepared.notes)}
    if dims == 2:
        overrides.pop("orientation", None)  # pictures have none
        overrides["axes"] = picture_axes(config, _steps(config) or [])
    data, notes = {**prepared.data}, [f"{config.path.name}: network {name}", *prepared.notes]
    if patch is not None:
        data["patch_size"] = patch
    file = weights or folder / "models" / "model.pt"
    tensors, found = find_weights(read_checkpoint(file), file)
    return Source(
        kind="MONAI bundle",
        path=folder if weights is None else weights,
        spec=spec,
        data=data,
        overrides=overrides,
        weights=tensors,
        notes=(*notes, *found),
    )


def _whole(
    config: BundleConfig, arguments: Mapping[str, Any], key: str, default: Any, allowed: tuple[int, ...] = ()
) -> int:
    """A count among the arguments of the network."""
    value = arguments.get(key)
    value = default if value is None else value
    if not is_count(value) or (allowed and value not in allowed):
        wanted = " or ".join(map(str, allowed)) or "a whole number above 0"
        raise ModelFileError(f"{config.path}: network_def has {key} {value!r}; expected {wanted}; mend it")
    return int(value)


def _definition(config: BundleConfig) -> Mapping[str, Any] | None:
    for name in ("network_def", "network", "net"):
        found = config.find(name)
        if isinstance(found, Mapping) and "_target_" in found:
            return found
    return None


def _network(config: BundleConfig, trusted: Collection[str]) -> tuple[str, dict[str, Any]]:
    definition = _definition(config)
    if definition is None:
        raise ModelFileError(
            f"{config.path}: holds no network_def with a _target_; expected a network of monai.networks.nets"
        )
    try:
        values = config.resolve({k: v for k, v in definition.items() if k == "_target_" or str(k)[:1] != "_"})
    except Unsaid as unsaid:
        raise ModelFileError(
            f"{config.path}: network_def says {str(unsaid)!r}, and nothing of a bundle is run; write the "
            "value itself in its place"
        ) from None
    target = str(values.pop("_target_"))
    return _registered(target, trusted, config.path), values


def _registered(target: str, trusted: Collection[str], path: Path) -> str:
    """The registry's name for a `_target_`."""
    module, _, attribute = target.rpartition(".")
    if module == "" or module.startswith("monai.networks.nets"):
        for entry in monai_networks.ENTRIES:
            if entry.attribute.lower() == attribute.lower():
                return entry.name
    own = f"{module}:{attribute}"
    if own in trusted:
        return own
    known = ", ".join(entry.attribute for entry in monai_networks.ENTRIES)
    remedy = f"; if you know its code, allow it with `trusted` {own}" if module else ""
    raise ModelFileError(f"{path}: its network is {target}; known are {known}{remedy}")


def _metadata(folder: Path) -> BundleConfig:
    place = folder / CONFIGS / "metadata.json"
    return BundleConfig.read(place) if place.is_file() else BundleConfig(place, {})


def _first(config: BundleConfig, names: Collection[str]) -> Any:
    return next((found for name in names if (found := config.find(name)) is not None), None)


def _steps(config: BundleConfig) -> list[Any] | None:
    """The transforms of its preprocessing, where they are written as a list."""
    found = config.followed(_first(config, _PREPARATIONS))
    steps = config.followed(found.get("transforms")) if isinstance(found, Mapping) else found
    return [config.followed(step) for step in steps] if isinstance(steps, list) else None


def _preparation(config: BundleConfig, channels: int) -> Preparation:
    steps = _steps(config)
    if steps is None:
        return Preparation(notes=["its preprocessing is not written as a list: planned from the data"])
    return read_preprocessing(config, steps, channels)


def _patch(config: BundleConfig, dims: int) -> tuple[int, ...] | None:
    inferer = _first(config, _INFERERS)
    try:
        size = config.resolve(inferer.get("roi_size")) if isinstance(inferer, Mapping) else None
    except Unsaid:
        return None
    sizes = [size] * dims if isinstance(size, int) else size
    return _sizes(sizes, dims)


def _stated_shape(metadata: BundleConfig, dims: int) -> tuple[int, ...] | None:
    return _sizes(metadata.find("network_data_format#inputs#image#spatial_shape"), dims)


def _sizes(values: Any, dims: int) -> tuple[int, ...] | None:
    if isinstance(values, list) and len(values) == dims and all(isinstance(n, int) and n > 0 for n in values):
        return tuple(values)
    return None


def _labels(metadata: BundleConfig, classes: Any, notes: list[str]) -> dict[str, Any]:
    """Label values and names from metadata.json, where it names one class per output."""
    named = metadata.find("network_data_format#outputs#pred#channel_def")
    if not isinstance(named, Mapping) or not all(str(key).isdecimal() for key in named):
        return {}
    values = tuple(sorted(int(key) for key in named))
    if values != tuple(range(len(values))) or len(values) != classes:
        notes.append(f"metadata.json names {len(values)} channels for {classes} outputs: names not used")
        return {}
    by_value = {int(key): str(name) for key, name in named.items()}
    return {"label_values": values, "label_names": ("background", *(by_value[v] for v in values[1:]))}


def _refuse_sigmoid(config: BundleConfig) -> None:
    """Every output its own yes or no: not what a network of classes learns here."""
    for name in _AFTERWARDS:
        for step in _mappings(config, config.find(name), set()):
            kind = str(step.get("_target_", "")).split(".")[-1]
            if kind.startswith("Activations") and config.followed(step.get("sigmoid")) is True:
                raise ModelFileError(
                    f"{config.path}: its outputs are overlapping regions (sigmoid), which is not supported; "
                    "expected one class per voxel (softmax)"
                )


def _mappings(config: BundleConfig, value: Any, seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """All mappings in a value and in what it refers to, each reference once."""
    if isinstance(value, str) and value[:1] == "@" and value not in seen:
        seen.add(value)
        yield from _mappings(config, config.find(value[1:]), seen)
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _mappings(config, inner, seen)
