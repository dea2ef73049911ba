"""The packed values of a MetaImage, looked at before ITK reads them.

ITK unpacks a damaged stream as far as it goes, says so on the console at most, and leaves the rest of the
image as the memory happened to be.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from ...core.errors import DataError

PACKED = re.compile(rb"^CompressedData\s*=\s*T", re.I | re.M)
SIZE = re.compile(rb"^CompressedDataSize\s*=\s*(\d+)", re.I | re.M)
SKIPPED = re.compile(rb"^HeaderSize\s*=\s*(\d+)", re.I | re.M)
DATA_LINE = re.compile(rb"^ElementDataFile\s*=.*?\r?\n", re.I | re.M)
HEADER = 1 << 16  # bytes within which a header ends
CHUNK = 1 << 20
EITHER = 47  # for zlib: a stream of its own, or of gzip


def check_packed(path: Path, data: Path, promised: int) -> None:
    """See that the packed values of a MetaImage unpack to the end and are as many as its header says.

    Args:
        path: the header.
        data: the file with the values, `path` itself where they follow the header.
        promised: bytes of all values.

    Raises:
        DataError: they do not.
    """
    with path.open("rb") as stream:
        start = stream.read(HEADER)
    line = DATA_LINE.search(start)
    header = start[: line.end()] if line else start
    if not PACKED.search(header):
        return
    said = SIZE.search(header)
    size = int(said[1]) if said else 0
    if data == path and not size:
        raise DataError(
            f"{path}: its values are packed, and no CompressedDataSize says how many bytes they take; "
            "expected that number in the header; save the image again"
        )
    skipped = int(found[1]) if (found := SKIPPED.search(header)) else 0
    if not _unpacks(data, skipped + (len(header) if data == path else 0), size, promised):
        where = "" if data == path else f" in {data.name}"
        raise DataError(
            f"{path}: its packed values{where} do not unpack to the {promised:,} bytes that its header "
            "promises; the file is damaged or cut short; copy it again"
        )


def _unpacks(data: Path, begin: int, size: int, promised: int) -> bool:
    """Whether there are as many bytes, and the checksum fits; what goes on far beyond is left."""
    unpack, found, left = zlib.decompressobj(EITHER), 0, size or data.stat().st_size
    with data.open("rb") as stream:
        stream.seek(begin)
        while not unpack.eof and found <= promised + CHUNK:
            packed = unpack.unconsumed_tail
            if not packed:
                packed = stream.read(min(CHUNK, left))
                left -= len(packed)
            if not packed:
                return False
            try:
                found += len(unpack.decompress(packed, 8 * CHUNK))
            except zlib.error:
                return False
    return found >= promised
