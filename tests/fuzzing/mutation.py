"""How a valid file is damaged: bytes anywhere, numbers in the header, JSON by its structure."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any

from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
FLOATS = (0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"))
HEADER = 600  # bytes in which most sizes and offsets stand
KINDS = ("flip", "number", "float", "cut", "delete", "repeat", "insert")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([*NUMBERS, 10**30])
    | st.sampled_from(FLOATS)
    | st.text(max_size=8)
    | st.sampled_from(["", "..", "/", "\0", "a\nb", "²", "9" * 5000, "x" * 300, "../../x.nii.gz"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with one to four damages."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        limit = draw(st.sampled_from([min(HEADER, len(content)), len(content)]))
        _damage(draw, content, draw(st.integers(0, limit - 1)), draw(st.sampled_from(KINDS)))
    return bytes(content)


def _damage(draw: st.DrawFn, content: bytearray, place: int, kind: str) -> None:
    if kind == "flip":
        content[place] ^= draw(st.integers(1, 255))
    elif kind == "number":
        length, order = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(["little", "big"]))
        value = draw(st.sampled_from(NUMBERS)) % 256**length
        content[place : place + length] = value.to_bytes(length, order)
    elif kind == "float":
        form = draw(st.sampled_from(["<d", ">d"]))
        content[place : place + 8] = struct.pack(form, draw(st.sampled_from(FLOATS)))
    elif kind == "cut":
        del content[place:]
    elif kind == "delete":
        del content[place : place + draw(st.integers(1, 64))]
    elif kind == "repeat":
        content[place:place] = content[place : place + draw(st.integers(1, 64))]
    else:
        content[place:place] = draw(st.binary(min_size=1, max_size=16))


@st.composite
def altered(draw: st.DrawFn, values: Any) -> Any:
    """JSON values with one to three of them replaced, removed or added."""
    values = copy.deepcopy(values)
    for _ in range(draw(st.integers(1, 3))):
        at, key = values, None
        while isinstance(at, dict | list) and at and (key is None or draw(st.integers(0, 3))):
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = draw(st.sampled_from(keys))
            if not isinstance(at[key], dict | list) or not at[key]:
                break
            inner = at[key]
            if not draw(st.integers(0, 3)):
                break
            at = inner
            key = None
        if key is None:
            return draw(VALUES)
        if isinstance(at, dict) and draw(st.booleans()):
            at.pop(key)
            at[draw(st.text(max_size=4))] = draw(VALUES)
        else:
            at[key] = draw(VALUES)
    return values


def as_text(values: Any) -> bytes:
    """JSON, or YAML, of the values."""
    return json.dumps(values).encode()
