"""MetaImage and NRRD files written by hand, so that their headers can say anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

META = {"uint8": "MET_UCHAR", "int16": "MET_SHORT", "int32": "MET_INT"}
NRRD = {"uint8": "uchar", "int16": "short", "int32": "int"}
PLACE = ("ElementSpacing = 1 1 1.5", "Offset = -5 6 7", "TransformMatrix = 1 0 0 0 -1 0 0 0 1")
DIRECTIONS = ("space: left-posterior-superior", "space directions: (1,0,0) (0,-1,0) (0,0,1.5)")


def meta(
    path: Path, array: np.ndarray, values: bytes, fields: Sequence[str] = (), data: str = "LOCAL"
) -> Path:
    """A MetaImage of (X, Y, Z); its values, as bytes, follow the header or lie in the file `data`."""
    sizes = " ".join(map(str, array.shape))
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = {sizes}", *PLACE, *fields]
    lines += [f"ElementType = {META[array.dtype.name]}", f"ElementDataFile = {data}"]
    head = ("\n".join(lines) + "\n").encode()
    if data != "LOCAL":
        (path.parent / data).write_bytes(values)
    path.write_bytes(head + values if data == "LOCAL" else head)
    return path


def nrrd(
    path: Path, array: np.ndarray, values: bytes, encoding: str, fields: Sequence[str] = DIRECTIONS
) -> Path:
    """A NRRD of (X, Y, Z); its values, as bytes, follow the header."""
    sizes = " ".join(map(str, array.shape))
    lines = ["NRRD0005", f"type: {NRRD[array.dtype.name]}", f"dimension: {array.ndim}", f"sizes: {sizes}"]
    lines += ["endian: little", f"encoding: {encoding}", *fields]
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + values)
    return path


def raw(array: np.ndarray) -> bytes:
    """Values as both formats store them, x fastest."""
    return array.T.astype(array.dtype.newbyteorder("<")).tobytes()


def text(array: np.ndarray) -> bytes:
    """Values as numbers in letters."""
    return (" ".join(map(str, array.T.ravel().tolist())) + "\n").encode()
