"""What the preprocessing of a MONAI bundle means for our plan; what it cannot say is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...data.intensities import UNCLIPPED
from ...data.plan import Intensity
from .bundle_config import BundleConfig, Unsaid

_SILENT = (  # they change how an image is held, not its values or grid
    "LoadImaged", "EnsureChannelFirstd", "AddChanneld", "AsChannelFirstd", "EnsureTyped", "ToTensord",
    "CastToTyped", "ToDeviced", "SelectItemsd", "CopyItemsd", "DeleteItemsd",
)  # fmt: skip
_LABELS = ("label", "labels", "mask", "masks", "seg", "pred")  # keys of what is no image
_CODES = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "S": "SI", "I": "SI"}


@dataclass
class Preparation:
    """Changes to `DataOptions` and to the planned `Plan`, and what neither can say."""

    data: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_preprocessing(config: BundleConfig, steps: Sequence[Any], channels: int) -> Preparation:
    """Read a list of MONAI transforms, in their order; those of labels alone are passed over."""
    preparation = Preparation(data={"crop": "none"}, overrides={"orientation": "file"})
    intensities: list[tuple[str, dict[str, Any]]] = []
    scaled = False
    for step in _steps_of_images(config, steps):
        name = _name(step)
        if name in _SILENT:
            continue
        try:
            values = config.resolve({k: v for k, v in step.items() if k[:1] != "_"})
            if name in _SCALES:
                intensities.append((name, _SCALES[name](values, channels)))
            else:
                _GRIDS[name](values, preparation, scaled)
        except Unsaid as unsaid:
            _leave_out(name, f": {str(unsaid)!r} is not run", preparation)
        except ValueError as error:
            _leave_out(name, f" ({error})", preparation)
        except (KeyError, TypeError, AttributeError, IndexError, ArithmeticError):
            _leave_out(name, "", preparation)
        scaled = scaled or "Intensity" in name
    if len(intensities) == 1:
        preparation.overrides.update(intensities[0][1])
    elif intensities:
        chain = " and ".join(name for name, _ in intensities)
        preparation.notes.append(f"{chain} of the bundle are not carried over: only one scaling can be")
    if "spacing" not in preparation.data and all(_name(step) != "Spacingd" for step in steps):
        preparation.notes.append("the bundle resamples nothing: the size of voxels is planned from the data")
    if all(_name(step) not in _SCALES for step in steps):
        preparation.notes.append("the bundle scales no values: how they are scaled is planned from the data")
    return preparation


def picture_axes(config: BundleConfig, steps: Sequence[Any]) -> tuple[int, int] | None:
    """Of a (row, column) picture for `Plan.axes`: MONAI has columns first unless told not to."""
    for step in _steps_of_images(config, steps):
        if _name(step) in ("LoadImaged", "LoadImage") and isinstance(step, Mapping):
            return (1, 0) if _columns_first(config, step) else None
    return (1, 0)


def _columns_first(config: BundleConfig, step: Mapping[str, Any]) -> bool:
    reader = _said(config, step.get("reader"))
    readers = reader if isinstance(reader, list) else [reader]
    told = [
        _said(config, part.get("reverse_indexing")) for part in (step, *readers) if isinstance(part, Mapping)
    ]
    if "WSIReader" in str(reader):
        return False
    # ITK's images are the other way round than those of PIL, and so is its reader's option.
    return True not in told if "ITKReader" in str(reader) else False not in told


def _said(config: BundleConfig, value: Any) -> Any:
    """The value; None where only running code would tell it."""
    try:
        return config.resolve(value)
    except Unsaid:
        return None


def _steps_of_images(config: BundleConfig, steps: Sequence[Any]) -> list[Any]:
    """The steps that are not switched off, without those whose keys are of no image."""
    active = [step for step in steps if not (isinstance(step, Mapping) and step.get("_disabled_") is True)]
    keys = [_keys(config, step) for step in active]
    images = _image_keys(config, active, keys)
    return [step for step, own in zip(active, keys, strict=True) if not own or images & set(own)]


def _keys(config: BundleConfig, step: Any) -> list[str]:
    """What a step is applied to; nothing where it does not say, or only code would tell."""
    found = _said(config, step.get("keys")) if isinstance(step, Mapping) else None
    return [key for key in (found if isinstance(found, list) else [found]) if isinstance(key, str)]


def _image_keys(config: BundleConfig, steps: Sequence[Any], keys: Sequence[list[str]]) -> set[str]:
    """`image`, or what stands in its place: the first key that is no label's, or channels that are joined."""
    joined: set[str] = set()
    for step, own in zip(steps, keys, strict=True):
        if _name(step) == "ConcatItemsd":
            joined |= {*own, str(_said(config, step.get("name")))}
    named = [key for own in keys for key in own if key not in _LABELS]
    return joined | {"image" if "image" in named or not named else named[0]}


