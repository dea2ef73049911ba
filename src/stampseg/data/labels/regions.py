"""Regions: structures of several label values, which may lie within one another, as nnU-Net declares them.

Label maps tell values apart, so the voxels of a region are those of certain classes, and its probability is
the sum of theirs: a network of classes that exclude each other says all that one output per region would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import DataError
from ...core.options import Value

HALF = 0.5  # probability above which a voxel is of a region


class Region(Value):
    """A structure made of classes; part of a plan.

    Attributes:
        name: as declared.
        classes: indices of the classes that it is made of, never the background.
        written: the class that its voxels have in a mask, unless a later region takes them.
    """

    name: str
    classes: tuple[int, ...]
    written: int

    def of(self, scores: np.ndarray) -> np.ndarray:
        """Its probability (*S) from those of all classes (K, *S)."""
        return scores[list(self.classes)].sum(axis=0)


@dataclass(frozen=True)
class ValueRegion:
    """The same in values of the label files."""

    name: str
    values: frozenset[int]
    written: int


@dataclass(frozen=True)
class DeclaredRegions:
    """What a dataset.json says: values of each region by its name, and the values that masks are written in.

    `order` is nnU-Net's `regions_class_order`, None where there is none.
    """

    values: Mapping[str, frozenset[int]]
    order: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.values)

    def settled(self) -> tuple[tuple[ValueRegion, ...], dict[int, int]]:
        """The regions in the order of writing, and values that no region tells apart -> the one for all.

        Raises:
            DataError: the order does not fit the regions, or no mask written in it could hold them.
        """
        self._check_order()
        regions = tuple(
            ValueRegion(name, values, written)
            for (name, values), written in zip(self._in_order(), self._written(), strict=True)
        )
        merged: dict[int, int] = {}
        for alike in self._alike():
            last = [region for region in regions if alike <= region.values][-1]
            if last.written not in alike:
                raise DataError(_unwritable(regions, alike, last, self.order))
            merged |= dict.fromkeys(alike - {last.written}, last.written)
        return regions, merged

    def _check_order(self) -> None:
        for name, values in self.values.items():
            if 0 in values:
                raise DataError(
                    f"dataset.json: the region {name} holds 0, which is the background; expected other values"
                )
        if self.order is None:
            return
        if len(self.order) != len(self.values):
            raise DataError(
                f"dataset.json: regions_class_order {list(self.order)} has {len(self.order)} values for "
                f"{len(self.values)} regions ({', '.join(self.values)}); expected one each, in their order"
            )
        for (name, values), written in zip(self.values.items(), self.order, strict=True):
            if written not in values:
                raise DataError(
                    f"dataset.json: regions_class_order writes {name} as {written}, and {name} is "
                    f"{_listed(values)}; expected one of its own values, else it would not be found in a mask"
                )

    def _in_order(self) -> list[tuple[str, frozenset[int]]]:
        """As declared where there is an order, else the large ones first."""
        found = list(self.values.items())
        return found if self.order is not None else sorted(found, key=lambda one: -len(one[1]))

    def _written(self) -> list[int]:
        if self.order is not None:
            return list(self.order)
        return [min(values, key=lambda v: (self._count(v), v)) for _, values in self._in_order()]

    def _count(self, value: int) -> int:
        return sum(value in values for values in self.values.values())

    def _alike(self) -> list[frozenset[int]]:
        """Values that are in the same regions."""
        found: dict[tuple[bool, ...], set[int]] = {}
        for value in sorted(frozenset().union(*self.values.values())):
            found.setdefault(tuple(value in values for values in self.values.values()), set()).add(value)
        return [frozenset(values) for values in found.values()]


NO_REGIONS = DeclaredRegions({})


def _unwritable(
    regions: Sequence[ValueRegion], alike: frozenset[int], last: ValueRegion, order: tuple[int, ...] | None
) -> str:
    """Why a mask cannot hold the regions."""
    within = [region.name for region in regions if alike <= region.values]
    smaller = [region.name for region in regions if region.values < last.values]
    start = f"dataset.json: a voxel of {_listed(alike)} is of {' and '.join(within)}"
    rule = "" if order is None else f" by regions_class_order {list(order)}"
    found = f"{start}, and a mask{rule} would say {last.written}, which is of other regions"
    if set(within) & set(smaller):
        return f"{found}; list the larger regions first, in labels and regions_class_order alike"
    return (
        f"{found}; masks of one value a voxel cannot hold regions that overlap so; declare what they have "
        f'in common as a region of its own, last: "both": {sorted(alike)}, or train the values as classes '
        f"with `data.only`"
    )


def _listed(values: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(values)))


def regions_of_classes(regions: Sequence[ValueRegion], label_values: Sequence[int]) -> tuple[Region, ...]:
    """Regions in classes, of which class i has the value `label_values[i]`; without those of no class."""
    number = {value: index for index, value in enumerate(label_values) if index}
    found = []
    for region in regions:
        classes = tuple(sorted(number[value] for value in region.values if value in number))
        if not classes:
            continue
        written = number.get(region.written)
        if written is None:  # what is of this region alone occurs nowhere
            written = min(
                classes, key=lambda c: (sum(label_values[c] in other.values for other in regions), c)
            )
        found.append(Region(name=region.name, classes=classes, written=written))
    return tuple(found)


def regions_in_words(regions: Sequence[ValueRegion]) -> str:
    """`whole: 1, 2; core: 2`."""
    return "; ".join(f"{region.name}: {_listed(region.values)}" for region in regions)


def structures(names: Sequence[str], regions: Sequence[Region]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What is measured, with the classes that each is made of: the regions, or without any every class.

    `names` are of the classes, background first.
    """
    if regions:
        return tuple((region.name, region.classes) for region in regions)
    return tuple((name, (value,)) for value, name in enumerate(names) if value)


def in_classes(mask: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Where (*S) a mask holds one of the classes of a structure."""
    return mask == classes[0] if len(classes) == 1 else np.isin(mask, classes)


def decided(probabilities: Iterable[np.ndarray], regions: Sequence[Region], dtype: np.dtype) -> np.ndarray:
    """Class (*S) of every voxel: regions of which it is likely (*S each) write over each other, in order."""
    pairs = iter(zip(probabilities, regions, strict=True))
    first, region = next(pairs)
    found = np.where(first > HALF, dtype.type(region.written), dtype.type(0))
    for likely, region in pairs:
        np.copyto(found, dtype.type(region.written), where=likely > HALF)
    return found
