"""Which values label files hold, and which class each of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .pictures import COLOUR
from .readers import read_label

if TYPE_CHECKING:
    from .cases import Case

MAX_CLASSES = 64


@dataclass(frozen=True)
class LabelTable:
    """`values[i]` is the value in the files of class i, `names[i]` its name; class 0 is background.

    `notes` tell, one line each, how values were mapped and which declared names never occur.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def label_table(cases: Sequence[Case], declared: Mapping[int, str]) -> LabelTable:
    """Read every label of `cases`, one at a time, and number its values as classes.

    Background is value 0 where there is one, else the darker of two values, else the most frequent
    value. The others follow in rising order, so that 0, 1, 2, ... stay as they are.

    Raises:
        DataError: a label cannot be read, has a negative value, there are more than 64 values, or only one.
    """
    counts = _count_values(cases)
    if len(counts) < 2:
        raise DataError(
            f"{cases[0].label if cases else 'labels'}: the only value in {len(cases)} label(s) is "
            f"{describe(min(counts, default=0))}; expected background and a class; check the labels"
        )
    background = _background(counts)
    values = (background, *sorted(value for value in counts if value != background))
    names = ("background", *_names(values[1:], declared))
    return LabelTable(values, names, tuple(_notes(values, names, declared)))


def to_classes(labels: np.ndarray, values: Sequence[int], path: Path | str) -> np.ndarray:
    """File values (*S) -> class indices (*S) uint8.

    Raises:
        DataError: a value that is not in `values`; names `path`.
    """
    unset = 255  # above any class, as there are at most 64
    classes = np.full(labels.shape, unset, dtype=np.uint8)
    for number, value in enumerate(values):
        classes[labels == value] = number
    unknown = classes == unset
    if unknown.any():
        found = ", ".join(describe(int(value)) for value in np.unique(labels[unknown])[:5])
        expected = ", ".join(describe(value) for value in values)
        raise DataError(f"{path}: label value {found}; expected one of {expected}; correct the label")
    return classes


def to_values(classes: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Class indices (*S) -> file values (*S), of the smallest unsigned type that holds all `values`."""
    return np.asarray(values, dtype=np.min_scalar_type(max(values)))[classes]


def describe(value: int) -> str:
    """A label value for people: the number, or #rrggbb for the code of a colour."""
    return f"#{value - COLOUR:06x}" if value >= COLOUR else str(value)


def _count_values(cases: Sequence[Case]) -> Counter[int]:
    """Voxels of each value over all labels."""
    counts: Counter[int] = Counter()
    for case in cases:
        if case.label is None:
            continue
        counts.update(_values_of(read_label(case.label).array))
        if min(counts) < 0:
            raise DataError(
                f"{case.label}: label value {min(counts)}; expected 0 or above; correct the label"
            )
        if len(counts) > MAX_CLASSES:
            raise DataError(
                f"{case.label}: more than {MAX_CLASSES} label values, such as "
                f"{', '.join(map(describe, sorted(counts)[:6]))}; expected one value per class; this "
                "looks like a photograph or a mask that went through JPEG or resampling; export it again"
            )
    return counts


def _values_of(labels: np.ndarray) -> dict[int, int]:
    highest = int(labels.max())
    if labels.min() >= 0 and highest < 2**16:  # counting is several times faster than sorting
        # Slice by slice, because numpy counts in a copy of eight bytes a voxel.
        counts = np.zeros(highest + 1, dtype=np.int64)
        for part in labels:
            counts += np.bincount(part.ravel().astype(np.intp), minlength=highest + 1)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, occurrences = np.unique(labels, return_counts=True)
    # A photograph has thousands; a few more than allowed are enough to refuse it.
    return dict(zip(map(int, values[: MAX_CLASSES + 1]), map(int, occurrences), strict=False))


def _background(counts: Counter[int]) -> int:
    if 0 in counts:
        return 0
    if len(counts) == 2:
        return min(counts, key=_brightness)
    return max(counts, key=lambda value: (counts[value], -value))


def _brightness(value: int) -> float:
    if value < COLOUR:
        return value
    red, green, blue = (value >> shift & 255 for shift in (16, 8, 0))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _names(values: Sequence[int], declared: Mapping[int, str]) -> list[str]:
    """Declared names, else by number; equal declared names are told apart by their value."""
    if len(values) == 1:
        return [declared.get(values[0], "foreground")]
    names = [declared.get(value, f"label_{number}") for number, value in enumerate(values, start=1)]
    pairs = zip(names, values, strict=True)
    return [name if names.count(name) == 1 else f"{name}_{describe(value)}" for name, value in pairs]


def _notes(values: Sequence[int], names: Sequence[str], declared: Mapping[int, str]) -> list[str]:
    notes = []
    if tuple(values) != tuple(range(len(values))):
        mapping = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        notes.append(f"mask values {', '.join(map(describe, values))} -> {mapping}")
    if values[0] != 0:
        why = "the darker of two values" if len(values) == 2 else "the most frequent value"
        notes.append(f"no mask value is 0, so {why}, {describe(values[0])}, is taken as background")
    unseen = [f"{name} ({value})" for value, name in sorted(declared.items()) if value not in values]
    if unseen:
        notes.append(f"declared labels that never occur: {', '.join(unseen)}")
    nameless = [describe(value) for value in values[1:] if declared and value not in declared]
    if nameless:
        notes.append(f"label values without a declared name: {', '.join(nameless)}")
    return notes
