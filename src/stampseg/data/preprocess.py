"""A case as the network sees it, in numpy alone: the same numbers in training and without PyTorch.

The planned axes by flips and permutations -> crop -> intensities -> working spacing. What was done is
kept in a `Geometry`, so that a `Restorer` undoes every flip exactly; nothing is derived twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DataError
from ..core.text import size_text
from .boxes import Box, as_slices, nonzero_box
from .intensities import normalise
from .io.limits import VARIABLE, most_values
from .io.placing import on_grid_of
from .io.volume import Header, Volume
from .labels.label_table import to_classes
from .plan import Plan
from .resampling import resample
from .spline import resample_spline, thick_axis

ROUNDING = 1e-4
SPACING_TOLERANCE = 0.01  # a voxel size this close to the planned one is not resampled, by our convention

Orientation = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Geometry:
    """What `prepare` did to the grid, in the order it was done.

    Attributes:
        source_shape: spatial shape in the file's own axis order.
        orientation: for each source axis, the axis it became and 1, or -1 when it was flipped.
        box: (start, stop) of the crop per oriented axis, in oriented voxels.
        prepared_shape: spatial shape after resampling, as the network sees it.
        low_pass: whether scores are averaged where they shrink; if not, they are taken as they are,
            between thick slices from the nearest one.
        slices: the axis across thick slices, or None.
    """

    source_shape: tuple[int, ...]
    orientation: Orientation
    box: Box
    prepared_shape: tuple[int, ...]
    low_pass: bool = True
    slices: int | None = None

    @property
    def oriented_shape(self) -> tuple[int, ...]:
        """Spatial shape after flips and permutations, before the crop."""
        target = [axis for axis, _ in self.orientation]
        return tuple(self.source_shape[target.index(axis)] for axis in range(len(target)))

    @property
    def box_shape(self) -> tuple[int, ...]:
        """Spatial shape of the crop, before resampling."""
        return tuple(stop - start for start, stop in self.box)

    @classmethod
    def working(cls, shape: Sequence[int]) -> Geometry:
        """Of a case that is left as it is, to compare on the grid that the network works on."""
        size = tuple(int(n) for n in shape)
        return cls(size, _identity(len(size)), tuple((0, n) for n in size), size)


@dataclass(frozen=True, eq=False)
class Prepared:
    """One case ready for the network.

    Attributes:
        image: (C, *S) float32, normalised.
        label: (1, *S) class indices, `plan.unknown_class` where voxels are left out; or None.
        geometry: the way back to the source grid.
    """

    image: np.ndarray
    label: np.ndarray | None
    geometry: Geometry


def prepare(volume: Volume, plan: Plan, label: Volume | None = None) -> Prepared:
    """Bring a case into the planned orientation, crop, intensities and spacing.

    Args:
        volume: image (C, *S) from `read_image(paths, channels=plan.in_channels)`.
        plan: what to bring it to.
        label: the file's own label values (*S) on the same grid, or None.

    Raises:
        DataError: dimensions or channels differ from the plan, or the label lies on another
            grid or holds unknown values.
    """
    check_fit(volume, plan)
    orientation = find_orientation(volume.header, plan)
    image = orient(volume.array, orientation)
    box = nonzero_box(image) if plan.crop == "nonzero" else tuple((0, n) for n in image.shape[1:])
    spacing = oriented_spacing(volume.header.spacing, orientation)
    # nnU-Net resamples whatever is not of the planned size to the voxel.
    tolerance = 0.0 if plan.convention == "nnunet" else SPACING_TOLERANCE
    shape = working_shape([stop - start for start, stop in box], spacing, plan.spacing, tolerance)
    _check_room(volume.header, shape, spacing, plan)
    # Normalised before it is resampled, so that one wild voxel is limited and not smeared.
    image = normalise(image[(slice(None), *as_slices(box))], plan)
    classes = None
    if label is not None:
        label = on_grid_of(label, volume.header)
        indices = to_classes(
            orient(label.array, orientation), plan.label_values, label.header.path, plan.ignored_value,
            plan.relabel,
        )  # fmt: skip
        inside = np.ascontiguousarray(indices[as_slices(box)])
        classes = resample_classes(inside, shape, plan.unknown_class)[None]
    return Prepared(
        image=_resample_image(image, shape, spacing, plan),
        label=classes,
        geometry=Geometry(
            tuple(volume.array.shape[1:]),
            orientation,
            box,
            shape,
            low_pass=plan.convention != "nnunet",
            slices=thick_axis(plan.spacing, spacing) if plan.convention == "nnunet" else None,
        ),
    )


def find_orientation(header: Header, plan: Plan | None = None) -> Orientation:
    """Flips and permutation from the file's axes to the plan's; to the closest RAS axes without a plan."""
    code = "RAS" if plan is None else plan.orientation
    if header.affine is None or code in (None, "file"):
        orientation = _identity(len(header.shape))
    else:
        from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

        to_ras = io_orientation(header.affine)
        turned = ornt_transform(to_ras, axcodes2ornt(tuple(str(code))))
        orientation = tuple((int(axis), int(flip)) for axis, flip in turned)
    if plan is None or plan.axes is None:
        return orientation
    return tuple((plan.axes.index(axis), flip) for axis, flip in orientation)


def orient(array: np.ndarray, orientation: Orientation) -> np.ndarray:
    """(C, *S) or (*S) with the spatial axes flipped and permuted: a view, what is written there is kept."""
    before = array.ndim - len(orientation)
    whole: tuple[slice, ...] = (slice(None),) * before
    flips = tuple(slice(None, None, flip) for _, flip in orientation)
    source = [before + [axis for axis, _ in orientation].index(axis) for axis in range(len(orientation))]
    return array[(*whole, *flips)].transpose(*range(before), *source)


def oriented_spacing(spacing: Sequence[float], orientation: Orientation) -> tuple[float, ...]:
    """Voxel size along the oriented axes, in the unit given."""
    target = [axis for axis, _ in orientation]
    return tuple(float(spacing[target.index(axis)]) for axis in range(len(target)))


def check_fit(volume: Volume, plan: Plan) -> None:
    """Check that an image has the plan's dimensions and channels.

    Raises:
        DataError: a picture for a plan for volumes or the other way round, or other channels.
    """
    header, channels = volume.header, volume.array.shape[0]
    if len(header.shape) != plan.spatial_dims:
        lone = len(header.shape) == 3 and header.shape[2] == 1
        raise DataError(
            f"{header.path}: {len(header.shape)} spatial axes {header.shape}, expected {plan.spatial_dims}; "
            + ("a slice that lies in space counts as a volume; save it as a picture, or " if lone else "")
            + "use volumes with a model for volumes and pictures with a model for pictures"
        )
    if channels != plan.in_channels:
        raise DataError(
            f"{header.path}: {channels} channels, expected {plan.in_channels}; "
            "give the channels the model was trained with, in the same order"
        )


def _check_room(header: Header, shape: Sequence[int], spacing: Sequence[float], plan: Plan) -> None:
    """Refuse what a wrong voxel size would blow up beyond any memory."""
    if math.prod(shape) * plan.in_channels > most_values():
        raise DataError(
            f"{header.path}: voxels of {size_text(spacing, 3)} brought to the model's "
            f"{size_text(plan.spacing, 3)} make {size_text(shape)}, more than {most_values():,}; "
            f"correct the header's voxel size, or set {VARIABLE} higher if there is memory for it"
        )


def working_shape(
    shape: Sequence[int],
    spacing: Sequence[float],
    target: Sequence[float],
    tolerance: float = SPACING_TOLERANCE,
) -> tuple[int, ...]:
    """Spatial shape at the target spacing; an axis within `tolerance` of it keeps its size."""
    factors = [size / wanted for size, wanted in zip(spacing, target, strict=True)]
    return tuple(
        int(n) if abs(factor - 1) <= tolerance else max(1, round(n * factor))
        for n, factor in zip(shape, factors, strict=True)
    )


def resample_classes(classes: np.ndarray, shape: Sequence[int], unknown: int | None = None) -> np.ndarray:
    """Class indices (*S) -> (*shape) of their type: the class that fills most of each new voxel.

    Voxels of the class `unknown` do not count, or a thin scribble would be lost on a coarser grid: the new
    voxel is unknown where known ones fill less than half an old voxel of it.
    """
    if classes.shape == tuple(shape):
        return classes
    best = np.zeros(tuple(shape), dtype=classes.dtype)
    share = np.full(tuple(shape), -1.0, dtype=np.float32)
    for value in np.flatnonzero(np.bincount(classes.ravel())):
        if value == unknown:
            continue
        filled = resample((classes == value)[None], shape)[0]
        ahead = filled > share
        np.copyto(share, filled, where=ahead)
        np.copyto(best, classes.dtype.type(value), where=ahead)
    if unknown is not None and (classes == unknown).any():
        one_voxel = math.prod(min(1.0, new / old) for old, new in zip(classes.shape, shape, strict=True))
        known = resample((classes != unknown)[None], shape)[0]
        best[known < (0.5 - ROUNDING) * one_voxel] = unknown
    return best


def _resample_image(
    image: np.ndarray, shape: tuple[int, ...], spacing: Sequence[float], plan: Plan
) -> np.ndarray:
    if plan.convention == "nnunet":
        return resample_spline(image, shape, thick_axis(spacing, plan.spacing))
    return resample(image, shape)


def _identity(dims: int) -> Orientation:
    return tuple((axis, 1) for axis in range(dims))
