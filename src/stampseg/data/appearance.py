"""What scans look like, whatever their scale of values: where it is bright, how rough, where values begin.

A scan that was turned, zoomed, offset, or whose header tells of other voxels than it has, differs from the
training scans in one of these though its size and spacing may be theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.options import Options

CELLS = 6  # per axis of the small picture that scans are compared by
SAMPLES = 2_000_000  # voxels that neighbours are compared at
LEAST_PEOPLE = 3  # of whom a range is worth something
# How far beyond the training scans' range is unlike them, so that of other people's scans few are; chosen on
# draws 0 to 9 of five sets.
LIKENESS_ROOM = 0.2
ROUGHNESS_ROOM = 0.5  # of a natural logarithm: by a factor of 1.6
FLOOR_ROOM = 0.2


@dataclass(frozen=True, eq=False)
class Look:
    """Of one scan.

    Attributes:
        cells: means of `CELLS` cells per axis, (F,), with mean 0 and deviation 1 in each channel.
        roughness: of each axis, the logarithm of the mean difference of neighbours per mm (pixel), in
            deviations of the scan's values; None where there is nothing to differ.
        floor: where the values begin, by their range from the 1st to the 99th percentile.
    """

    cells: np.ndarray
    roughness: tuple[float | None, ...]
    floor: float


class Appearance(Options):
    """Of the training scans.

    Attributes:
        cells: the mean of their cells.
        likeness: the least rank correlation of a scan's cells with the mean of those of other people.
        roughness: least and most of each axis; None where some scan has none.
        floor: least and most.
    """

    cells: tuple[float, ...]
    likeness: float
    roughness: tuple[tuple[float, float] | None, ...]
    floor: tuple[float, float]


def look(image: np.ndarray) -> np.ndarray:
    """An image (C, *S) as the means of `CELLS` cells per axis, (F,) float64."""
    for axis in range(1, image.ndim):
        edges = np.arange(CELLS + 1) * image.shape[axis] / CELLS
        cells = [
            image.take(range(int(start), max(math.ceil(stop), int(start) + 1)), axis=axis).mean(axis=axis)
            for start, stop in pairwise(edges)
        ]
        image = np.stack(cells, axis=axis)
    return image.astype(np.float64).ravel()


def look_at(image: np.ndarray, spacing: Sequence[float]) -> Look:
    """What an image (C, *S) looks like, along its oriented axes; `spacing` in mm, or 1 for pictures."""
    cells = look(image).reshape(len(image), -1)
    spread = cells.std(axis=1, keepdims=True)
    cells = (cells - cells.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    sample = image[_thinned(image, None)]
    deviation, (low, high) = float(sample.std(dtype=np.float64)), np.percentile(sample, (1, 99))
    roughness = tuple(_roughness(image, axis, deviation * size) for axis, size in enumerate(spacing, 1))
    return Look(cells.ravel(), roughness, float(low / (high - low)) if high > low else 0.0)


def _roughness(image: np.ndarray, axis: int, scale: float) -> float | None:
    if image.shape[axis] < 2 or scale <= 0:
        return None
    sample = image[_thinned(image, axis)]
    difference = float(np.abs(np.diff(sample, axis=axis)).mean(dtype=np.float64)) / scale
    return math.log(difference) if difference > 0 else None


def _thinned(image: np.ndarray, whole: int | None) -> tuple[slice, ...]:
    """Some of the voxels: all along one axis."""
    axes = [axis for axis in range(1, image.ndim) if axis != whole]
    step = max(1, math.ceil((image.size / SAMPLES) ** (1 / len(axes))))
    return tuple(slice(None, None, step if axis in axes else 1) for axis in range(image.ndim))


def appearance(looks: Sequence[Look], people: Sequence[str]) -> Appearance | None:
    """What scans look like together; None of fewer than `LEAST_PEOPLE`, or of scans without any contrast.

    Args:
        looks: of each scan.
        people: whose it is.
    """
    groups = np.array(people)
    if len(set(people)) < LEAST_PEOPLE or len({len(one.cells) for one in looks}) > 1:
        return None
    cells = np.stack([one.cells for one in looks])
    if not cells.std(axis=1).all():
        return None
    likeness = [
        _correlation(one, cells[groups != person].mean(axis=0))
        for one, person in zip(cells, people, strict=True)
    ]
    floors = [one.floor for one in looks]
    return Appearance(
        cells=tuple(cells.mean(axis=0).round(3).tolist()),
        likeness=round(min(likeness), 4),
        roughness=tuple(_range(values) for values in zip(*(one.roughness for one in looks), strict=True)),
        floor=(min(floors), max(floors)),
    )


def _range(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if len(known) == len(values) else None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the ranks, on which a few cells of padding or metal count no more than others."""
    first, second = (_ranks(values) for values in (one, other))
    scale = first.std() * second.std()
    return float(((first - first.mean()) * (second - second.mean())).mean() / scale) if scale > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def strange(seen: Look, usual: Appearance, *, floors: bool) -> list[str]:
    """In what a scan looks unlike the training scans, in a few words each.

    Args:
        seen: what it looks like.
        usual: what they look like.
        floors: also look where the values begin; of CT it is known better.
    """
    found = []
    if len(seen.cells) == len(usual.cells):
        likeness = _correlation(seen.cells, np.array(usual.cells))
        if likeness < usual.likeness - LIKENESS_ROOM:
            found.append(
                f"bright and dark lie elsewhere: a likeness of {likeness:.2f} (trained on "
                f"{usual.likeness:.2f} and more); turned, or of something else?"
            )
    beyond = [
        value < known[0] - ROUGHNESS_ROOM or value > known[1] + ROUGHNESS_ROOM
        for value, known in zip(seen.roughness, usual.roughness, strict=False)
        if value is not None and known is not None
    ]
    if any(beyond):
        found.append(
            "smoother or rougher than the training scans; zoomed, or are its voxels of another size than its "
            "file says?"
        )
    least, most = usual.floor
    if floors and not least - FLOOR_ROOM <= seen.floor <= most + FLOOR_ROOM:
        found.append(
            f"values begin at {seen.floor:.0%} of their range (trained on {least:.0%} to {most:.0%}); was "
            "something added to them?"
        )
    return found
