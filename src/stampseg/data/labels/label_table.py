"""Which values label files hold, and which class each of them is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import DataError
from ...core.text import counted, some
from ..io.colours import describe, is_colour, numbers_classes
from ..io.limits import HIGHEST_LABEL
from ..io.readers import read_header, read_label, read_names, read_palette
from ..plan import MOST_CLASSES
from .background import around, background_of, told_around
from .instances import told_numbers
from .organs import LabelFiles, first_of, read_label_files
from .relabelling import BACKGROUND, Relabelling, relabelled
from .suspects import blends, suspects, told_blends
from .values import Counted, ValueCounts, is_coherent, values_of

if TYPE_CHECKING:
    from ..cases import Case

FEW = 64  # values; whole numbers below it are class numbers, and a photograph has more
WHITE = (1, 255)  # values of a mask's only structure that say no more than that it is there
ATLAS = 8  # structures that are not small; where there are so many, others may well be small
NO_NAME = re.compile(r"(segment|label)?[ _-]*\d*", re.I)  # what programs call a class that nobody named
STRAY_SHARE = 0.005  # of the labelled voxels; an undeclared grey value below it is no class


@dataclass(frozen=True)
class LabelTable:
    """`values[i]` is the value in the files of class i, `names[i]` its name; class 0 is background.

    `notes` tell, one line each, how values were mapped and which declared names do not occur. `ignored` is
    the value of voxels of which nobody said what they are, None where there is none. `warnings` are what may
    well be wrong. `relabel` says what values in the files count as before all that.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    ignored: int | None = None
    warnings: tuple[str, ...] = ()
    relabel: Relabelling | None = None

    def with_classes(self, values: tuple[int, ...], names: tuple[str, ...]) -> LabelTable:
        """The table with all classes of a network, whether they occur or not, if it knows those that do."""
        if not set(self.values) <= set(values):
            return self
        own = dict(zip(self.values, self.names, strict=True))
        known = tuple(own.get(value, name) for value, name in zip(values, names, strict=True))
        return replace(self, values=values, names=known)


def label_table(
    cases: Sequence[Case],
    declared: Mapping[int, str],
    ignored: int | None = None,
    relabel: Relabelling | None = None,
    known: Counted | None = None,
) -> LabelTable:
    """Read every label of `cases`, one at a time, and number its values as classes, without the ignored one.

    `declared` names values as they count by `relabel`; `known` is as in `count_values`.

    Raises:
        DataError: a label cannot be read, has a negative value, there are too many values, only one,
            or stray ones (see `stray_values`).
    """
    labels = [files for case in cases if (files := case.label_files) is not None]
    counts = count_values(labels, ignored, relabel, known)
    held = ignored is not None and ignored in counts.voxels
    left_out = leave_out(counts, ignored)
    if len(counts.voxels) < 2:
        first = cases[0].label if cases else "labels"
        if counts.found - set(counts.voxels) - {ignored}:
            raise DataError(
                f"{first}: {len(cases)} label(s) hold {some(list(map(describe, sorted(counts.found))))}, and "
                "none of the values that `data.only` asks for; name others"
            )
        beside = f" beside {describe(ignored)}, left out by `data.ignore_label`," if held else ""  # type: ignore[arg-type]
        only = describe(min(counts.voxels)) if counts.voxels else "none" if held else "0"
        raise DataError(
            f"{first}: the only value in {len(cases)} label(s){beside} is {only}; "
            "expected background and a class; check the labels, or draw others with `labels` or `seed`"
        )
    own = {value: name for value, (name, _) in counts.names.items()}
    if relabel is not None:  # what was merged or dropped has lost the name that its file gave it
        own = {value: name for value, name in own.items() if relabel.of(value) == value}
    declared = {**own, **declared}
    strays = stray_values(counts, declared)
    if strays:
        raise DataError(strays)
    filling = around(counts.voxels, labels) if relabel is None and ignored is None else None
    table = number_values(counts.voxels, declared, filling if 0 not in counts.voxels else None)
    notes = (*table.notes, *left_out, *_lone_values(counts, declared))
    notes = (*notes, *_changes(counts, relabel, table))
    told = (
        *told_around(filling, table.values),
        *suspects(counts, declared),
        *told_numbers(counts, declared, labels),
    )
    told = (*told, *_blends(counts, declared, relabel))
    return replace(table, notes=notes, ignored=ignored, warnings=told, relabel=relabel)


