"""Which label belongs to which image, from the stems of their files."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError
from ..core.text import some
from .io.formats import stem_of

SEPARATORS = "_-. "
CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Pairs:
    """Labels by image stem, the suffix that label stems carry, and what was left over."""

    labels: dict[str, Path]
    suffix: str
    images_left: tuple[str, ...]
    labels_left: tuple[str, ...]


def name_of(path: Path) -> str:
    """The stem that names a case: an ü is the same letter in one character, or in two as macOS writes it."""
    return unicodedata.normalize("NFC", stem_of(path))


def by_stem(paths: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """Files by stem, the first of each, and the names of those whose stem was taken already."""
    first: dict[str, Path] = {}
    doubles = []
    for path in paths:
        stem = name_of(path)
        if stem in first:
            doubles.append(path.name)
        else:
            first[stem] = path
    return first, doubles


def pair(images: Iterable[str], labels: dict[str, Path], *, same_folder: bool = False) -> Pairs:
    """Pair image stems with label stems: equal ones, or label = image + one suffix common to all.

    The suffix that pairs most images is taken, an equal stem (no suffix) first. In one folder for
    both, labels are the files with a suffix and the rest are images.

    Raises:
        DataError: two suffixes fit about equally well.
    """
    images = sorted(images)
    by_suffix = _suffixes(images, labels)
    if same_folder:
        by_suffix.pop("", None)
    suffix = _choose(by_suffix)
    stems = by_suffix.get(suffix, [])
    matched = {stem: labels[stem + suffix] for stem in stems}
    taken = {stem + suffix for stem in stems}
    images_left = [stem for stem in images if stem not in matched and not (same_folder and stem in taken)]
    labels_left = [] if same_folder else [stem for stem in sorted(labels) if stem not in taken]
    return Pairs(matched, suffix, tuple(images_left), tuple(labels_left))


def _suffixes(images: list[str], labels: dict[str, Path]) -> dict[str, list[str]]:
    """Every suffix (the empty one too) that turns an image's stem into a label's, with those image stems."""
    stems = set(images)
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        cuts = [place for place, letter in enumerate(label) if letter in SEPARATORS and place > 0]
        for place in (*cuts, len(label)):
            if label[:place] in stems:
                by_suffix[label[place:]].append(label[:place])
    return dict(by_suffix)


def _choose(stems: dict[str, list[str]]) -> str:
    if not stems:
        return ""
    best, *others = sorted(stems, key=lambda suffix: (-len(stems[suffix]), suffix))
    if "" in stems and len(stems[""]) == len(stems[best]):
        return ""
    rivals = [suffix for suffix in others if suffix and 2 * len(stems[suffix]) > len(stems[best])]
    if best and rivals:
        endings = " or ".join(f"{suffix!r} ({len(stems[suffix])} files)" for suffix in (best, *rivals[:2]))
        raise DataError(
            f"{stems[best][0]}: more than one kind of label fits it, ending in {endings}; expected one per "
            "image; put each kind in a folder of its own and name it with `masks`, or list the pairs in a CSV"
        )
    return best


def group_channels(paths: Iterable[Path]) -> dict[str, dict[int, Path]]:
    """`x_0000`, `x_0001`, ... -> {x: {0: first, 1: second, ...}}; {} unless every name is of that kind."""
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in paths:
        match = CHANNEL.fullmatch(name_of(path))
        if match is None:
            return {}
        groups[match[1]].setdefault(int(match[2]), path)
    return dict(groups)


def in_order(channels: dict[int, Path]) -> tuple[Path, ...]:
    """Channel files by their number.

    Raises:
        DataError: a number is missing.
    """
    if sorted(channels) != list(range(len(channels))):
        numbers = some([f"_{number:04d}" for number in sorted(channels)])
        raise DataError(
            f"{channels[min(channels)]}: the channels of this case are {numbers}; expected _0000, _0001, ... "
            "without a gap; add the missing channel or rename the files"
        )
    return tuple(channels[number] for number in sorted(channels))
