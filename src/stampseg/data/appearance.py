"""What scans look like, whatever their scale of values: where it is bright, how rough, where values begin.

A scan that was turned, zoomed, offset, or whose header tells of other voxels than it has, differs from the
training scans in one of these though its size and spacing may be theirs. Scans without labels count among
the training scans: what one kind of scan can look like takes more people to know than have labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core.options import Options
from .pose import Gains, correlation, gains

CELLS = {2: 12, 3: 6}  # per axis of the small picture or volume that scans are compared by
SAMPLES = 2_000_000  # voxels that neighbours are compared at
LEAST_PEOPLE = 3  # of whom a range is worth something
# How far beyond the training scans' range is unlike them, so that of other people's scans few are; chosen on
# draws 0 to 9 of five sets. The fewer people, the less is known of the range.
LEAST_ROOM, MOST_ROOM = 0.05, 0.2  # of a correlation
ROUGHNESS_ROOM = 0.5  # of a natural logarithm: by a factor of 1.6
FLOOR_ROOM = 0.2


@dataclass(frozen=True, eq=False)
class Look:
    """Of one scan.

    Attributes:
        cells: means of n cells per axis, (C, n, n) or (C, n, n, n), each channel with mean 0 and deviation 1.
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
        cells: the mean of their cells, flat.
        likeness: the least rank correlation of a scan's cells with the mean of those of other people.
        gains: the most by which that of a scan grows if it is laid down otherwise; None in models of before.
        people: how many; 0 in models of before.
        roughness: least and most of each axis; None where some scan has none.
        floor: least and most.
    """

    cells: tuple[float, ...]
    likeness: float
    gains: Gains | None = None
    people: int = 0
    roughness: tuple[tuple[float, float] | None, ...]
    floor: tuple[float, float]

    @property
    def room(self) -> float:
        """How far beyond its range a correlation is not of this kind."""
        return MOST_ROOM if not self.people else min(MOST_ROOM, max(LEAST_ROOM, 0.5 / self.people))

    def count(self, channels: int, dims: int) -> int:
        """Cells per axis."""
        return round((len(self.cells) / channels) ** (1 / dims))


def look(image: np.ndarray, count: int | None = None) -> np.ndarray:
    """An image (C, *S) as the means of `count` cells per axis, (C, n, n) or (C, n, n, n) float64."""
    count = count or CELLS[image.ndim - 1]
    for axis in range(1, image.ndim):
        edges = np.arange(count + 1) * image.shape[axis] / count
        cells = [
            image.take(range(int(start), max(math.ceil(stop), int(start) + 1)), axis=axis).mean(axis=axis)
            for start, stop in pairwise(edges)
        ]
        image = np.stack(cells, axis=axis)
    return image.astype(np.float64)


def look_at(image: np.ndarray, spacing: Sequence[float], count: int | None = None) -> Look:
    """What an image (C, *S) looks like, along its oriented axes; `spacing` in mm, or 1 for pictures."""
    cells, axes = look(image, count), tuple(range(1, image.ndim))
    spread = cells.std(axis=axes, keepdims=True)
    cells = (cells - cells.mean(axis=axes, keepdims=True)) / np.where(spread > 0, spread, 1)
    sample = image[_thinned(image, None)]
    deviation, (low, high) = float(sample.std(dtype=np.float64)), np.percentile(sample, (1, 99))
    roughness = tuple(_roughness(image, axis, deviation * size) for axis, size in enumerate(spacing, 1))
    return Look(cells, roughness, float(low / (high - low)) if high > low else 0.0)


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
    if len(set(people)) < LEAST_PEOPLE or len({one.cells.shape for one in looks}) > 1:
        return None
    cells = np.stack([one.cells for one in looks])
    if not cells.reshape(len(cells), -1).std(axis=1).all():
        return None
    others = {person: cells[groups != person].mean(axis=0) for person in set(people)}
    pairs = [(one, others[person]) for one, person in zip(cells, people, strict=True)]
    floors = [one.floor for one in looks]
    return Appearance(
        cells=tuple(cells.mean(axis=0).ravel().round(3).tolist()),
        likeness=round(min(correlation(*pair) for pair in pairs), 4),
        gains=Gains(*np.max([gains(*pair) for pair in pairs], axis=0).round(4).tolist()),
        people=len(set(people)),
        roughness=tuple(_range(values) for values in zip(*(one.roughness for one in looks), strict=True)),
        floor=(min(floors), max(floors)),
    )


def _range(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if len(known) == len(values) else None


def strange(seen: Look, usual: Appearance, *, floors: bool) -> list[str]:
    """In what a scan looks unlike the training scans, in a few words each.

    Args:
        seen: what it looks like.
        usual: what they look like.
        floors: also look where the values begin; of CT it is known better.
    """
    found = _laid_otherwise(seen.cells, usual) if seen.cells.size == len(usual.cells) else []
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


def _laid_otherwise(cells: np.ndarray, usual: Appearance) -> list[str]:
    """That what it shows lies elsewhere, and what would mend it."""
    mean = np.reshape(usual.cells, cells.shape)
    likeness, room = correlation(cells, mean), usual.room
    if usual.gains is not None:
        found = gains(cells, mean)
        for word, gain, most in zip(found._fields, found, usual.gains, strict=True):
            if gain > max(0.0, most + room):
                return [
                    f"looks {word}, or is of something else: a likeness of {likeness:.2f} to the training "
                    f"scans as it is, {likeness + gain:.2f} otherwise"
                ]
    if likeness < usual.likeness - min(MOST_ROOM, 2 * room):
        return [
            f"bright and dark lie elsewhere: a likeness of {likeness:.2f} (trained on {usual.likeness:.2f} "
            "and more); turned, or of something else?"
        ]
    return []
