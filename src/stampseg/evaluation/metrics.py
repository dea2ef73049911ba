"""Metrics of a prediction against its reference, per case and label.

Definitions, with P the predicted and R the reference voxels of one label:

* dice: 2 |P and R| / (|P| + |R|).
* surface: voxels of a mask with at least one face neighbour outside it; beyond the border of
  the image everything is outside. Axes of length 1 (a volume of one slice) are left out, for
  there every voxel would be surface.
* hd95: the larger of the two directed 95th percentiles of the distances from each surface voxel
  of one mask to the nearest surface voxel of the other, in mm (pixels for pictures).
* surface dice: share of the surface voxels of both masks that lie within the tolerance of the
  other mask's surface.
* volume error: (|P| - |R|) / |R|; 0.1 is ten per cent too large.

A case whose reference holds no voxel of a label says nothing about how well the label is outlined: its
metrics are nan and it is left out of the means, for a prediction of nothing would else score 1. What was
predicted there all the same is its false positive volume. A label that the reference holds and the
prediction misses has dice 0, hd95 the diagonal of the image, surface dice 0 and volume error -1.

Voxels of which nobody said what they are (an ignore label) are in no count; a border with them is no surface.
Where that leaves a mask without any surface, hd95 and surface dice are nan.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..core.errors import ConfigError, DataError
from ..data.boxes import as_slices, filled_box
from ..data.labels.regions import Region, in_classes

UNION = "union"
FOUND_DICE = 0.1  # below it next to nothing of a label is found
WITHIN = {  # what each metric can be
    "dice": (0.0, 1.0),
    "hd95": (0.0, math.inf),
    "surface_dice": (0.0, 1.0),
    "volume_error": (-1.0, math.inf),
}
METRIC_NAMES = tuple(WITHIN)
EMPTY_MASK_RULE = (
    "a label absent from the reference of a case: no metric, left out of the means, and what was predicted "
    "of it is false positive; a label that the prediction misses: dice 0, hd95 the diagonal of the image, "
    "surface dice 0, volume error -1"
)
# Spacings stored as float32 make a distance of exactly the tolerance come out a hair above it.
_TOLERANCE_SLACK = 1e-5


@dataclass(frozen=True)
class Metrics:
    """One label of one case. Lengths are in mm, for pictures in pixels.

    Volumes are in ml for volumes, and in mm² or pixels for pictures. Where the reference holds nothing of
    the label, the metrics are nan. `told` is false where that says nothing, as voxels of which nobody said
    what they are may hold it.
    """

    case: str
    label: str
    value: int | None  # value in the files; None for the union of all labels
    dice: float
    hd95: float
    surface_dice: float
    volume_error: float
    predicted_volume: float
    reference_volume: float
    told: bool = True

    @property
    def absent(self) -> bool:
        """Whether the reference holds nothing of the label."""
        return self.reference_volume == 0

    @property
    def false_positive_volume(self) -> float | None:
        """What was predicted though the case has none of the label; None where it has, or nobody knows."""
        return self.predicted_volume if self.absent and self.told else None

    def in_files(self, values: Sequence[int]) -> Metrics:
        """With the value that the files have for its class, in place of the class index."""
        return replace(self, value=None if self.value is None else values[self.value])

    def to_json(self) -> dict[str, Any]:
        """As plain values; nan becomes None, for JSON knows no nan."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return {name: None if value != value else value for name, value in values.items()}


COLUMNS = (*(each.name for each in fields(Metrics) if each.name != "told"), "false_positive_volume")


def evaluate_case(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing_mm: Sequence[float],
    classes: Mapping[int, str],
    tolerance_mm: float = 1.0,
    *,
    case: str = "",
    others: Collection[int] = (),
    unknown: int | None = None,
    regions: Sequence[Region] = (),
) -> list[Metrics]:
    """Compare two label maps.

    Args:
        prediction: Integers of shape (*S), 2D or 3D.
        reference: Integers of shape (*S).
        spacing_mm: Size of a voxel along each axis; ones for pictures.
        classes: Name of each value in the arrays; value 0 is the background and is left out.
        tolerance_mm: Distance up to which surfaces agree, for the surface Dice.
        case: Identifier written in each row.
        others: Values of no class that still are foreground of the union.
        unknown: Value in the reference of voxels of which nobody said what they are, or None. They are in no
            count, and a border with them is no surface.
        regions: Structures of several values, which are compared in place of the classes.

    Returns:
        One row per class in the order of `classes`, or per region, then, for several of them or with
        `others`, one row named "union" for all of them together, unless a region is just that. The rule for
        empty masks is in the module's docstring.

    Raises:
        DataError: shapes differ, or spacing does not fit.
        ConfigError: the tolerance is negative.
    """
    _check_case(prediction, reference, spacing_mm, tolerance_mm, case)
    rows = []
    values = [value for value in classes if value != 0]
    left_out = None if unknown is None else reference == unknown
    if left_out is not None:
        prediction, reference = (np.where(left_out, 0, array) for array in (prediction, reference))
    parts = [(region.name, region.written, region.classes) for region in regions]
    parts = parts or [(classes[value], value, (value,)) for value in values]
    for name, value, of in parts:
        masks = in_classes(prediction, of), in_classes(reference, of)
        rows.append(_compare(*masks, left_out, spacing_mm, tolerance_mm, (case, name, value)))
    if others or not any({*of} == {*values} for _, _, of in parts):
        masks = np.isin(prediction, [*values, *others]), np.isin(reference, [*values, *others])
        rows.append(_compare(*masks, left_out, spacing_mm, tolerance_mm, (case, UNION, None)))
    return rows


