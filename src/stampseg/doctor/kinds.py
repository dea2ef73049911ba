"""Data sets of two kinds of scans, half and half: of neither it is usual, so that no case is an outlier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..core.text import counted, size_text
from .facts import CaseFacts, Measure
from .finding import Finding, finding
from .outliers import FEWEST, by_body_axis

LEAST = 0.25  # share of the cases that either kind is more than; of fewer each is an outlier
SIZES_APART = math.log(2.0)  # of the largest of one kind from the smallest of the other
MIDDLES_APART = 0.3  # of the whole range of an image's values
TIMES = 2.0  # as wide as either kind is in itself must the gap between them be


def find_kinds(facts: Sequence[CaseFacts]) -> list[Finding]:
    """A warning where the cases fall apart into two kinds, by the first measure that parts them."""
    facts = [f for f in facts if not f.constant]
    for measure, least, words in (
        (_extent, SIZES_APART, _extent_words),
        (_spacing, SIZES_APART, _spacing_words),
        (_middle, MIDDLES_APART, _middle_words),
    ):
        parted = _parted(facts, measure, least)
        if parted:
            some, others = (f"{counted(len(kind), 'image')} {words(kind)}" for kind in parted)
            return [
                finding(
                    "kinds",
                    f"two kinds of images, and nothing between them: {some}, and {others}",
                    "are they of one modality and part of the body? If not, train a network for each",
                    [f.image for f in min(parted, key=len)],
                )
            ]
    return []


def _parted(
    facts: Sequence[CaseFacts], measure: Measure, least: float
) -> tuple[list[CaseFacts], list[CaseFacts]] | None:
    """The two kinds, each of more than a quarter of the cases, by the number that has the widest gap."""
    rows = [tuple(measure(f)) for f in facts]
    fewest = max(FEWEST, math.floor(LEAST * len(rows)) + 1)
    if len({len(row) for row in rows}) != 1 or len(rows) < 2 * fewest:
        return None
    found, widest = None, 0.0
    for column in np.array(rows, dtype=float).T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        gaps = np.diff(ranked)[fewest - 1 : len(ranked) - fewest]
        first = fewest + int(gaps.argmax())  # of the upper kind
        gap, own = float(gaps.max()), max(ranked[first - 1] - ranked[0], ranked[-1] - ranked[first])
        if gap >= least and gap >= TIMES * own and gap > widest:
            kinds = [[facts[place] for place in sorted(part)] for part in (order[:first], order[first:])]
            found, widest = (kinds[0], kinds[1]), gap
    return found


def _extent(facts: CaseFacts) -> Sequence[float]:
    return _sides(facts, facts.extent)


def _spacing(facts: CaseFacts) -> Sequence[float]:
    return _sides(facts, facts.spacing)


def _sides(facts: CaseFacts, sizes: Sequence[float]) -> list[float]:
    """Logarithms along the axes of the body; of pictures, which may stand or lie, the shorter side first."""
    along = [math.log(size) for size in by_body_axis(facts, sizes)]
    return along if facts.orientation else sorted(along)


def _middle(facts: CaseFacts) -> Sequence[float]:
    return [facts.middle_share]


def _unit(facts: CaseFacts) -> str:
    return "mm" if facts.orientation else "pixels"


def _example(kind: Sequence[CaseFacts], text: Callable[[CaseFacts], str]) -> str:
    return f"as {kind[0].image} ({text(kind[0])})"


def _extent_words(kind: Sequence[CaseFacts]) -> str:
    return _example(kind, lambda f: f"{size_text(by_body_axis(f, f.extent), 3)} {_unit(f)} in extent")


def _spacing_words(kind: Sequence[CaseFacts]) -> str:
    return _example(kind, lambda f: f"voxels of {size_text(by_body_axis(f, f.spacing), 3)} mm")


def _middle_words(kind: Sequence[CaseFacts]) -> str:
    return _example(kind, lambda f: f"middle value at {_middle(f)[0]:.0%} of its range")
