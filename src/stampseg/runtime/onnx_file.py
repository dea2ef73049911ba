"""A look into an ONNX file before any engine opens it: its metadata, and whether weights lie elsewhere.

ONNX is a protocol buffer: fields of a number and a wire type, messages within messages. Only those fields
are followed that lead to tensors; everything else is stepped over by its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# Fields of each message that hold further messages, by number, as onnx.proto has them.
_INSIDE: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 14: "Property", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Tensor": {},
    "Property": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


@dataclass
class OnnxContent:
    """What was found: metadata by key, and whether a tensor's values lie in another file."""

    metadata: dict[str, bytes] = field(default_factory=dict)
    external: bool = False
    has_graph: bool = False


def look_into(data: bytes) -> OnnxContent:
    """Walk through a file.

    Raises:
        ValueError: it is no protocol buffer, or it is cut short.
    """
    view, found = memoryview(data), OnnxContent()
    rest: list[tuple[str, int, int]] = [("Model", 0, len(data))]
    while rest:
        message, start, stop = rest.pop()
        if message == "Property":
            parts = {number: view[a:b] for number, _, a, b in _fields(view, start, stop)}
            found.metadata[bytes(parts.get(1, b"")).decode("utf-8", "replace")] = bytes(parts.get(2, b""))
            continue
        for number, value, first, last in _fields(view, start, stop):
            if message == "Tensor":
                found.external |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)
            inside = _INSIDE[message].get(number)
            if inside is not None and value is None:
                found.has_graph |= inside == "Graph"
                rest.append((inside, first, last))
    return found


def _fields(view: memoryview, place: int, stop: int) -> Iterator[tuple[int, int | None, int, int]]:
    """Number, value (None if it is of a length of its own), start and end of each field."""
    while place < stop:
        tag, place = _number(view, place, stop)
        kind, value, first = tag & 7, None, place
        if kind == 0:
            value, place = _number(view, place, stop)
        elif kind == 1:
            value, place = 0, place + 8
        elif kind == 2:
            length, first = _number(view, place, stop)
            place = first + length
        elif kind == 5:
            value, place = 0, place + 4
        else:
            raise ValueError(f"wire type {kind}")
        if place > stop:
            raise ValueError("cut short")
        yield tag >> 3, value, first, place


def _number(view: memoryview, place: int, stop: int) -> tuple[int, int]:
    """A number of seven bits per byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= stop:
            raise ValueError("cut short")
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number without end")
