"""Whether a scan is like those that a network was trained on: voxel size, extent, values, appearance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.text import number_text, range_text, size_text
from .appearance import Look, look_at, strange
from .cases import Case
from .io.readers import read_image
from .io.volume import Volume
from .plan import Plan, Ranges
from .preprocess import find_orientation, orient, oriented_spacing

SAMPLES = 25_000  # values that percentiles are taken of, at most
SPACING_FACTOR, EXTENT_FACTOR = 1.6, 1.6  # beyond the training scans' range
VALUE_SHARE = 0.25  # of the training scans' whole range of values, that others may lie beyond it
MOST_LOW = 500.0  # Hounsfield units that the lowest values may lie beyond it: air is -1000 everywhere
MOST_VALUES = 16  # of an image that looks like a label
COUNTED = 2**20  # voxels whose values are gathered at once
NOTHING = -1024.0  # Hounsfield units below which there is no matter, only padding


def percentiles(image: np.ndarray) -> tuple[float, float, float]:
    """The 1st, 50th and 99th of an image's values (C, *S), by a sample of them.

    What lies below all that CT can measure was filled in around the scan, with -2000 or -3024 by one machine
    and with nothing by another, and is left out where other values are there.
    """
    flat = image.ravel()
    sample = flat[:: -(-flat.size // SAMPLES)]
    seen = sample[sample >= NOTHING]
    low, middle, high = np.percentile(seen if seen.size else sample, (1, 50, 99)).tolist()
    return low, middle, high


def ranges(rows: Sequence[Sequence[float]]) -> Ranges:
    """The least and the most of each column."""
    return tuple((min(column), max(column)) for column in zip(*rows, strict=True))


def remarks(volume: Volume, plan: Plan) -> list[str]:
    """In what an image (C, *S) is unlike the training scans, in a few words each.

    The values are looked at where the plan takes them as they are, as of CT; else each image is normalised by
    its own, and their scale means nothing.
    """
    known = plan.scans
    if known is None:
        return []
    turn = find_orientation(volume.header, plan)
    spacing = oriented_spacing(volume.header.spacing, turn)
    shape = oriented_spacing(volume.header.shape, turn)
    unit, noun = ("px", "pixel") if volume.header.is_picture else ("mm", "voxel")
    found = []
    if np.ptp(volume.array) == 0:
        found.append(f"every {noun} has the value {number_text(volume.array.flat[0], 6)}")
    elif values := _as_of_a_label(volume, plan):
        listed = ", ".join(number_text(value, 6) for value in values)
        found.append(f"only the values {listed}, as a mask has: is it a label in place of a scan?")
    if _beyond(spacing, known.spacing, SPACING_FACTOR):
        found.append(f"{noun}s of {size_text(spacing, 3)} {unit} (trained on {_words(known.spacing)})")
    extent = [n * size for n, size in zip(shape, spacing, strict=True)]
    if _beyond(extent, known.extent, EXTENT_FACTOR):
        found.append(f"{size_text(extent, 3)} {unit} in extent (trained on {_words(known.extent)})")
    if "ct" in plan.normalizations and known.values:
        low, middle, high = percentiles(volume.array)
        (least, _), _, (_, most) = known.values
        room = VALUE_SHARE * (most - least)
        rooms = (min(room, MOST_LOW), room, room)
        seen = zip((low, middle, high), known.values, rooms, strict=True)
        if any(not first - room <= value <= last + room for value, (first, last), room in seen):
            found.append(
                f"values of {range_text(low, high)}, middle {number_text(middle)} (trained on "
                f"{range_text(least, most)}, middle {range_text(*known.values[1])})"
            )
    found = found or _looks(volume, plan)  # which say the same in other words, where there are others
    if plan.in_channels == 3 and volume.header.is_picture and (volume.array == volume.array[:1]).all():
        found.append("it holds only grey, given three times (trained on pictures in colour)")
    return found


def _as_of_a_label(volume: Volume, plan: Plan) -> list[float]:
    """The values of an image that has no more than labels have, whole ones; none if it looks like a scan.

    Where training scans may have had such few values themselves, as line drawings have, nothing is said.
    """
    values = _few_values(volume.array, min(len(plan.label_values), MOST_VALUES))
    usual = {end for ends in plan.scans.values for end in ends} if plan.scans is not None else set()
    return [] if any(value % 1 for value in values) or usual <= set(values) else values


def _few_values(image: np.ndarray, most: int) -> list[float]:
    """All values of an image in order; none where they are more than so many. Few are looked at in scans."""
    flat = image.ravel(order="K")  # as it lies in memory: no copy of a large scan
    parts = [flat[:: -(-flat.size // SAMPLES)]]
    parts += [flat[start : start + COUNTED] for start in range(0, flat.size, COUNTED)]
    seen = set[float]()
    for part in parts:
        seen.update(np.unique(part).tolist())
        if len(seen) > most:
            return []
    return sorted(seen)


def look_of(case: Case, channels: int) -> Look:
    """What the image of a case looks like, as so many channels.

    Raises:
        DataError: a file that cannot be used.
    """
    volume = read_image(case.images, channels)
    turn = find_orientation(volume.header)
    return look_at(orient(volume.array, turn), oriented_spacing(volume.header.spacing, turn))


def _looks(volume: Volume, plan: Plan) -> list[str]:
    """In what it looks unlike them, along the axes that training scans are measured on."""
    usual = plan.scans.appearance if plan.scans is not None else None
    if usual is None or np.ptp(volume.array) == 0:
        return []
    turn = find_orientation(volume.header)
    image = orient(volume.array, turn)
    count = usual.count(len(image), image.ndim - 1)
    seen = look_at(image, oriented_spacing(volume.header.spacing, turn), count)
    return strange(seen, usual, floors="ct" not in plan.normalizations)


def _beyond(sizes: Sequence[float], ranges: Ranges, factor: float) -> bool:
    return any(
        not low / factor <= size <= high * factor for size, (low, high) in zip(sizes, ranges, strict=True)
    )


def _words(ranges: Ranges) -> str:
    """`1 x 1 x 3` or `0.8 x 0.8 x 2.5 to 1 x 1 x 5`."""
    low, high = (size_text(sizes, 3) for sizes in zip(*ranges, strict=True))
    return low if low == high else f"{low} to {high}"
