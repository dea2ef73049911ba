"""An nnU-Net v2 results folder: plans.json, dataset.json, fold_X/checkpoint_final.pth.

Facts from nnunetv2 2.8.1. Its axes: readers give ZYX, `transpose_forward` reorders them, and spacing and
patch of a configuration are in that order. It crops to the voxels that are not 0, normalises, resamples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..data.plan import Intensity, Normalization, Plan
from ..errors import ModelFileError
from ..networks.registry import NetworkSpec
from .checkpoint import find_weights, read_checkpoint, without_prefixes
from .kinds import Source

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
PRUNED = "stampseg.pretrained.nnunet_network.pruned_network"
_READERS = {  # how a reader turns a volume before its axes are ordered ZYX
    "SimpleITKIO": "file", "SimpleITKIOWithReorient": "RAS",
    "NibabelIO": "file", "NibabelIOWithReorient": "RAS",
}  # fmt: skip
_PICTURES = "NaturalImage2DIO"
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")
_SCHEMES: Mapping[str, Normalization] = {
    "ZScoreNormalization": "mean-std",
    "CTNormalization": "ct",
    "NoNormalization": "ct",
    "RescaleTo01Normalization": "min-max",
    "RGBTo01Normalization": "ct",
}
_ANY = 3.4e38  # a window this wide clips nothing


@dataclass(frozen=True)
class Results:
    """A results folder, read.

    Attributes:
        folder: where plans.json and dataset.json are.
        file: the checkpoint that was chosen.
        plans: as in plans.json.
        dataset: as in dataset.json.
        name: of the configuration, such as 3d_fullres.
        configuration: that configuration, with what it inherits.
        checkpoint: tensors and plain values.
        notes: what was chosen.
    """

    folder: Path
    file: Path
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]
    name: str
    configuration: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    notes: tuple[str, ...]


def find_results(path: Path) -> Path | None:
    """The results folder that a path belongs to: the folder itself, a fold or a checkpoint of it; or None."""
    depth = 1 if path.is_dir() else 2
    for folder in (path, *path.parents[:depth]):
        if folder.is_dir() and (folder / "plans.json").is_file() and (folder / "dataset.json").is_file():
            return folder
    return None


def read_results(path: Path, folder: Path) -> Results:
    """Read the plans and one checkpoint of `folder`, the one that `path` names or the first fold's.

    Raises:
        ModelFileError: a file is missing or damaged, or holds something else.
    """
    plans, dataset = _read_json(folder / "plans.json"), _read_json(folder / "dataset.json")
    file, notes = _checkpoint_file(path, folder)
    checkpoint = read_checkpoint(file)
    if not isinstance(checkpoint, Mapping) or "network_weights" not in checkpoint:
        raise ModelFileError(
            f"{file}: holds no network_weights; expected a checkpoint of nnU-Net v2, such as {CHECKPOINTS[0]}"
        )
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    name = name or folder.name.split("__")[-1]
    configuration = _configuration(plans, str(name), folder)
    return Results(folder, file, plans, dataset, str(name), configuration, checkpoint, notes)


def open_results(path: Path, folder: Path) -> Source:
    """A trained network of nnU-Net, with the preparation of its cases.

    Raises:
        ModelFileError: something that is not supported or damaged; the message names it.
    """
    results = read_results(path, folder)
    notes = list(results.notes)
    _refuse_unsupported(results)
    values, names = _labels(results)
    spec, kept = _network(results, len(values))
    weights, _ = find_weights(results.checkpoint, results.file)
    *_, weights = without_prefixes(weights)
    plan = _plan(results, values, names, spec, notes)
    return Source(
        kind="nnU-Net results",
        path=path,
        spec=spec,
        plan=plan,
        kept=kept,
        weights=weights,
        notes=tuple(notes),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelFileError(f"{path}: cannot be read as JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path}: found {type(values).__name__}; expected names with values")
    return values


def _checkpoint_file(path: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    if path.is_file() and path.suffix == ".pth":
        return path, ()
    folds = [path] if path.is_dir() and path != folder else sorted(folder.glob("fold_*"), key=_fold_order)
    found = [(fold, name) for name in CHECKPOINTS for fold in folds if (fold / name).is_file()]
    if not found:
        raise ModelFileError(
            f"{folder}: no fold with a checkpoint; expected fold_0/{CHECKPOINTS[0]}; finish its training"
        )
    fold, name = found[0]
    notes = []
    if len(folds) > 1:
        notes.append(f"{fold.name} of {len(folds)} folds; name another as {folder.name}/fold_X")
    if name != CHECKPOINTS[0]:
        notes.append(f"{name}, as there is no {CHECKPOINTS[0]}")
    return fold / name, tuple(notes)


def _fold_order(fold: Path) -> tuple[bool, str]:
    return fold.name == "fold_all", fold.name


def _configuration(
    plans: Mapping[str, Any], name: str, folder: Path, below: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A configuration with what it inherits."""
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping) or name not in configurations:
        known = ", ".join(configurations) if isinstance(configurations, Mapping) else "none"
        raise ModelFileError(f"{folder / 'plans.json'}: no configuration {name!r}; it has {known}")
    if name in below:
        raise ModelFileError(f"{folder / 'plans.json'}: configuration {name!r} inherits from itself")
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_configuration(plans, parent, folder, (*below, name)), **own} if parent else own


