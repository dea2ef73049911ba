"""What a dataset.json says of the values in the label files: names, regions, and which value to ignore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IGNORE = "ignore"  # nnU-Net's name for voxels of which nobody said what they are


@dataclass(frozen=True)
class DeclaredLabels:
    """Names by value in the files, the value to ignore if there is one, and warnings of one line each."""

    names: Mapping[int, str]
    ignored: int | None = None
    warnings: tuple[str, ...] = ()


def declared_labels(description: Mapping[str, Any]) -> DeclaredLabels:
    """`{"0": "background"}` (Decathlon) or `{"background": 0}` (nnU-Net, which also has regions of values).

    A region's values are classes of their own, named after the smallest region they belong to.
    """
    labels = description.get("labels")
    names: dict[int, str] = {}
    regions: dict[str, frozenset[int]] = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, int):
            names[value] = str(key)
        elif isinstance(value, str) and (_is_number(key) or _is_number(value)):
            names.update({int(key): value} if _is_number(key) else {int(value): key})
        elif isinstance(value, list) and value and all(isinstance(part, int) for part in value):
            regions[str(key)] = frozenset(value)
    ignored = next((value for value, name in names.items() if name.lower() == IGNORE), None)
    names.pop(ignored, None)  # type: ignore[arg-type]
    if not regions:
        return DeclaredLabels(names, ignored)
    regions |= {name: frozenset([value]) for value, name in names.items()}
    names = {value: _name_of(value, regions) for value in frozenset().union(*regions.values())}
    if all(len(values) == 1 for values in regions.values()):
        return DeclaredLabels(names, ignored)
    several = "; ".join(
        f"{name}: {', '.join(map(str, sorted(values)))}"
        for name, values in regions.items()
        if len(values) > 1
    )
    classes = ", ".join(f"{value} {name}" for value, name in sorted(names.items()) if value)
    said = (
        f"dataset.json declares regions ({several}), which are not trained as such; every value is a class "
        f"that excludes the others: {classes}"
    )
    return DeclaredLabels(names, ignored, (said,))


def _name_of(value: int, regions: Mapping[str, frozenset[int]]) -> str:
    """`core`, or `whole without core` for what is left of a region."""
    name = min((n for n, values in regions.items() if value in values), key=lambda n: len(regions[n]))
    parts = {n: values for n, values in regions.items() if values < regions[name]}
    inner = [n for n, values in parts.items() if not any(values < other for other in parts.values())]
    return f"{name} without {' and '.join(inner)}" if inner else name


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
