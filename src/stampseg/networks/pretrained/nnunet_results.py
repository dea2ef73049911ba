"""An nnU-Net v2 results folder: plans.json, dataset.json, fold_X/checkpoint_final.pth.

Facts from nnunetv2 2.8.1. Its axes: readers give ZYX, `transpose_forward` reorders them, and spacing and
patch of a configuration are in that order. It crops to the voxels that are not 0, normalises, resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from ...core.errors import ModelFileError
from ...core.text import size_text
from ...data.intensities import UNCLIPPED
from ...data.layouts.description import channel_names
from ...data.plan import Intensity, Normalization, Plan
from ...data.spline import THICK
from ..registry import NetworkSpec
from .checkpoint import find_weights, read_checkpoint, without_prefixes
from .nnunet_architecture import levels, read_architecture
from .parts import Part, is_count, is_number, is_text, is_whole, read_part
from .trained_network import Source

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth", "checkpoint_latest.pth")
_READERS = {  # how a reader turns a volume before its axes are ordered ZYX
    "SimpleITKIO": "file", "SimpleITKIOWithReorient": "RAS",
    "NibabelIO": "file", "NibabelIOWithReorient": "RAS",
}  # fmt: skip
_RESAMPLING = "resample_data_or_seg_to_shape"
_RESAMPLING_OPTIONS: Mapping[str, Any] = {
    "is_seg": False, "order_z": 0, "force_separate_z": None, "separate_z_anisotropy_threshold": THICK,
}  # fmt: skip
_UNSTATED: Mapping[str, Any] = {"order": 3, "force_separate_z": False}  # of the function itself
_PICTURES = "NaturalImage2DIO"
_SCHEMES: Mapping[str, Normalization] = {
    "ZScoreNormalization": "mean-std",
    "CTNormalization": "ct",
    "NoNormalization": "ct",
    "RescaleTo01Normalization": "min-max",
    "RGBTo01Normalization": "ct",
}


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

    @property
    def said(self) -> Part:
        """What plans.json says."""
        return Part(self.folder / "plans.json", self.plans)

    @property
    def chosen(self) -> Part:
        """What plans.json says of the configuration."""
        return Part(self.folder / "plans.json", self.configuration, f"configurations.{self.name}.")

    @property
    def data(self) -> Part:
        """What dataset.json says."""
        return Part(self.folder / "dataset.json", self.dataset)


def find_results(path: Path) -> Path | None:
    """The results folder that a path belongs to: the folder itself, a fold or a checkpoint of it; or None."""
    depth = 1 if path.is_dir() else 2
    for folder in (path, *path.absolute().parents[:depth]):  # a name alone has no parents
        if folder.is_dir() and (folder / "plans.json").is_file() and (folder / "dataset.json").is_file():
            return folder
    return None


def read_results(path: Path, folder: Path) -> Results:
    """Read the plans and one checkpoint of `folder`, the one that `path` names or the first fold's.

    Raises:
        ModelFileError: a file is missing or damaged, or holds something else.
    """
    plans, dataset = read_part(folder / "plans.json"), read_part(folder / "dataset.json")
    file, notes = _checkpoint_file(path, folder)
    checkpoint = read_checkpoint(file)
    if not isinstance(checkpoint, Mapping) or "network_weights" not in checkpoint:
        raise ModelFileError(
            f"{file}: holds no network_weights; expected a checkpoint of nnU-Net v2, such as {CHECKPOINTS[0]}"
        )
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    name = name or folder.name.split("__")[-1]
    configuration = _configuration(plans, str(name))
    return Results(folder, file, plans.values, dataset.values, str(name), configuration, checkpoint, notes)


def open_results(path: Path, folder: Path) -> Source:
    """A trained network of nnU-Net, with the preparation of its cases.

    Raises:
        ModelFileError: something that is not supported or damaged; the message names it.
    """
    results = read_results(path, folder)
    notes = list(results.notes)
    _refuse_unsupported(results)
    values, names = _labels(results)
    deep = "NoDeepSupervision" not in str(results.checkpoint.get("trainer_name", ""))
    channels = _channels(results)
    data = {"input_channels": len(channels), "num_classes": len(values), "deep_supervision": deep}
    spec, kept = read_architecture(results.chosen, _patch(results), data)
    weights, _ = find_weights(results.checkpoint, results.file)
    *_, weights = without_prefixes(weights)
    plan = _plan(results, values, names, spec, notes)
    plan = plan.model_copy(update={"channel_names": channels, "mirror_axes": mirror_axes(results) or ()})
    return Source(
        kind="nnU-Net results",
        path=path,
        spec=spec,
        plan=plan,
        kept=kept,
        weights=weights,
        notes=tuple(notes),
    )


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


def _configuration(plans: Part, name: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """A configuration with what it inherits."""
    configurations = plans.part("configurations")
    if name not in configurations.values:
        known = ", ".join(configurations.values) or "none"
        raise ModelFileError(f"{plans.path}: no configuration {name!r}; it has {known}")
    if name in below:
        raise ModelFileError(f"{plans.path}: configuration {name!r} inherits from itself")
    chosen = configurations.part(name)
    own = {key: value for key, value in chosen.values.items() if key != "inherits_from"}
    parent = chosen.text("inherits_from", None)
    return {**_configuration(plans, parent, (*below, name)), **own} if parent else own


def _refuse_unsupported(results: Results) -> None:
    def refuse(found: str, expected: str) -> None:
        raise ModelFileError(f"{results.folder}: {found}; {expected}")

    if results.chosen.text("previous_stage", None):
        refuse(
            f"configuration {results.name} is the second stage of a cascade, which needs masks of the first",
            "use 3d_fullres or 3d_lowres",
        )
    reader = results.said.text("image_reader_writer")
    if len(_patch(results)) == 2 and reader != _PICTURES:
        refuse(
            f"configuration {results.name} segments volumes slice by slice, which is not supported",
            "use a 3d configuration",
        )
    if reader not in (*_READERS, _PICTURES):
        refuse(f"its images are read by {reader}", f"expected one of {', '.join((*_READERS, _PICTURES))}")
    manager = results.said.text("label_manager", "LabelManager")
    if manager != "LabelManager":
        refuse(f"its labels are managed by {manager}", "expected LabelManager")


def _patch(results: Results) -> tuple[int, ...]:
    return tuple(results.chosen.list("patch_size", is_count, "whole numbers above 0", (2, 3)))


def _channels(results: Results) -> tuple[str, ...]:
    """Names of the images' channels; dataset.json of nnU-Net v1 calls them modalities."""
    key = "modality" if "modality" in results.dataset else "channel_names"
    key = "channel_names" if "channel_names" in results.dataset else key
    named = results.data.part(key)
    if not named.values:
        raise results.data.error(key, "one name per channel")
    return channel_names(dict(results.dataset))


