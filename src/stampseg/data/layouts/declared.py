"""What a dataset.json says of the values in the label files: names, regions, and which value to ignore."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import DataError
from ..labels.regions import NO_REGIONS, DeclaredRegions

UNREAD = 'of "labels" in dataset.json not read, as neither "1": "liver" nor "liver": 1'
IGNORE = "ignore"  # nnU-Net's name for voxels of which nobody said what they are


@dataclass(frozen=True)
class DeclaredLabels:
    """What is declared.

    Attributes:
        names: by value in the files.
        ignored: the value to ignore, if there is one.
        regions: of several values.
        unread: what says neither a value and its name nor a region, as it is written.
    """

    names: Mapping[int, str]
    ignored: int | None = None
    regions: DeclaredRegions = NO_REGIONS
    unread: tuple[str, ...] = ()


def declared_labels(description: Mapping[str, Any]) -> DeclaredLabels:
    """`{"0": "background"}` (Decathlon) or `{"background": 0}` (nnU-Net, which also has regions of values).

    Where there are regions, every label is one, and a value has the name of the smallest one it belongs to.

    Raises:
        DataError: a list of something else than values, or such a `regions_class_order`; a value with two
            names, or a background that is not 0.
    """
    labels = description.get("labels")
    names: dict[int, str] = {}
    listed: dict[str, frozenset[int]] = {}
    unread = [str(labels)[:60]] if labels and not isinstance(labels, dict) else []
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, list):
            listed[str(key)] = frozenset(_values(value, f"the label {key}"))
            continue
        named = _named(key, value)
        if named is None:
            unread.append(f"{key}: {str(value)[:60]}")
            continue
        number, name = named
        _check_own(names, number, name)
        names[number] = name
        listed[name] = frozenset([number])
    ignored = next((value for value, name in names.items() if name.lower() == IGNORE), None)
    names.pop(ignored, None)  # type: ignore[arg-type]
    no_region = (frozenset([0]), frozenset([ignored]))
    regions = {name: values for name, values in listed.items() if values not in no_region}
    if len(names) < len(listed):
        names |= {value: _name_of(value, regions) for value in frozenset().union(*regions.values())}
    if all(len(values) == 1 for values in regions.values()):
        return DeclaredLabels(names, ignored, unread=tuple(unread))
    order = description.get("regions_class_order")
    written = tuple(_values(order, "regions_class_order")) if order else None
    return DeclaredLabels(names, ignored, DeclaredRegions(regions, written), tuple(unread))


def _named(key: str, value: Any) -> tuple[int, str] | None:
    """Value and name of `"1": "liver"`, `"liver": 1` or `"1": {"name": "liver"}`; None of anything else."""
    if isinstance(value, dict):
        value = value.get("name")
    if isinstance(value, str) and _is_number(key):
        return int(float(key)), value
    if isinstance(value, str) and _is_number(value):
        return int(float(value)), key
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value), key
    return None


def _check_own(names: Mapping[int, str], number: int, name: str) -> None:
    """Refuse a second name of a value, and a background that would be trained as a class."""
    if names.get(number, name) != name:
        raise DataError(
            f"dataset.json: {names[number]} and {name} are both {number}; expected a value of its own for "
            "each label; correct the file"
        )
    if name.lower() == "background" and number != 0:
        raise DataError(
            f"dataset.json: {name} is {number}; expected 0, as whatever has another value is trained as a "
            "structure; correct the file, or number the labels anew"
        )


def _values(found: Any, what: str) -> list[int]:
    """Whole numbers, which may be written as text."""
    listed = found if isinstance(found, list) else [found]
    values = [int(float(part)) if isinstance(part, str) and _is_number(part) else part for part in listed]
    wrong = [part for part in values if not isinstance(part, int | float) or part != int(part)]
    if wrong or not values:
        raise DataError(
            f"dataset.json: {what} is {str(found)[:60]}; expected values of the label files, as [1, 2]"
        )
    return [int(part) for part in values]


def _name_of(value: int, regions: Mapping[str, frozenset[int]]) -> str:
    """`core`, or `whole without core` for what is left of a region."""
    name = min((n for n, values in regions.items() if value in values), key=lambda n: len(regions[n]))
    parts = {n: values for n, values in regions.items() if values < regions[name]}
    inner = [n for n, values in parts.items() if not any(values < other for other in parts.values())]
    return f"{name} without {' and '.join(inner)}" if inner else name


def _is_number(text: str) -> bool:
    """Whether it is a whole number, which may be written as 1.0."""
    return re.fullmatch(r"[0-9]{1,9}(\.0+)?", text) is not None