def _leave_out(name: str, why: str, preparation: Preparation) -> None:
    preparation.notes.append(f"{name} of the bundle is not carried over{why}")
    if name == "Orientationd":  # the file's own axes would be wrong for sure
        preparation.overrides.pop("orientation", None)


def _name(step: Any) -> str:
    """The transform's name with the ending d, which MONAI also writes D and Dict."""
    if not isinstance(step, Mapping):
        return str(step)
    name = str(step.get("_target_", "a step without _target_")).split(".")[-1]
    for ending in ("Dict", "D"):
        if name.endswith(ending):
            return name.removesuffix(ending) + "d"
    return name


def _orientation(values: Mapping[str, Any], preparation: Preparation, _scaled: bool) -> None:
    codes = values["axcodes"]
    if sorted(_CODES[letter] for letter in codes) != ["AP", "RL", "SI"]:
        raise ValueError(f"axcodes {codes}")
    preparation.overrides["orientation"] = codes


def _spacing(values: Mapping[str, Any], preparation: Preparation, _scaled: bool) -> None:
    sizes = tuple(float(size) for size in values["pixdim"])
    if min(sizes) <= 0:
        raise ValueError(f"pixdim {list(sizes)} keeps the voxel size of the file along an axis")
    preparation.data["spacing"] = sizes


def _crop(values: Mapping[str, Any], preparation: Preparation, scaled: bool) -> None:
    if scaled:
        raise ValueError("it crops by scaled values, ours by those of the file")
    preparation.data["crop"] = "nonzero"
    preparation.notes.append("CropForegroundd keeps what is above 0, ours what is not 0")
    if values.get("margin"):
        preparation.notes.append(f"the margin {values['margin']} of CropForegroundd is not carried over")


def _range(values: Mapping[str, Any], channels: int) -> dict[str, Any]:
    low, high = float(values["a_min"]), float(values["a_max"])
    if values.get("b_min") is None or values.get("b_max") is None:
        to_low, to_high = 0.0, 1.0
    else:
        to_low, to_high = float(values["b_min"]), float(values["b_max"])
    if low == high or to_low == to_high:
        raise ValueError("a range of one value")
    std = (high - low) / (to_high - to_low)
    clip = values.get("clip") is True
    if clip and to_high < to_low:  # MONAI clips to a range of which the end is below the start: all is one
        raise ValueError("a range that is turned and clipped")
    limits = (min(low, high), max(low, high)) if clip else (-UNCLIPPED, UNCLIPPED)
    window = Intensity(low=limits[0], high=limits[1], mean=low - to_low * std, std=std)
    return {"normalization": "ct", "ct": (window,) * channels}


def _normalise(values: Mapping[str, Any], channels: int) -> dict[str, Any]:
    nonzero, by_channel = values.get("nonzero") is True, values.get("channel_wise") is True or channels == 1
    if values.get("subtrahend") is not None or values.get("divisor") is not None:
        if nonzero:
            raise ValueError("fixed values and nonzero together")
        mean, std = (_each(values.get(name), channels) for name in ("subtrahend", "divisor"))
        windows = tuple(
            Intensity(low=-UNCLIPPED, high=UNCLIPPED, mean=m, std=s or 1.0)  # MONAI takes 0 for 1
            for m, s in zip(mean, std, strict=True)
        )
        return {"normalization": "ct", "ct": windows}
    if not by_channel:
        raise ValueError("one mean over all channels")
    return {"normalization": "mean-std-nonzero" if nonzero else "mean-std", "ct": None}


def _each(value: Any, channels: int) -> list[float]:
    values = value if isinstance(value, list) else [value] * channels
    if len(values) != channels:
        raise ValueError(f"{len(values)} values for {channels} channels")
    return [float(v) for v in values]


def _rescale(values: Mapping[str, Any], channels: int) -> dict[str, Any]:
    if (values.get("minv", 0), values.get("maxv", 1)) != (0, 1) or values.get("factor") is not None:
        raise ValueError("a range other than 0 to 1")
    if channels > 1 and values.get("channel_wise") is not True:
        raise ValueError("one range over all channels")
    return {"normalization": "min-max", "ct": None}


_GRIDS: Mapping[str, Callable[[Mapping[str, Any], Preparation, bool], None]] = {
    "Orientationd": _orientation, "Spacingd": _spacing, "CropForegroundd": _crop,
}  # fmt: skip
_SCALES: Mapping[str, Callable[[Mapping[str, Any], int], dict[str, Any]]] = {
    "ScaleIntensityRanged": _range, "NormalizeIntensityd": _normalise, "ScaleIntensityd": _rescale,
}  # fmt: skip
