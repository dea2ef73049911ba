"""MetaImage and NRRD with headers that other programs read otherwise, or values that are damaged."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.data.header_files import DIRECTIONS, meta, nrrd, raw, text

from .bench import SHAPE, Bench, scan
from .entry import Refused, Same, bad
from .volumes import Commands

VOXELS = scan(0, SHAPE)[0]
STREAM = zlib.compress(raw(VOXELS))


def _packed(name: str, stream: bytes) -> Callable[[Path], Path]:
    fields = ["CompressedData = True", f"CompressedDataSize = {len(stream)}"]
    return lambda folder: meta(folder / name, VOXELS, stream, fields)


def _detached(folder: Path) -> Path:
    path = meta(folder / "x.mhd", VOXELS, raw(VOXELS), data="x.raw")
    path.write_bytes(path.read_bytes().replace(b"x.raw", b"X.raw"))
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "MetaImage whose packed values are cut short": (
        _packed("x.mha", STREAM[:-200]),
        r"x\.mha: its packed values do not unpack to the 1,680 bytes .*; the file is damaged",
    ),
    "MetaImage with noise in its packed values": (
        _packed("x.mha", STREAM[:200] + bytes(50) + STREAM[250:]),
        r"x\.mha: its packed values do not unpack to the 1,680 bytes .*; the file is damaged",
    ),
    "MetaImage that does not say how long its packed values are": (
        lambda folder: meta(folder / "x.mha", VOXELS, STREAM, ["CompressedData = True"]),
        r"x\.mha: .* no CompressedDataSize says how many bytes",
    ),
    "MetaImage whose data file has another name": (
        _detached,
        r"x\.mhd: its data file X\.raw is missing in .*; put it there",
    ),
    "NRRD packed as bzip2": (
        lambda folder: nrrd(folder / "x.nrrd", VOXELS, bz2.compress(raw(VOXELS)), "bzip2"),
        r"x\.nrrd: its values are packed as bzip2",
    ),
    "NRRD without the distance of its slices": (
        lambda folder: nrrd(
            folder / "x.nrrd",
            VOXELS,
            raw(VOXELS),
            "raw",
            (DIRECTIONS[0], "space directions: (1,0,0) (0,1,0) none"),
        ),
        r"x\.nrrd: its header says the size of a voxel along 2 of 3 axes",
    ),
}


def _refused(name: str) -> None:
    write, said = REFUSED[name]

    @bad(f"header: {name}", Refused(3, said))
    def one(bench: Bench) -> Commands:
        return bench.predict(write(bench.folder))


for _name in REFUSED:
    _refused(_name)


@bad("header: MetaImage with values in letters", Same())
def in_letters(bench: Bench) -> Commands:
    wide = VOXELS.astype(np.int32)
    meta(bench.folder / "v0.mha", wide, text(wide), ["BinaryData = False"])
    return bench.predict(bench.folder / "v0.mha")