def mirror_axes(results: Results) -> tuple[int, ...] | None:
    """The network's axes along which its training mirrored; None where it did not.

    Raises:
        ModelFileError: something else than axes.
    """
    axes = results.checkpoint.get("inference_allowed_mirroring_axes")
    if axes is None:
        return None
    dims = len(_patch(results))
    if not isinstance(axes, list | tuple) or not all(is_whole(a) and 0 <= a < dims for a in axes):
        raise ModelFileError(
            f"{results.file}: its inference_allowed_mirroring_axes are {axes!r:.60}; expected axes from 0 to "
            f"{dims - 1}, or None; copy the checkpoint again"
        )
    return tuple(sorted(set(axes)))


def _labels(results: Results) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Values and names of the classes, in the order of the network's output."""
    place, declared = results.data.path, results.data.part("labels")
    regions = results.data.get("regions_class_order", lambda v: isinstance(v, list), "a list of labels", [])
    if regions or any(isinstance(value, list) and len(value) > 1 for value in declared.values.values()):
        raise ModelFileError(
            f"{place}: its classes are overlapping regions (regions_class_order, or labels of several "
            "values), which is not supported; expected one class per voxel; train with plain labels"
        )
    if "ignore" in declared.values:
        raise ModelFileError(
            f"{place}: has an ignore label, which is not supported; train with every voxel labelled"
        )
    pairs = sorted((_label(declared, name), name) for name in declared.values)
    values = tuple(value for value, _ in pairs)
    if values != tuple(range(len(values))) or len(values) < 2:
        raise results.data.error("labels", "the values 0, 1, 2 and so on, each once, 0 for background")
    return values, tuple(name for _, name in pairs)


def _label(declared: Part, name: str) -> int:
    value = declared.values[name]
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, str) and value.isdecimal() and len(value) < 9:
        value = int(value)  # as nnU-Net takes them
    if not is_whole(value) or value < 0:
        raise declared.error(name, "a whole number, 0 or above")
    return int(value)


