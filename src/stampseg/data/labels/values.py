"""The values of a label map, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..io.volume import Volume
from ..plan import MOST_CLASSES
from .organs import LabelFiles

COHERENT = 0.5  # of the labelled voxels of a label map are followed by one of the same value
COUNTED = 2**18  # voxels counted at once
Counted = dict[LabelFiles, dict[int, int]]  # voxels by value of labels that were read


@dataclass(frozen=True)
class ValueCounts:
    """What label files hold, by value: voxels over all files, the first file, and in how many it occurs.

    `sets` are the values of whole files, each with how many have them; `palette` keeps the colour that an
    index has, and a file where it does; `names` what files call a value themselves, and the first that does;
    `found` are values as they stand in the files, where they count as others.
    """

    voxels: Counter[int] = field(default_factory=Counter)
    first: dict[int, Path] = field(default_factory=dict)
    files: Counter[int] = field(default_factory=Counter)
    sets: Counter[frozenset[int]] = field(default_factory=Counter)
    palette: dict[int, tuple[str, Path]] = field(default_factory=dict)
    names: dict[int, tuple[str, Path]] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)


def voxels_by_value(labels: np.ndarray) -> dict[int, int]:
    """How many voxels of a label map (*S) have each value; of a photograph a few more than a map may have."""
    highest = int(labels.max())
    if labels.min() >= 0 and highest < 2**16:  # counting is several times faster than sorting
        # Some slices at a time, because numpy counts in a copy of eight bytes a voxel.
        counts = np.zeros(highest + 1, dtype=np.int64)
        together = max(1, COUNTED // max(1, labels[0].size))
        for first in range(0, len(labels), together):
            part = labels[first : first + together]
            counts += np.bincount(part.ravel().astype(np.intp), minlength=highest + 1)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, occurrences = np.unique(labels, return_counts=True)
    # A photograph has thousands; a few more than allowed are enough to refuse it.
    return dict(zip(map(int, values[: MOST_CLASSES + 1]), map(int, occurrences), strict=False))


def values_of(label: Volume) -> dict[int, int]:
    """Voxels by value of a label; 0 is among them where it holds a part of its image, though it be full."""
    found = voxels_by_value(label.array)
    return found if label.header.covers == "all" else {0: 0} | found


def is_coherent(labels: np.ndarray) -> bool:
    """Whether most labelled voxels have a neighbour of the same value, as in a map of structures."""
    first, second = labels[..., :-1], labels[..., 1:]
    labelled = (first != 0) | (second != 0)
    return bool(labelled.any()) and float((first == second)[labelled].mean()) >= COHERENT
