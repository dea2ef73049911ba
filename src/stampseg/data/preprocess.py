"""A case as the network sees it, and the way back to the case's own grid.

prepare: the planned axes by flips and permutations -> crop -> intensities -> working spacing.
restore: class scores -> size before resampling -> class of the highest score -> pasted into the
uncropped grid -> the source's own axes. What was done is kept in a `Geometry`, so every flip is
undone exactly; nothing is derived twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from torch.nn.functional import interpolate

from ..errors import DataError
from .intensities import normalise
from .labels import to_classes
from .plan import Plan
from .spline import resample_spline, thick_axis
from .volume import Header, Volume, check_pair

SPACING_TOLERANCE = 0.01  # a voxel size this close to the planned one is not resampled

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
    box: tuple[tuple[int, int], ...]
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


@dataclass(frozen=True)
class Prepared:
    """One case ready for the network.

    Attributes:
        image: (C, *S) float32, normalised.
        label: (1, *S) uint8 class indices, or None.
        geometry: the way back to the source grid.
    """

    image: torch.Tensor
    label: torch.Tensor | None
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
    shape = working_shape([stop - start for start, stop in box], spacing, plan.spacing)
    # Normalised before it is resampled, so that one wild voxel is limited and not smeared.
    image = normalise(image[(slice(None), *_slices(box))], plan)
    classes = None
    if label is not None:
        check_pair(volume.header, label.header)
        found = to_classes(orient(label.array, orientation), plan.label_values, label.header.path)
        classes = resample_classes(torch.from_numpy(np.ascontiguousarray(found[_slices(box)])), shape)[None]
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


def restore(scores: torch.Tensor, geometry: Geometry) -> np.ndarray:
    """Class scores (K, *prepared_shape) -> class index (*source_shape) uint8 on the source grid.

    Voxels outside the crop become background. One class at a time, so that memory stays at
    a few volumes however many classes there are.

    Raises:
        ValueError: `scores` has another shape than the prepared image.
    """
    if tuple(scores.shape[1:]) != geometry.prepared_shape:
        raise ValueError(
            f"scores have spatial shape {tuple(scores.shape[1:])}, the prepared image had "
            f"{geometry.prepared_shape}; give the scores of that image, (classes, *spatial)"
        )
    inside = _highest(scores, geometry)
    whole = np.zeros(geometry.oriented_shape, dtype=np.uint8)
    whole[_slices(geometry.box)] = inside.cpu().numpy()
    source = ornt_transform(_identity(whole.ndim), np.asarray(geometry.orientation))
    return np.ascontiguousarray(apply_orientation(whole, source))


def find_orientation(header: Header, plan: Plan | None = None) -> Orientation:
    """Flips and permutation from the file's axes to the plan's; to the closest RAS axes without a plan."""
    code = "RAS" if plan is None else plan.orientation
    if header.affine is None or code in (None, "file"):
        orientation = _identity(len(header.shape))
    else:
        to_ras = io_orientation(header.affine)
        turned = ornt_transform(to_ras, axcodes2ornt(tuple(str(code))))
        orientation = tuple((int(axis), int(flip)) for axis, flip in turned)
    if plan is None or plan.axes is None:
        return orientation
    return tuple((plan.axes.index(axis), flip) for axis, flip in orientation)


def orient(array: np.ndarray, orientation: Orientation) -> np.ndarray:
    """(C, *S) or (*S) with the spatial axes flipped and permuted; a view where possible."""
    if array.ndim == len(orientation):
        return apply_orientation(array, np.asarray(orientation))
    turned = apply_orientation(np.moveaxis(array, 0, -1), np.asarray(orientation))
    return np.moveaxis(turned, -1, 0)


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
        raise DataError(
            f"{header.path}: {len(header.shape)} spatial axes {header.shape}, expected {plan.spatial_dims}; "
            "use volumes with a model for volumes and pictures with a model for pictures"
        )
    if channels != plan.in_channels:
        raise DataError(
            f"{header.path}: {channels} channels, expected {plan.in_channels}; "
            "give the channels the model was trained with, in the same order"
        )


def nonzero_box(image: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(start, stop) per axis of the voxels (C, *S) that are not 0; the whole image if all are."""
    filled = (image != 0).any(axis=0)
    box = []
    for axis in range(filled.ndim):
        others = tuple(a for a in range(filled.ndim) if a != axis)
        where = np.flatnonzero(filled.any(axis=others))
        box.append((int(where[0]), int(where[-1]) + 1) if where.size else (0, filled.shape[axis]))
    return tuple(box)


def working_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Spatial shape at the target spacing; an axis within 1% of it keeps its size."""
    factors = [own / wanted for own, wanted in zip(spacing, target, strict=True)]
    return tuple(
        int(n) if abs(factor - 1) <= SPACING_TOLERANCE else max(1, round(n * factor))
        for n, factor in zip(shape, factors, strict=True)
    )


def resample(image: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """(C, *S) -> (C, *shape), linear, edges of the field of view aligned, averaged where it shrinks.

    One axis after the other: linear interpolation separates, and torch low-passes only in 2D.
    """
    image = image.float()
    for axis, size in enumerate(shape, start=1):
        if image.shape[axis] == size:
            continue
        last = image.movedim(axis, -1)
        rows = last.reshape(1, 1, -1, last.shape[-1])
        rows = interpolate(rows, size=(rows.shape[2], size), mode="bilinear", antialias=True)
        image = rows.reshape(*last.shape[:-1], size).movedim(-1, axis)
    return image.contiguous()


def resample_classes(classes: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Class indices (*S) uint8 -> (*shape) uint8: the class that fills most of each new voxel."""
    if tuple(classes.shape) == tuple(shape):
        return classes
    best = torch.zeros(tuple(shape), dtype=torch.uint8)
    share = torch.full(tuple(shape), -1.0)
    for value in torch.unique(classes).tolist():
        own = resample((classes == value).float()[None], shape)[0]
        ahead = own > share
        share[ahead], best[ahead] = own[ahead], value
    return best


def _highest(scores: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Class (*box_shape) uint8 with the highest interpolated score; the first one wins a tie."""
    top = _resample_scores(scores[:1], geometry)[0]
    best = torch.zeros(geometry.box_shape, dtype=torch.uint8, device=scores.device)
    for value in range(1, scores.shape[0]):
        own = _resample_scores(scores[value : value + 1], geometry)[0]
        best[own > top] = value
        top = torch.maximum(top, own)
    return best


def _resample_scores(scores: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    if geometry.low_pass:
        return resample(scores, geometry.box_shape)
    smooth = resample_spline(scores.float().cpu().numpy(), geometry.box_shape, geometry.slices, order=1)
    return torch.from_numpy(smooth).to(scores.device)


def _resample_image(
    image: np.ndarray, shape: tuple[int, ...], spacing: Sequence[float], plan: Plan
) -> torch.Tensor:
    if plan.convention == "nnunet":
        return torch.from_numpy(resample_spline(image, shape, thick_axis(spacing, plan.spacing)))
    return resample(torch.from_numpy(image), shape)


def _identity(dims: int) -> Orientation:
    return tuple((axis, 1) for axis in range(dims))


def _slices(box: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)
