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
from .cells import correlation
from .gains import Gains, gains
from .pose import Pose, pose

CELLS = {2: 12, 3: 6}  # per axis of the small picture or volume that scans are compared by
SAMPLES = 2_000_000  # voxels that neighbours are compared at
VALUES = 25_000  # that percentiles are taken of
LEAST_PEOPLE = 3  # of whom a range is worth something
# How far beyond the training scans' range is unlike them, so that of other people's scans few are; chosen on
# ten draws of five sets. The fewer people, the less is known of the range.
LEAST_ROOM, MOST_ROOM = 0.05, 0.2  # of a correlation
FOREIGN = 6.0  # deviations from the middle of all, beyond which a training scan is of another kind itself
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
        lowest: the likeness below which a scan is unlike them; None in models of before.
        gains: by how much a likeness may grow where a scan is laid down otherwise; None in models of before.
        pose: how they lie and how near they are seen; None in models of before, of which `gains` tells it.
        people: how many; 0 in models of before.
        roughness: least and most of each axis; None where some scan has none.
        floor: least and most.
    """

    cells: tuple[float, ...]
    likeness: float
    lowest: float | None = None
    gains: Gains | None = None
    pose: Pose | None = None
    people: int = 0
    roughness: tuple[tuple[float, float] | None, ...]
    floor: tuple[float, float]

    def count(self, channels: int, dims: int) -> int:
        """Cells per axis."""
        return round((len(self.cells) / channels) ** (1 / dims))


def look(image: np.ndarray, count: int | None = None) -> np.ndarray:
    """An image (C, *S) as the means of `count` cells per axis, (C, n, n) or (C, n, n, n) float64."""
    count, whole = count or CELLS[image.ndim - 1], (slice(None),) * image.ndim
    for axis in range(1, image.ndim):
        edges = np.arange(count + 1) * image.shape[axis] / count
        cells = [
            image[(*whole[:axis], slice(int(start), max(math.ceil(stop), int(start) + 1)))].mean(axis=axis)
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
    deviation = float(sample.std(dtype=np.float64))
    low, high = np.percentile(sample.ravel()[:: max(1, sample.size // VALUES)], (1, 99))
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
    total = cells.sum(axis=0)
    others = {
        person: (total - cells[mine].sum(axis=0)) / np.count_nonzero(~mine)
        for person, mine in ((person, groups == person) for person in set(people))
    }
    pairs = [(one, others[person]) for one, person in zip(cells, people, strict=True)]
    likeness = _usual([correlation(*pair) for pair in pairs])
    gained = [_usual(values) for values in zip(*(gains(*pair) for pair in pairs), strict=True)]
    floors = _usual([one.floor for one in looks])
    count = len(set(people))
    room = min(MOST_ROOM, max(LEAST_ROOM, 0.5 / count))
    return Appearance(
        cells=tuple(cells.mean(axis=0).ravel().round(3).tolist()),
        likeness=round(float(likeness.min()), 4),
        lowest=round(float(likeness.min()) - min(MOST_ROOM, max(2 * room, _doubt(likeness, count))), 4),
        gains=Gains(*(round(max(0.0, v.max() + max(room, _doubt(v, count))), 4) for v in gained)),
        pose=pose([one.cells for one in looks], people),
        people=count,
        roughness=tuple(_range(values) for values in zip(*(one.roughness for one in looks), strict=True)),
        floor=(float(floors.min()), float(floors.max())),
    )


def _usual(values: Sequence[float]) -> np.ndarray:
    """Without those far from all others: among scans that nobody looked at may be one of another kind."""
    found = np.array(values)
    away = abs(found - np.median(found))
    return found[away <= FOREIGN * max(1.48 * float(np.median(away)), 0.02)]


def _doubt(values: np.ndarray, people: int) -> float:
    """How little the range of so many people says of that of others."""
    return float(4 * values.std() / math.sqrt(people))


def _range(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    usual = _usual(known)
    return float(usual.min()), float(usual.max())


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
    likeness = correlation(cells, mean)
    if usual.pose is not None and (word := usual.pose.told(cells)) is not None:
        return [f"looks {word} against the training scans, or is of something else"]
    if usual.gains is not None:
        found = gains(cells, mean)
        for word, gain, most in zip(found._fields, found, usual.gains, strict=True):
            if gain > most and (usual.pose is None or word == "reduced"):
                return [f"looks {word} against the training scans, or is of something else"]
    lowest = usual.likeness - MOST_ROOM if usual.lowest is None else usual.lowest
    if likeness < lowest:
        return [
            f"bright and dark lie elsewhere: a likeness of {likeness:.2f} (trained on {usual.likeness:.2f} "
            "and more); turned, or of something else?"
        ]
    return []
