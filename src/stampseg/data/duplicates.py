"""Files that are equal byte for byte under different names, found without reading all of them."""

from __future__ import annotations

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

SAMPLE_BYTES = 1 << 16


def find_duplicates(items: Sequence[Sequence[Path]]) -> list[tuple[int, int]]:
    """Pairs (first, other) of positions in `items` whose files are equal one by one; folders are left out."""
    by_sample: dict[Hashable, list[int]] = defaultdict(list)
    for place, sizes in _of_equal_size(items):
        by_sample[(sizes, _sample(items[place][0]))].append(place)
    duplicates = []
    for first, *others in by_sample.values():
        duplicates += [(first, other) for other in others if _equal(items[first], items[other])]
    return sorted(duplicates)


def _of_equal_size(items: Sequence[Sequence[Path]]) -> list[tuple[int, tuple[int, ...]]]:
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, files in enumerate(items):
        if all(path.is_file() for path in files):
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


def _equal(first: Sequence[Path], second: Sequence[Path]) -> bool:
    return all(filecmp.cmp(one, other, shallow=False) for one, other in zip(first, second, strict=True))