def _refuse_unsupported(results: Results) -> None:
    def refuse(found: str, expected: str) -> None:
        raise ModelFileError(f"{results.folder}: {found}; {expected}")

    if results.configuration.get("previous_stage"):
        refuse(
            f"configuration {results.name} is the second stage of a cascade, which needs masks of the first",
            "use 3d_fullres or 3d_lowres",
        )
    reader = results.plans.get("image_reader_writer")
    if len(results.configuration["patch_size"]) == 2 and reader != _PICTURES:
        refuse(
            f"configuration {results.name} segments volumes slice by slice, which is not supported",
            "use a 3d configuration",
        )
    if reader not in (*_READERS, _PICTURES):
        refuse(f"its images are read by {reader}", f"expected one of {', '.join((*_READERS, _PICTURES))}")
    manager = results.plans.get("label_manager", "LabelManager")
    if manager != "LabelManager":
        refuse(f"its labels are managed by {manager}", "expected LabelManager")


def _labels(results: Results) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Values and names of the classes, in the order of the network's output."""
    place = results.folder / "dataset.json"
    declared = results.dataset.get("labels")
    if not isinstance(declared, Mapping):
        raise ModelFileError(f"{place}: names no labels; expected nnU-Net's dataset.json")
    if results.dataset.get("regions_class_order") or any(
        isinstance(value, list) and len(value) > 1 for value in declared.values()
    ):
        raise ModelFileError(
            f"{place}: its classes are overlapping regions, which is not supported; expected one class per "
            "voxel; train with plain labels"
        )
    if "ignore" in declared:
        raise ModelFileError(
            f"{place}: has an ignore label, which is not supported; train with every voxel labelled"
        )
    pairs = sorted((int(v[0] if isinstance(v, list) else v), str(name)) for name, v in declared.items())
    return tuple(value for value, _ in pairs), tuple(name for _, name in pairs)


def _network(results: Results, classes: int) -> tuple[NetworkSpec, dict[str, tuple[int, ...]] | None]:
    place = results.folder / "plans.json"
    configuration = results.configuration
    channels = results.dataset.get("channel_names", results.dataset.get("modality", {}))
    example = (1, len(channels), *configuration["patch_size"])
    stated = configuration.get("architecture") or _old_architecture(configuration, place)
    path, arguments = str(stated["network_class_name"]), dict(stated["arch_kwargs"])
    if path == PRUNED:
        spec = NetworkSpec(name=arguments["network"], arguments=arguments["arguments"], example_shape=example)
        return spec, {name: tuple(channels) for name, channels in arguments["kept"].items()}
    name = path.split(".")[-1]
    if not path.startswith("dynamic_network_architectures.") or name not in _NETWORKS:
        raise ModelFileError(
            f"{place}: its network is {path}; expected PlainConvUNet or ResidualEncoderUNet of "
            "dynamic_network_architectures"
        )
    deep = "NoDeepSupervision" not in str(results.checkpoint.get("trainer_name", ""))
    data = {"input_channels": len(channels), "num_classes": classes, "deep_supervision": deep}
    return NetworkSpec(name=f"nnunet.{name}", arguments={**arguments, **data}, example_shape=example), None


def _old_architecture(configuration: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """The architecture of plans written before nnU-Net 2.5, from their sizes."""
    name = str(configuration.get("UNet_class_name"))
    if name not in _NETWORKS:
        raise ModelFileError(f"{place}: states no architecture that is known (UNet_class_name {name})")
    stages, dims = len(configuration["n_conv_per_stage_encoder"]), len(configuration["patch_size"])
    first, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    blocks = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(first * 2**level, most) for level in range(stages)],
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": configuration["conv_kernel_sizes"],
            "strides": configuration["pool_op_kernel_sizes"],
            blocks: configuration["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
    }


