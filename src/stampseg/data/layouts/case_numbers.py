"""Images and labels that are numbered otherwise: with zeros in front or without, from 0 or from 1 on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ...core.errors import DataError
from .habits import image_name, plain_name
from .pairing import Pairs, differing

LEADING = re.compile(r"(?<!\d)0+(?=\d)")  # zeros of a number
SHIFTED = 3  # equal numbers from which it is likely that one kind begins at another number


def with_other_zeros(pairs: Pairs, labels: dict[str, Path]) -> Pairs:
    """All pairs by number, where one kind writes it with zeros in front and the other never: `img_01` and
    `img_1`, or `mask_1`. What names say beside that number is the same in all; else `pairs` as they are.
    """
    images = (*pairs.images_left, *pairs.labels)
    marks = {plain_name(stem): stem for stem in labels}
    for called in (str, image_name):
        by_name = {called(stem): stem for stem in images}
        (ours, own), (theirs, shared) = _numbers(by_name), _numbers(marks)
        if own != shared or not _padded_alone(ours, theirs):
            continue
        numbers = {int(number): name for number, name in theirs.items()}
        found = {
            by_name[name]: labels[marks[numbers[int(number)]]]
            for number, name in ours.items()
            if int(number) in numbers
        }
        used = set(found.values())
        return Pairs(
            found,
            pairs.suffix,
            tuple(stem for stem in images if stem not in found),
            tuple(stem for stem in sorted(labels) if labels[stem] not in used),
        )
    return pairs


def _padded_alone(ours: Collection[str], theirs: Collection[str]) -> bool:
    """Whether numbers of one kind have one length, with zeros, and those of the other no zero in front; and
    several are in both that are not written alike.
    """
    bare = [not any(map(LEADING.match, numbers)) for numbers in (ours, theirs)]
    padded = ours if bare[1] else theirs
    changed = {*map(int, ours)} & {*map(int, theirs)} - {*map(int, {*ours} & {*theirs})}
    return bare[0] != bare[1] and len({*map(len, padded)}) == 1 and len(changed) > 1


def check_same_start(images: Iterable[str], labels: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Check that labels are not numbered from another number on than images, as 0 to 9 beside 1 to 10: then
    equal numbers may be of neighbours.

    Args:
        images, labels: their stems.
        folder: of the labels.

    Returns:
        A word where there are not as many of both, so that this is less likely.

    Raises:
        DataError: there are, without a gap.
    """
    ours, theirs = ({int(n): stem for n, stem in _numbers(stems)[0].items()} for stems in (images, labels))
    whole = all(set(range(min(each), max(each) + 1)) == set(each) for each in (ours, theirs) if each)
    starts = {min(each, default=-1) for each in (ours, theirs)}
    if not whole or starts != {0, 1} or len(ours.keys() & theirs.keys()) < SHIFTED:
        return ()
    said = (
        f"labels are numbered from {theirs[min(theirs)]} to {theirs[max(theirs)]}, images from "
        f"{ours[min(ours)]} to {ours[max(ours)]}: by equal numbers each may be paired with the label of its "
        "neighbour"
    )
    if len(ours) != len(theirs):
        return (f"{said}; if the first label is that of the first image, rename them",)
    raise DataError(
        f"{folder}: {said}; expected the same numbers; rename the labels, or list the pairs in a CSV with "
        "columns image,label"
    )


def _numbers(stems: Iterable[str]) -> tuple[dict[str, str], str]:
    """Stems by the number in which alone they differ, and what all share; none where they differ in more."""
    by_what, shared = differing(list(stems))
    alone = all(map(str.isdecimal, by_what)) and len({*map(int, by_what)}) == len(by_what)
    return (by_what if alone else {}), shared
