"""Files that are equal byte for byte under different names, found without reading all of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from ..core.errors import DataError
from .io.formats import data_files

SAMPLE_BYTES = 1 << 16


def find_duplicates(items: Sequence[Sequence[Path]]) -> list[tuple[int, int]]:
    """Pairs (first, other) of positions in `items` whose files are equal one by one.

    Files are all that hold the voxels: those of a series, and the data beside a header. An item of which one
    is missing or cannot be read has no copies.
    """
    items = [_files(paths) for paths in items]
    by_sample: dict[Hashable, list[int]] = defaultdict(list)
    for place, sizes in _of_equal_size(items):
        by_sample[(sizes, _sample(items[place][-1]))].append(place)
    duplicates = []
    for places in by_sample.values():
        by_content: dict[bytes, list[int]] = defaultdict(list)
        for place in places if len(places) > 1 else ():
            by_content[_content(items[place])].append(place)
        duplicates += [(first, other) for first, *others in by_content.values() for other in others]
    return sorted(duplicates)


def _files(paths: Sequence[Path]) -> list[Path]:
    try:
        files = [file for path in paths for file in data_files(path)]
    except DataError:
        return []
    return files if all(path.is_file() for path in files) else []


def _of_equal_size(items: Sequence[Sequence[Path]]) -> list[tuple[int, tuple[int, ...]]]:
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, files in enumerate(items):
        if files:
            by_size[tuple(path.stat().st_size for path in files)].append(place)
    return [(place, sizes) for sizes, places in by_size.items() if len(places) > 1 for place in places]


def _sample(path: Path) -> bytes:
    """Digest of the head, middle and tail of a file."""
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as stream:
        for start in sorted({0, max(0, size // 2 - SAMPLE_BYTES // 2), max(0, size - SAMPLE_BYTES)}):
            stream.seek(start)
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.digest()


def _content(files: Sequence[Path]) -> bytes:
    """Digest of files of known sizes, of which each is read once however many share its size and sample."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.digest()
