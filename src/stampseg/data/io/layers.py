"""Segments of 3D Slicer's files, which lie in several layers where they overlap, or did once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.text import counted

FIELD = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")


@dataclass(frozen=True)
class Segment:
    """A segment: its name ("" where there is none), its layer and value there, and its value in one map."""

    name: str
    layer: int
    value: int
    number: int


def segments_in(fields: Mapping[str, str]) -> tuple[Segment, ...]:
    """The segments that a header's fields describe, in their order.

    Where two have one value, in layers of their own, they are numbered from 1 in that order.
    """
    parts: dict[int, dict[str, str]] = {}
    for key, text in fields.items():
        if found := FIELD.fullmatch(key):
            parts.setdefault(int(found[1]), {})[found[2]] = text
    listed = [(n, part) for n, part in sorted(parts.items()) if part.get("LabelValue", "").isdecimal()]
    values = [int(part["LabelValue"]) for _, part in listed]
    layers = {part.get("Layer", "0") for _, part in listed}
    numbers = range(1, len(values) + 1) if len(layers) > 1 and len({*values}) < len(values) else values
    return tuple(
        Segment(part.get("Name", ""), int(part.get("Layer") or 0), value, number)
        for (_, part), value, number in zip(listed, values, numbers, strict=True)
    )


def merged(layers: Sequence[np.ndarray], segments: Sequence[Segment], path: Path) -> np.ndarray:
    """One map (*S) of all layers.

    Raises:
        DataError: segments overlap, or a layer holds a value of no segment.
    """
    highest = max(segment.number for segment in segments)
    whole = np.zeros(layers[0].shape, np.min_scalar_type(highest))
    left = sum(int((layer != 0).sum()) for layer in layers)
    for segment in segments:
        if not 0 <= segment.layer < len(layers):
            raise DataError(
                f"{path}: {_name(segment)} is said to be in layer {segment.layer} of {len(layers)}; save it "
                "anew with 3D Slicer"
            )
        inside = layers[segment.layer] == segment.value
        shared = inside & (whole != 0)
        if shared.any():
            other = next(one for one in segments if one.number == whole[shared].flat[0])
            both = f"{_name(segment)} and {_name(other)} overlap"
            raise DataError(
                f"{path}: {both} in {counted(int(shared.sum()), 'voxel')}; "
                "expected one class per voxel; in 3D Slicer take one off the other (Logical operators, "
                "Subtract), or export each as a mask of its own to train them apart"
            )
        whole[inside] = segment.number
        left -= int(inside.sum())
    if left:
        raise DataError(
            f"{path}: {counted(left, 'voxel')} of its layers are of none of its segments; expected a segment "
            "for every value; save it anew with 3D Slicer"
        )
    return whole


def _name(segment: Segment) -> str:
    return segment.name or f"segment {segment.number}"
