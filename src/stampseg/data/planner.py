"""From the fingerprint of the training cases to the plan: spacing, crop, intensities, patch, depth.

Every decision leaves one line in `Plan.notes`; every option in `DataOptions` overrules its decision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..core.data_options import DataOptions
from ..core.errors import ConfigError, DataError
from ..core.text import range_text, size_text
from .fingerprint import Fingerprint
from .grid import factors
from .labels.label_table import LabelTable
from .labels.regions import ValueRegion, regions_of_classes
from .labels.shapes import LabelShape, one_piece_classes
from .modality import is_of_ct
from .plan import INTENSITIES, PIECES, Crop, Intensity, Normalization, Plan, Strides
from .preprocess import SPACING_TOLERANCE, working_shape

PATCH_BUDGET = {2: 112_000, 3: 64**3}  # pixels or voxels of one training window
ANISOTROPIC = 3.0  # an axis this much coarser than the finest one is a slice axis
SLICE_PERCENTILE = 10  # along a slice axis the thinner slices set the spacing
LEAST_CEILING = 0.95  # Dice that the working grid of pictures must allow every class
COARSEST_RADIUS = 8.0  # working voxels the thickest part of every object keeps as its radius
CROP_BELOW = 0.75  # share of the image inside its non-zero box below which the rest is cut away
LOST_BY_CROP = 0.001  # of the labelled voxels, that a crop may cut away
ROOM = 1.1  # where sizes vary, the patch is this much larger, for larger cases to come
MOST_POOLINGS = 4
SMALLEST_MAP = 5  # voxels of the deepest level along a pooled axis
SMALLEST_FORCED_MAP = 2  # the same when the depth is given: normalisation needs more than one value


def make_plan(
    fingerprint: Fingerprint,
    table: LabelTable,
    data: DataOptions,
    poolings: int | None,
    fixed: Strides | None = None,
    regions: Sequence[ValueRegion] = (),
) -> Plan:
    """Plan the preprocessing and the depth of the network.

    Args:
        fingerprint: of the training cases.
        table: classes and their values in the files.
        data: what the user fixed; None there is planned.
        poolings: levels below the first, or None.
        fixed: the poolings of a network that does not take them from the plan, or None.
        regions: structures of several label values; of such, a mask keeps all pieces.

    Raises:
        ConfigError: an option that does not fit the data, such as a patch with two axes for volumes,
            or images far too small for the fixed poolings.
        DataError: the images are too small for any pooling.
    """
    notes = list(fingerprint.warnings)
    if data.spacing is not None and len(data.spacing) == 1:
        data = data.model_copy(update={"spacing": data.spacing * fingerprint.spatial_dims})
    _check_options(fingerprint, data)
    crop = _plan_crop(fingerprint, data, notes)
    sources = fingerprint.cropped_shapes if crop == "nonzero" else fingerprint.shapes
    spacing = _plan_spacing(fingerprint, sources, data, notes)
    shapes = np.array(
        [working_shape(s, v, spacing) for s, v in zip(sources, fingerprint.spacings, strict=True)]
    )
    if data.spacing is not None and shapes.max() < 2 * SMALLEST_FORCED_MAP - 1:
        raise ConfigError(
            f"`data.spacing` {size_text(data.spacing)} leaves images of {size_text(shapes.max(axis=0))} "
            "voxels; choose a finer grid"
        )
    patch, strides = _plan_patch(shapes, spacing, data.patch_size, poolings, fixed, notes)
    normalization, windows = _plan_intensities(fingerprint, data, notes)
    volumes = fingerprint.spatial_dims == 3
    return _checked(
        spatial_dims=fingerprint.spatial_dims,
        in_channels=fingerprint.in_channels,
        label_values=table.values,
        label_names=table.names,
        ignored_value=table.ignored,
        relabel=table.relabel,
        scans=fingerprint.scans,
        one_piece=() if regions else plan_pieces(fingerprint.label_shapes, table.names, data, notes),
        regions=regions_of_classes(regions, table.values),
        orientation="RAS" if volumes else None,
        spacing=spacing,
        crop=crop,
        patch_size=patch,
        normalization=normalization,
        ct=windows,
        strides=strides,
        notes=tuple(notes),
    )


def plan_pieces(
    shapes: Sequence[LabelShape | None], names: Sequence[str], data: DataOptions, notes: list[str]
) -> tuple[int, ...]:
    """Classes of which masks keep one piece, by the shape of each; the plan's notes get a line of them."""
    if data.pieces == "all":
        return ()
    found = one_piece_classes(shapes)
    if found:
        listed = ", ".join(names[value] for value in found)
        notes.append(
            f"{PIECES} {listed}: one piece in every label; masks keep the surest, and any that rivals it"
        )
    return found