def _blends(counts: ValueCounts, declared: Mapping[int, str], relabel: Relabelling | None) -> list[str]:
    """A line where values look like blends of others, and the label that has the first of them agrees."""
    small = blends(counts, declared) if relabel is None else []
    if not small:
        return []
    path = counts.first[small[0]]
    label = read_label(path).array
    if is_coherent(np.where(np.isin(label, small), label, 0)):
        return []
    return [told_blends(small, list(map(describe, small)), path.name)]


def number_values(
    voxels: Mapping[int, int], declared: Mapping[int, str], background: int | None = None
) -> LabelTable:
    """Number values as classes, given how many voxels have each.

    The first is the background, `background_of` where nothing else is given. The others follow in rising
    order, so that 0, 1, 2, ... stay as they are.
    """
    background = background_of(voxels) if background is None else background
    values = (background, *sorted(value for value in voxels if value != background))
    names = ("background", *_names(values[1:], declared))
    return LabelTable(values, names, tuple(_notes(values, names, declared)))


def stray_values(counts: ValueCounts, declared: Mapping[int, str]) -> str | None:
    """Say which values look like the greys of a mask that was smoothed or resaved; None if none does.

    These are undeclared values with less than 0.5% of the labelled voxels each. Where all values are
    below 64 they are class numbers, and a class may well be rare; so it may among many larger structures, or
    among hundreds that are all small.
    """
    strays = [] if max(counts.voxels) < FEW else _rare(counts.voxels, declared)
    background = background_of(counts.voxels)
    large = [count for value, count in counts.voxels.items() if value not in (background, *strays)]
    stray = sum(counts.voxels[value] for value in strays)
    if not strays or len(large) >= ATLAS or stray > sum(large):
        return None
    path = next(path for value, path in counts.first.items() if value in strays)
    listed = some([f"{describe(value)} ({_amount(counts, value)})" for value in strays])
    classes = some([describe(value) for value in sorted(counts.voxels) if value not in strays])
    return (
        f"{path}: stray label values {listed} beside {classes}, each under {STRAY_SHARE:.1%} of what is "
        "labelled in all; expected one value per class, and this looks like a mask that was smoothed or "
        'resaved; threshold the masks, or declare classes that rare under "labels" in dataset.json'
    )


def to_classes(
    labels: np.ndarray,
    values: Sequence[int],
    path: Path | str,
    ignored: int | None = None,
    relabel: Relabelling | None = None,
) -> np.ndarray:
    """File values (*S) -> class indices (*S), `len(values)` where they are `ignored`; uint8, or uint16.

    `values` are what the file's values count as by `relabel`.

    Raises:
        DataError: a value that is not in `values`; names `path`.
    """
    labels = relabelled(labels, relabel)
    unset = len(values) + 1
    classes = np.full(labels.shape, unset, dtype=np.min_scalar_type(unset))
    for number, value in enumerate((*values, *(() if ignored is None else (ignored,)))):
        classes[labels == value] = number
    unknown = classes == unset
    if unknown.any():
        strange = ", ".join(describe(int(value)) for value in np.unique(labels[unknown])[:5])
        expected = ", ".join(describe(value) for value in values)
        raise DataError(f"{path}: label value {strange}; expected one of {expected}; correct the label")
    return classes


