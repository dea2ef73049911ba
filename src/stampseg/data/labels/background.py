"""Which value of label maps is background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np

from ..io.colours import describe, is_colour
from .organs import LabelFiles, read_label_files

LOOKED_AT = 8  # label maps
THICK = 8  # voxels along an axis, of which the outermost are a border
FILLED = 0.9  # of the borders of label maps: what is there lies around all else


def background_of(voxels: Mapping[int, int]) -> int:
    """Value 0 where there is one, else the darker of two values, else the most frequent.

    Args:
        voxels: how many have each value.
    """
    if 0 in voxels:
        return 0
    if len(voxels) == 2:
        return min(voxels, key=_brightness)
    return max(voxels, key=lambda value: (voxels[value], -value))


def around(voxels: Mapping[int, int], labels: Iterable[LabelFiles]) -> int | None:
    """Of two values the more frequent, where it fills the borders of label maps and is not `background_of`.

    The files are read in that case alone. None else.
    """
    if len(voxels) != 2:
        return None
    background = background_of(voxels)
    (other,) = voxels.keys() - {background}
    if voxels[other] <= voxels[background]:
        return None
    found: Counter[int] = Counter()
    for files in islice(labels, LOOKED_AT):
        found.update(_at_borders(read_label_files(files).array))
    return other if found[other] > FILLED * found.total() else None


def told_around(filling: int | None, values: tuple[int, ...]) -> tuple[str, ...]:
    """A line on a value that fills the borders, as of `around`; `values` are those of the classes."""
    if filling is None:
        return ()
    inside = next(value for value in values if value != filling)
    if values[0] == filling:
        return (
            f"value {describe(filling)} fills the borders of the labels and is taken as background, though "
            f"{describe(inside)} is darker; if that is wrong, save the background as 0",
        )
    return (
        f"value {describe(filling)} fills the borders of the labels, and {describe(inside)} lies inside; "
        f"{describe(filling)} is trained as the structure: if they are inverted, exchange the two values",
    )


def _at_borders(label: np.ndarray) -> dict[int, int]:
    """How many voxels of each value the outermost layers of a label map (*S) have; not those of thin axes."""
    faces = [label.take((0, -1), axis).ravel() for axis in range(label.ndim) if label.shape[axis] >= THICK]
    values, counts = np.unique(np.concatenate(faces or [label.ravel()[:0]]), return_counts=True)
    return dict(zip(map(int, values), map(int, counts), strict=True))


def _brightness(value: int) -> float:
    if not is_colour(value):
        return value
    red, green, blue = (value >> shift & 255 for shift in (16, 8, 0))
    return 0.299 * red + 0.587 * green + 0.114 * blue