def _checked(**values: Any) -> Plan:
    try:
        return Plan(**values)
    except ValidationError as error:
        found = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"no plan can be made: {found}; choose another data.patch_size or data.spacing, or correct the "
            "voxel sizes of the images"
        ) from None


def plan_strides(size: Sequence[int], spacing: Sequence[float], poolings: int | None = None) -> Strides:
    """Pooling per level and axis for a window of `size` voxels of `spacing`.

    An axis is pooled while it keeps 5 voxels at the bottom and its voxels are at most twice as
    large as the finest ones of that level, so that thick slices wait until the pixels have grown
    to them; at most 4 levels, each of half the axes or more. A given number of poolings is
    reached while 2 voxels are left.

    Raises:
        ConfigError: the window is too small for the poolings asked for.
        DataError: the window is too small for one pooling.
    """
    total, strides = [1] * len(size), []
    smallest = SMALLEST_MAP if poolings is None else SMALLEST_FORCED_MAP
    for level in range(poolings or MOST_POOLINGS):
        able = _poolable(size, total, smallest)
        if not able and level == 0:
            able = _poolable(size, total, SMALLEST_FORCED_MAP)
        # A level doubles the channels, too much for a shorter stack of slices alone.
        if not able or (poolings is None and level > 0 and 2 * len(able) < len(size)):
            break
        current = [value * factor for value, factor in zip(spacing, total, strict=True)]
        finest = min(current[axis] for axis in able)
        step = tuple(2 if axis in able and value <= 2 * finest else 1 for axis, value in enumerate(current))
        if poolings is None and level and 2 * step.count(2) < len(size):
            break  # a level for one axis of a volume alone is not worth its layers
        total = [factor * own for factor, own in zip(total, step, strict=True)]
        strides.append(step)
    if not strides:
        raise DataError(
            f"images of {size_text(size)} voxels are too small for a U-Net; "
            "expected at least 3 voxels along one axis; use larger images"
        )
    if poolings is not None and len(strides) < poolings:
        raise ConfigError(
            f"network.poolings: found {poolings}, but a patch of {size_text(size)} carries at most "
            f"{len(strides)}; lower it or raise data.patch_size"
        )
    return tuple(strides)


def total_stride(strides: Strides) -> tuple[int, ...]:
    """Product of the poolings per axis: a patch is a multiple of it."""
    return tuple(math.prod(axis) for axis in zip(*strides, strict=True))