def _plan(
    results: Results, values: tuple[int, ...], names: tuple[str, ...], spec: NetworkSpec, notes: list[str]
) -> Plan:
    chosen, said = results.chosen, results.said
    patch, reader = _patch(results), said.text("image_reader_writer")
    dims = len(patch)
    spacing = chosen.list("spacing", lambda v: is_number(v) and v > 0, "numbers above 0", (dims,))
    schemes, windows = _intensities(results, spec.example_shape[1])
    notes += _resamplings(chosen)
    preprocessor = chosen.text("preprocessor_name", "DefaultPreprocessor")
    if preprocessor != "DefaultPreprocessor":
        notes.append(f"its preprocessor {preprocessor} is not known: taken as the default one")
    notes.append(
        f"prepared as nnU-Net does: {results.name}, spacing {size_text(spacing)}, patch "
        f"{size_text(patch)} along the axes of nnU-Net ({reader}), {', '.join(dict.fromkeys(schemes))}"
    )
    deeper = tuple(step for step in levels(spec.arguments["strides"], dims) if max(step) > 1)
    try:
        return Plan(
            spatial_dims=cast(Any, dims),
            in_channels=spec.example_shape[1],
            label_values=values,
            label_names=names,
            orientation=None if dims == 2 else _READERS.get(reader),
            spacing=tuple(float(size) for size in spacing),
            crop="nonzero",
            patch_size=patch,
            normalization=schemes if len(set(schemes)) > 1 else schemes[0],
            ct=windows if any(windows) else None,
            strides=deeper or ((1,) * dims,),
            axes=_axes(said, dims),
            convention="nnunet",
        )
    except ValidationError as error:
        text = error.errors()[0]["msg"]
        raise ModelFileError(f"{said.path}: configurations.{results.name} cannot be used: {text}") from None


def _resamplings(chosen: Part) -> list[str]:
    """What of its resampling is not nnU-Net's default, which is what is done here."""
    notes = []
    for key, what, order, spline in (
        ("resampling_fn_data", "images were", 3, "a cubic spline"),
        ("resampling_fn_probabilities", "scores are", 1, "a linear spline"),
    ):
        name = chosen.text(key, _RESAMPLING)
        options = chosen.part(f"{key}_kwargs", {}).values
        if name != _RESAMPLING:
            notes.append(f"its {what} resampled by {name}; here by {spline}")
            continue
        usual = {**_RESAMPLING_OPTIONS, "order": order}
        stated = {**_UNSTATED, **options} if options else usual
        odd = [f"{each} {value!r:.60}" for each, value in stated.items() if _differs(value, each, usual)]
        if odd:
            notes.append(
                f"its {what} resampled with {', '.join(odd)}; here by {spline}, between slices more than "
                f"{THICK} times as thick as pixels by the nearest one: masks may differ"
            )
    return notes


def _differs(value: Any, option: str, usual: Mapping[str, Any]) -> bool:
    """Whether an option is unknown or not the usual one; 0 is not taken for false."""
    expected = usual.get(option, ...)
    return isinstance(value, bool) != isinstance(expected, bool) or value != expected


def _axes(said: Part, dims: int) -> tuple[int, ...]:
    """Network axis -> axis of an XYZ volume (nnU-Net starts from ZYX), or of a (row, column) picture."""
    order = said.get(
        "transpose_forward",
        lambda v: isinstance(v, list) and all(map(is_whole, v)) and sorted(v) == [0, 1, 2],
        "0, 1 and 2 in some order",
        [0, 1, 2],
    )
    if dims == 3:
        return tuple(2 - axis for axis in order)
    if order[0] != 0:
        raise ModelFileError(f"{said.path}: transpose_forward {order} mixes slices and pictures")
    return tuple(axis - 1 for axis in order[1:])


def _intensities(
    results: Results, channels: int
) -> tuple[tuple[Normalization, ...], tuple[Intensity | None, ...]]:
    """One normalisation per channel, and the windows of those that have one."""
    chosen, said = results.chosen, results.said
    new, old = "foreground_intensity_properties_per_channel", "foreground_intensity_properties_by_modality"
    properties = said.part(old if new not in said.values and old in said.values else new, {})
    named = chosen.list("normalization_schemes", is_text, "texts, one per channel", (channels,))
    masks = chosen.list(
        "use_mask_for_norm", lambda v: isinstance(v, bool), "true or false, one per channel", (channels,),
        default=[False] * channels,
    )  # fmt: skip
    schemes: list[Normalization] = []
    windows: list[Intensity | None] = []
    for channel, (name, mask) in enumerate(zip(named, masks, strict=True)):
        if name not in _SCHEMES:
            raise ModelFileError(
                f"{chosen.path}: channel {channel} is normalised by {name}; expected one of "
                f"{', '.join(_SCHEMES)}"
            )
        schemes.append("mean-std-mask" if _SCHEMES[name] == "mean-std" and mask else _SCHEMES[name])
        windows.append(_window(name, properties, channel))
    return tuple(schemes), tuple(windows)


def _window(name: str, properties: Part, channel: int) -> Intensity | None:
    if name == "NoNormalization":
        return Intensity(low=-UNCLIPPED, high=UNCLIPPED, mean=0, std=1)
    if name == "RGBTo01Normalization":
        return Intensity(low=-UNCLIPPED, high=UNCLIPPED, mean=0, std=255)
    if name != "CTNormalization":
        return None
    facts = properties.part(str(channel))
    keys = {"low": "percentile_00_5", "high": "percentile_99_5", "mean": "mean", "std": "std"}
    return Intensity(**{ours: facts.number(theirs) for ours, theirs in keys.items()})