def to_values(classes: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Class indices (*S) -> file values (*S), of the smallest unsigned type that holds all `values`."""
    if tuple(values) == tuple(range(len(values))):
        return classes.astype(np.min_scalar_type(max(values)), copy=False)
    return np.asarray(values, dtype=np.min_scalar_type(max(values)))[classes]


def count_values(
    labels: Iterable[LabelFiles],
    ignored: int | None = None,
    relabel: Relabelling | None = None,
    known: Counted | None = None,
) -> ValueCounts:
    """Read labels, one at a time; values are counted as `relabel` lets them count.

    Files in `known` are not read again; it is given those that are.

    Raises:
        DataError: a label cannot be read, has a negative value other than `ignored`, a palette in which a
            number has another colour than in the files before, a value that its file calls otherwise than
            another file does, or more values than a label map has.
    """
    counts, worst = ValueCounts(), (0, Path())  # the label with the most values is to blame for many
    for files in labels:
        path, values = first_of(files), _counted(files, known)
        if files is path:
            _check_palette(counts, path, values)
            _check_names(counts, path, values)
        if relabel is not None:
            counts.found.update(values.keys())
            values = relabel.counted(values)
        counts.voxels.update(values)
        counts.files.update(values.keys())
        counts.first.update((value, path) for value in values if value not in counts.first)
        counts.sets[frozenset(values)] += 1
        lowest = min((value for value in counts.voxels if value != ignored), default=0)
        if lowest < 0:
            raise DataError(
                f"{path}: label value {lowest}; expected 0 or above; correct the label, or name the value of "
                "unlabelled voxels with `data.ignore_label`"
            )
        highest = max(counts.voxels)
        if highest > HIGHEST_LABEL and not is_colour(highest):
            raise DataError(
                f"{path}: label value {highest}; expected at most {HIGHEST_LABEL}; number the structures anew"
            )
        worst = max(worst, (len(values), path), key=lambda each: each[0])
        if len(counts.voxels) > MOST_CLASSES and is_coherent(read_label_files(files).array):
            raise DataError(
                f"{path}: more than {MOST_CLASSES} label values in the labels up to here; expected at most "
                "as many classes; merge some"
            )
        if len(counts.voxels) > FEW and not is_coherent(read_label_files(files).array):
            raise DataError(
                f"{worst[1]}: more than {FEW} label values, such as "
                f"{', '.join(map(describe, sorted(counts.voxels)[:6]))}; expected one value per class; this "
                "looks like a photograph or a mask that went through JPEG or resampling; export it again"
            )
    return counts


def _counted(files: LabelFiles, known: Counted | None) -> dict[int, int]:
    """Voxels by value as they stand in the files."""
    if known is None:
        return values_of(read_label_files(files))
    if files not in known:
        known[files] = values_of(read_label_files(files))
    return known[files]


def _check_palette(counts: ValueCounts, path: Path, values: Iterable[int]) -> None:
    """Where indices of a palette are classes, they must be the same classes in all files."""
    palette = read_palette(path)
    if palette is None or not numbers_classes(palette):
        return
    for value in values:
        colour = "#" + palette[value].tobytes().hex() if value < len(palette) else "no colour"
        before, first = counts.palette.setdefault(value, (colour, path))
        if colour != before:
            raise DataError(
                f"{path}: {value} is {colour} in its palette, and {before} in that of {first}; expected one "
                "palette for all labels, else a number changes its meaning from file to file; save them in "
                "one palette, or as colours without one"
            )


def _check_names(counts: ValueCounts, path: Path, values: Iterable[int]) -> None:
    """Where files name their values, they must call them the same: programs number segments as they come."""
    own = read_names(path)
    for value in values:
        name = own.get(value, "").strip()
        if value == 0 or NO_NAME.fullmatch(name):
            continue
        before, first = counts.names.setdefault(value, (name, path))
        if name.casefold() != before.casefold():
            raise DataError(
                f"{path}: {value} is called {name} in it, and {before} in {first}; expected one meaning for "
                "a value in all labels; number the segments alike, for instance by a colour table in Slicer"
            )


def _changes(counts: ValueCounts, relabel: Relabelling | None, table: LabelTable) -> list[str]:
    """What merging and dropping has done, in words."""
    if relabel is None:
        return []
    names = dict(zip(table.values, table.names, strict=True))
    said = []
    for into in dict.fromkeys(relabel.merged.values()):
        values = [into, *(value for value, other in relabel.merged.items() if other == into)]
        absent = [describe(value) for value in values if value not in counts.found]
        lacking = f" ({some(absent)} in none of these labels)" if absent else ""
        said.append(f"merged: {names.get(into, into)} is {some(list(map(describe, values)), 12)}{lacking}")
    dropped = sorted(v for v in counts.found if v != table.values[0] and relabel.of(v) == BACKGROUND)
    if dropped:
        said.append(f"taken as background: {some(list(map(describe, dropped)), 12)}")
    return said


def leave_out(counts: ValueCounts, ignored: int | None) -> list[str]:
    """Take the ignored value out of the counts, and say so in a line."""
    if ignored is None:
        return []
    voxels, files = counts.voxels.pop(ignored, 0), counts.files.pop(ignored, 0)
    counts.first.pop(ignored, None)
    for values in [values for values in counts.sets if ignored in values]:
        number = counts.sets.pop(values)
        if len(values) > 1:
            counts.sets[values - {ignored}] += number
    if not files:
        return [f"ignore label {ignored}: no label holds it"]
    share = voxels / (voxels + counts.voxels.total())
    return [
        f"ignore label {describe(ignored)}: {share:.1%} of the voxels, in {files} label(s), are left out of "
        "every loss and Dice"
    ]


def _amount(counts: ValueCounts, value: int) -> str:
    """How many voxels, or pixels of pictures, have a value."""
    unit = "pixel" if read_header([counts.first[value]]).is_picture else "voxel"
    return counted(counts.voxels[value], unit)


def _rare(voxels: Mapping[int, int], declared: Mapping[int, str]) -> list[int]:
    """Undeclared values with a small share of the voxels that are not background."""
    background = background_of(voxels)
    labelled = {value: count for value, count in voxels.items() if value != background}
    limit = STRAY_SHARE * sum(labelled.values())
    return sorted(value for value, count in labelled.items() if value not in declared and count < limit)


def _lone_values(counts: ValueCounts, declared: Mapping[int, str]) -> list[str]:
    """Rare class numbers in one label of several may be a slip of the mouse."""
    lone = [value for value in _rare(counts.voxels, declared) if counts.files[value] == 1]
    return [
        f"label value {describe(value)} occurs in {counts.first[value].name} alone "
        f"({_amount(counts, value)}); correct that label if it is no class"
        for value in lone
        if max(counts.files.values()) > 1
    ]


def _names(values: Sequence[int], declared: Mapping[int, str]) -> list[str]:
    """Declared names, else by value; equal declared names are told apart by their value."""
    if len(values) == 1 and (values[0] in WHITE or is_colour(values[0])):
        return [declared.get(values[0], "foreground")]
    names = [declared.get(value, f"label_{describe(value).removeprefix('#')}") for value in values]
    pairs = zip(names, values, strict=True)
    return [name if names.count(name) == 1 else f"{name}_{describe(value)}" for name, value in pairs]


def _notes(values: Sequence[int], names: Sequence[str], declared: Mapping[int, str]) -> list[str]:
    notes = []
    if tuple(values) != tuple(range(len(values))):
        mapping = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        notes.append(f"mask values {', '.join(map(describe, values))} -> {mapping}")
    if values[0] != 0:
        darker = values[0] == background_of(dict.fromkeys(values, 1))
        two = "the darker of two values" if darker else "the value that fills their borders"
        why = two if len(values) == 2 else "the most frequent value"
        notes.append(f"no mask value is 0, so {why}, {describe(values[0])}, is taken as background")
    unseen = [f"{name} ({value})" for value, name in sorted(declared.items()) if value not in values]
    if unseen:
        notes.append(f"declared labels in none of these cases: {', '.join(unseen)}")
    nameless = [describe(value) for value in values[1:] if declared and value not in declared]
    if nameless:
        notes.append(f"label values without a declared name: {', '.join(nameless)}")
    return notes