def _poolable(size: Sequence[int], total: Sequence[int], smallest: int) -> list[int]:
    return [axis for axis, n in enumerate(size) if -(-n // (2 * total[axis])) >= smallest]


def _check_options(fingerprint: Fingerprint, data: DataOptions) -> None:
    dims = fingerprint.spatial_dims
    for name, values in (("spacing", data.spacing), ("patch_size", data.patch_size)):
        if values is None:
            continue
        if len(values) != dims or min(values) <= 0:
            raise ConfigError(
                f"`data.{name}` {list(values)}: expected {dims} values above 0, one per axis of the "
                f"{'volumes (x, y, z)' if dims == 3 else 'pictures (rows, columns)'}"
            )
    if data.normalization == "ct" and not fingerprint.foreground:
        raise ConfigError(
            "data.normalization: found ct, but no training case has a labelled voxel to take the "
            "window from; use zscore"
        )


def _plan_crop(fingerprint: Fingerprint, data: DataOptions, notes: list[str]) -> Crop:
    shares = [
        math.prod(inner) / math.prod(outer)
        for inner, outer in zip(fingerprint.cropped_shapes, fingerprint.shapes, strict=True)
    ]
    share = float(np.median(shares))
    outside, labelled = sum(fingerprint.labelled_outside), sum(fingerprint.class_voxels[1:])
    lost = f"{outside:,} labelled voxel(s) outside of the non-zero box of their image"
    cut = f"; {lost} are cut away and can never be found" if outside else ""
    if data.crop is not None:
        cut = cut if data.crop == "nonzero" else ""
        notes.append(f"crop: {data.crop}, as given{cut}")
        return data.crop
    if fingerprint.spatial_dims == 2:
        # Their zeros are dark pixels, not the absence of data, and change from picture to picture.
        notes.append("crop: none, pictures are kept whole")
        return "none"
    if share < CROP_BELOW and outside > LOST_BY_CROP * labelled:
        notes.append(f"crop: none, as there are {lost}")
        return "none"
    if share < CROP_BELOW:
        notes.append(f"crop: to the non-zero box, {share:.0%} of the image in the median case{cut}")
        return "nonzero"
    notes.append(f"crop: none, {share:.0%} of the median image lies in its non-zero box")
    return "none"


def _plan_spacing(
    fingerprint: Fingerprint, shapes: Sequence[tuple[int, ...]], data: DataOptions, notes: list[str]
) -> tuple[float, ...]:
    unit = "mm" if fingerprint.spatial_dims == 3 else "pixels"
    if data.spacing is not None:
        notes.append(f"spacing: {size_text(data.spacing)} {unit}, as given")
        return tuple(float(value) for value in data.spacing)
    all_spacings = np.array(fingerprint.spacings, dtype=np.float64)
    spacing = np.median(all_spacings, axis=0)
    agree = bool((np.abs(all_spacings / spacing - 1) <= SPACING_TOLERANCE).all())
    why = "the same in all cases" if agree else "median of the cases"
    if not agree:
        finest = float(spacing.min())
        for axis in np.flatnonzero(spacing > ANISOTROPIC * finest):
            spacing[axis] = max(np.percentile(all_spacings[:, axis], SLICE_PERCENTILE), finest)
            why = f"median of the cases, {SLICE_PERCENTILE}th percentile between thick slices"
    fine = tuple(round(float(value), 6) for value in spacing)  # headers carry noise below that
    if data.grid == "native":
        coarse = fine
    elif fingerprint.spatial_dims == 2:
        coarse, why = _picture_grid(fingerprint, shapes, fine, why)
    else:
        coarse = _coarsen(fingerprint, shapes, fine)
        if coarse != fine:
            why = (
                f"coarser than the files' {size_text(fine)}, as the images and all labelled objects are large"
            )
    notes.append(f"spacing: {size_text(coarse)} {unit}, {why}")
    return coarse


def _picture_grid(
    fingerprint: Fingerprint, shapes: Sequence[tuple[int, ...]], spacing: tuple[float, ...], why: str
) -> tuple[tuple[float, ...], str]:
    """The coarser grid on which the whole picture fits the window, if no class loses its detail by it.

    A window that shows the whole structure with its surroundings is worth more than fine pixels, and is
    faster; thin structures, such as vessels, keep the grid of the files.
    """
    best, lost = 1, ""
    for factor, ceilings in zip(factors(shapes), fingerprint.grid_ceilings, strict=False):
        lowest = min((value for value in ceilings if value is not None), default=1.0)
        if lowest < LEAST_CEILING:
            lost = f"; on a coarser grid no Dice above {lowest:.3f} could be reached"
            break
        best = factor
        why = f"coarser, so that a window shows more of the picture; allows Dice up to {lowest:.3f}"
    return tuple(best * value for value in spacing), why + lost


def _coarsen(
    fingerprint: Fingerprint, shapes: Sequence[tuple[int, ...]], spacing: tuple[float, ...]
) -> tuple[float, ...]:
    """Double the fine axes while that brings the median image nearer to the patch budget.

    Thick slices stay as they are, and every object keeps a radius of 8 working voxels, or thin
    structures would be lost.
    """
    radii = [radius for radius in fingerprint.object_radius if radius is not None]
    if not radii:
        return spacing
    budget = PATCH_BUDGET[fingerprint.spatial_dims]
    while True:
        finest = min(spacing)
        fine = [value < 2 * finest for value in spacing]
        at_hand = [working_shape(s, v, spacing) for s, v in zip(shapes, fingerprint.spacings, strict=True)]
        size = math.prod(np.median(at_hand, axis=0).tolist())
        # Halfway on a log scale: below it the coarse image is farther from the budget than the fine one.
        if size <= budget * math.sqrt(2 ** sum(fine)) or min(radii) / (2 * finest) < COARSEST_RADIUS:
            return spacing
        spacing = tuple(2 * value if is_fine else value for value, is_fine in zip(spacing, fine, strict=True))


def _plan_patch(
    shapes: np.ndarray,
    spacing: tuple[float, ...],
    given: tuple[int, ...] | None,
    poolings: int | None,
    fixed: Strides | None,
    notes: list[str],
) -> tuple[tuple[int, ...], Strides]:
    size, why = (given, "as given") if given is not None else _patch_extent(shapes, spacing)
    strides = fixed or plan_strides(size, spacing, poolings)
    totals = total_stride(strides)
    patch = tuple(total * math.ceil(n / total) for n, total in zip(size, totals, strict=True))
    if fixed is not None:
        patch = _patch_for(size, totals)
        if given is None and patch != size:
            why = f"{why}, as multiples of the network's total stride {size_text(totals)}"
    if given is not None and patch != given:
        why = f"the given {size_text(given)} rounded up to multiples of the total stride {size_text(totals)}"
    notes.append(f"patch: {size_text(patch)}, {why}")
    bottom = size_text([n // total for n, total in zip(patch, totals, strict=True)])
    levels = "; ".join(size_text(step) for step in strides)
    forced = ", as given" if poolings is not None else ", the network's own" if fixed is not None else ""
    notes.append(f"depth: {len(strides)} poolings ({levels}), {bottom} at the bottom{forced}")
    return patch, strides


def _patch_for(size: Sequence[int], totals: Sequence[int]) -> tuple[int, ...]:
    """The patch of a network whose total stride is fixed: at least two voxels at the bottom of every axis.

    Raises:
        ConfigError: an axis would be more padding than image.
    """
    for n, total in zip(size, totals, strict=True):
        if n < total and total > SMALLEST_FORCED_MAP:
            raise ConfigError(
                f"network.name: found a network that divides the image by {size_text(totals)}, and a patch "
                f"would be {size_text(size)} voxels; expected at least {total} along every axis: choose a "
                "network that takes its poolings from the plan, such as unet or monai.DynUNet, or a finer "
                "data.spacing"
            )
    return tuple(
        total * max(math.ceil(n / total), SMALLEST_FORCED_MAP if total > 1 else 1)
        for n, total in zip(size, totals, strict=True)
    )


def _patch_extent(shapes: np.ndarray, spacing: tuple[float, ...]) -> tuple[tuple[int, ...], str]:
    """Voxels per axis before rounding to the strides, and why: whole images if they fit the budget."""
    budget = PATCH_BUDGET[shapes.shape[1]]
    usual = np.ceil(np.percentile(shapes, 95, axis=0)).astype(int)
    median = np.ceil(np.median(shapes, axis=0)).astype(int)
    varies = shapes.max(axis=0) > 1.02 * shapes.min(axis=0)
    roomy = np.where(varies, np.ceil(usual * ROOM), usual).astype(int)
    choices = (
        (roomy, "whole images with room for larger ones" if varies.any() else "whole images"),
        (usual, "whole images"),
        (median, "the median image whole; larger ones give windows"),
    )
    for size, why in choices:
        if math.prod(size.tolist()) <= budget:
            return tuple(size.tolist()), why
    return _window(median, spacing, budget), f"windows, the median image of {size_text(median)} is too large"


def _window(whole: np.ndarray, spacing: tuple[float, ...], budget: int) -> tuple[int, ...]:
    """The largest window of equal extent in mm on every axis, no longer than the image, in the budget.

    Axes that do not hold the whole image go to the nearest multiple of 16, or of 8 where they are
    short, so that the strides find nothing to round up.
    """
    low, high = 0.0, float((whole * spacing).max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _extent(middle, whole, spacing).prod() <= budget else (low, middle)
    size = _extent(low, whole, spacing).tolist()
    return tuple(
        n if n >= full or n < 16 else (16 if n >= 96 else 8) * round(n / (16 if n >= 96 else 8))
        for n, full in zip(size, whole.tolist(), strict=True)
    )


def _extent(length: float, whole: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    return np.minimum(whole, np.maximum(1, np.floor(length / np.array(spacing)))).astype(int)


def _plan_intensities(
    fingerprint: Fingerprint, data: DataOptions, notes: list[str]
) -> tuple[Normalization, tuple[Intensity, ...] | None]:
    choice: Normalization
    if data.normalization is not None:
        choice, why = data.normalization, "as given"
    else:
        is_ct, why = is_of_ct(fingerprint)
        choice = "ct" if is_ct else "zscore"
    if choice == "ct" and not fingerprint.foreground:
        choice, why = "zscore", f"{why}, but no labelled voxel to take a window from"
    if choice == "zscore":
        notes.append(f"{INTENSITIES} zscore, each case by its own mean and deviation ({why})")
        return choice, None
    windows = "; ".join(range_text(w.low, w.high, 6) for w in fingerprint.foreground)
    notes.append(f"{INTENSITIES} ct, window {windows} of the labelled voxels ({why})")
    return choice, fingerprint.foreground