def _check_case(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing_mm: Sequence[float],
    tolerance_mm: float,
    case: str,
) -> None:
    if prediction.shape != reference.shape:
        raise DataError(
            f"case {case or '(unnamed)'}: the prediction has shape {prediction.shape} and the label "
            f"{reference.shape}; both must lie on the same grid, so predict on the image of this label"
        )
    if len(spacing_mm) != reference.ndim or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise DataError(
            f"case {case or '(unnamed)'}: spacing {tuple(spacing_mm)} does not fit an array of "
            f"{reference.ndim} axes; expected one positive size per axis"
        )
    if not tolerance_mm >= 0:
        raise ConfigError(f"`tolerance` {tolerance_mm:g}: expected 0 or more, in mm (pixels for pictures)")


def _compare(
    predicted: np.ndarray,
    reference: np.ndarray,
    left_out: np.ndarray | None,
    spacing_mm: Sequence[float],
    tolerance_mm: float,
    name: tuple[str, str, int | None],
) -> Metrics:
    count_p, count_r = int(predicted.sum()), int(reference.sum())
    if count_r == 0:
        dice = hd95 = surface = error = math.nan
    elif count_p == 0:
        diagonal = float(np.linalg.norm(np.multiply(predicted.shape, spacing_mm)))
        dice, hd95, surface, error = 0.0, diagonal, 0.0, -1.0
    else:
        dice = dice_score(predicted, reference)
        distances = surface_distances(predicted, reference, spacing_mm, left_out)
        hd95 = surface = math.nan
        if all(d.size for d in distances):
            hd95 = max(float(np.percentile(d, 95)) for d in distances)
            within = np.concatenate(distances) <= tolerance_mm * (1 + _TOLERANCE_SLACK)
            surface = float(within.mean())
        error = (count_p - count_r) / count_r
    voxel = float(np.prod(spacing_mm)) / (1000.0 if predicted.ndim == 3 else 1.0)
    told = left_out is None or not left_out.any() or count_r > 0
    return Metrics(*name, dice, hd95, surface, error, count_p * voxel, count_r * voxel, told)


def dice_score(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Dice of two boolean masks of one shape; nan where the reference is empty."""
    return mask_agreement(predicted, reference) if reference.any() else math.nan


def mask_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Dice of two boolean masks of one shape of which neither is the reference; 1 when both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


def volume_text(volume: float, unit: str) -> str:
    """`0.0312 ml`, `1,920 px`."""
    return f"{volume:,.0f} {unit}" if volume >= 100 else f"{volume:.3g} {unit}"


def surface_distances(
    first: np.ndarray,
    second: np.ndarray,
    spacing_mm: Sequence[float],
    left_out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in mm from the surface of each mask to that of the other.

    Args:
        first: Boolean mask of shape (*S), not empty.
        second: Boolean mask of shape (*S), not empty.
        spacing_mm: Size of a voxel along each axis.
        left_out: Boolean mask of shape (*S) of voxels that are in neither; a border with them is no surface.

    Returns:
        One distance per surface voxel of `first` (to `second`), and the reverse; none where one of them has
        no surface.
    """
    from scipy.spatial import KDTree  # only here: overlays need Dice alone

    filled = first | second if left_out is None else first | second | left_out
    box = as_slices(filled_box(filled))  # the rest holds no surface, and costs time
    kept = [axis for axis, size in enumerate(first.shape) if size > 1] or [0]
    scale = np.asarray(spacing_mm, dtype=np.float64)[kept]
    flat_shape = tuple(s.stop - s.start for axis, s in enumerate(box) if axis in kept)
    # From 1, not 0: with denormals flushed to zero, as a caller may have set it, KDTree splits at
    # the number next to zero, gets zero again, and recurses until the process dies.
    outside = None if left_out is None else left_out[box].reshape(flat_shape)
    surfaces = [(_surface(mask[box].reshape(flat_shape), outside) + 1) * scale for mask in (first, second)]
    if not all(map(len, surfaces)):
        return np.empty(0), np.empty(0)
    trees = [KDTree(points) for points in surfaces]
    return trees[1].query(surfaces[0])[0], trees[0].query(surfaces[1])[0]


def _surface(mask: np.ndarray, left_out: np.ndarray | None) -> np.ndarray:
    """Indices (N, axes) of the surface voxels; outside of the array counts as background."""
    from scipy.ndimage import binary_erosion

    solid = mask if left_out is None else mask | left_out
    return np.argwhere(mask & ~binary_erosion(solid, border_value=0))