def _plan(
    results: Results, values: tuple[int, ...], names: tuple[str, ...], spec: NetworkSpec, notes: list[str]
) -> Plan:
    configuration = results.configuration
    patch, reader = tuple(configuration["patch_size"]), results.plans["image_reader_writer"]
    dims = len(patch)
    axes = _axes(results.plans.get("transpose_forward", [0, 1, 2]), dims, results.folder)
    schemes, windows = _intensities(results)
    resampled = configuration.get("resampling_fn_data", "resample_data_or_seg_to_shape")
    if resampled != "resample_data_or_seg_to_shape":
        notes.append(f"its images were resampled by {resampled}; here by a cubic spline")
    if configuration.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        notes.append(
            f"its preprocessor {configuration['preprocessor_name']} is not known: taken as the default one"
        )
    notes.append(
        f"prepared as nnU-Net does: {results.name}, spacing {_times(configuration['spacing'])}, patch "
        f"{_times(patch)} along the axes of nnU-Net ({reader}), {', '.join(dict.fromkeys(schemes))}"
    )
    return Plan(
        spatial_dims=cast(Any, dims),
        in_channels=spec.example_shape[1],
        label_values=values,
        label_names=names,
        orientation=None if dims == 2 else _READERS[reader],
        spacing=tuple(float(size) for size in configuration["spacing"]),
        crop="nonzero",
        patch_size=patch,
        normalization=schemes if len(set(schemes)) > 1 else schemes[0],
        ct=windows if any(windows) else None,
        strides=_strides(spec, dims),
        axes=axes,
        convention="nnunet",
    )


def _axes(transpose: Any, dims: int, folder: Path) -> tuple[int, ...]:
    """Network axis -> axis of an XYZ volume (nnU-Net starts from ZYX), or of a (row, column) picture."""
    order = [int(axis) for axis in transpose]
    if dims == 3:
        return tuple(2 - axis for axis in order)
    if order[0] != 0:
        raise ModelFileError(f"{folder / 'plans.json'}: transpose_forward {order} mixes slices and pictures")
    return tuple(axis - 1 for axis in order[1:])


def _intensities(results: Results) -> tuple[tuple[Normalization, ...], tuple[Intensity | None, ...]]:
    """One normalisation per channel, and the windows of those that have one."""
    configuration, plans = results.configuration, results.plans
    properties = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    schemes: list[Normalization] = []
    windows: list[Intensity | None] = []
    masks = configuration.get("use_mask_for_norm") or [False] * len(configuration["normalization_schemes"])
    for channel, (name, mask) in enumerate(zip(configuration["normalization_schemes"], masks, strict=True)):
        if name not in _SCHEMES:
            raise ModelFileError(
                f"{results.folder / 'plans.json'}: channel {channel} is normalised by {name}; expected one "
                f"of {', '.join(_SCHEMES)}"
            )
        schemes.append("mean-std-mask" if _SCHEMES[name] == "mean-std" and mask else _SCHEMES[name])
        windows.append(_window(name, properties.get(str(channel), {}), channel, results.folder))
    return tuple(schemes), tuple(windows)


def _window(name: str, facts: Mapping[str, float], channel: int, folder: Path) -> Intensity | None:
    if name == "NoNormalization":
        return Intensity(low=-_ANY, high=_ANY, mean=0, std=1)
    if name == "RGBTo01Normalization":
        return Intensity(low=-_ANY, high=_ANY, mean=0, std=255)
    if name != "CTNormalization":
        return None
    keys = {"low": "percentile_00_5", "high": "percentile_99_5", "mean": "mean", "std": "std"}
    missing = [key for key in keys.values() if key not in facts]
    if missing:
        raise ModelFileError(
            f"{folder / 'plans.json'}: foreground intensities of channel {channel} lack {missing[0]}"
        )
    return Intensity(**{ours: float(facts[theirs]) for ours, theirs in keys.items()})


def _strides(spec: NetworkSpec, dims: int) -> tuple[tuple[int, ...], ...]:
    """Strides of the levels below the first."""
    levels = [
        tuple(step) if isinstance(step, list | tuple) else (int(step),) * dims
        for step in spec.arguments["strides"]
    ]
    return tuple(step for step in levels if max(step) > 1) or ((1,) * dims,)


def _times(values: Any) -> str:
    return " x ".join(f"{value:g}" for value in values)
