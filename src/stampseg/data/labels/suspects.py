"""Values of labels that may mean something else than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.text import some
from ..io.colours import describe
from .values import ValueCounts

VOID = 255  # Pascal VOC's mark of what is not labelled
FEW = 64  # up to which values beside it number classes, rather than being greys
SMALL = 0.05  # of the labelled voxels; blends of two values at their border have less
OFTEN = 2  # labels that a value is in, for it to be no slip
BLENDS = 6  # small values from which they look like blends


def suspects(counts: ValueCounts, declared: Mapping[int, str]) -> tuple[str, ...]:
    """What to look at, one line each; `declared` are the values that have a name."""
    return (
        *_two_scales(counts),
        *_never_together(counts, declared),
        *_two_scales_of_several(counts),
        *_numbered_higher(counts),
        *_void(counts, declared),
    )


def blends(counts: ValueCounts, declared: Mapping[int, str]) -> list[int]:
    """Undeclared values that may be blends of others, as of a smoothed or resized mask; else [].

    They are many, and few others have most of what is labelled. Small structures may be as many: whether
    these are some, their place in a label says, see `is_coherent`.
    """
    labelled = {value: count for value, count in counts.voxels.items() if value != 0}
    limit = SMALL * sum(labelled.values())
    small = sorted(value for value, count in labelled.items() if count < limit and value not in declared)
    large = len(labelled) - len(small)
    if max(labelled, default=0) <= FEW or len(small) < BLENDS or not 0 < 2 * large <= len(small):
        return []
    return small


def told_blends(values: Sequence[int], names: Sequence[str], file: str) -> str:
    """What is told of blends, in a line; `names` of those values."""
    return (
        f"{len(values)} label values, such as {some(names, 3)} in {file}, lie between others at their "
        "borders alone, as where a mask was smoothed or resized, and are trained as classes: threshold the "
        "masks, or resize them with nearest neighbour"
    )


def _two_scales(counts: ValueCounts) -> tuple[str, ...]:
    """The same mask is often stored as 0 and 1 in some files and as 0 and 255 in others."""
    ones, full = counts.sets[frozenset({0, 1})], counts.sets[frozenset({0, 255})]
    if not (ones and full) or any({1, 255} <= values for values in counts.sets):
        return ()
    return (
        f"{ones} label(s) hold 0 and 1, {full} hold 0 and 255 (such as {counts.first[1].name} and "
        f"{counts.first[255].name}); they are trained as two classes: if both are one structure, say "
        "`data.merge` foreground=1,255, or save them with one value",
    )


def _never_together(counts: ValueCounts, declared: Mapping[int, str]) -> tuple[str, ...]:
    """Values without a name, of which each label holds one alone, may be one structure."""
    alone = {min(values - {0}): number for values, number in counts.sets.items() if len(values - {0}) == 1}
    several = any(len(values - {0}) > 1 for values in counts.sets)
    if several or len(alone) < 2 or alone.keys() == {1, VOID} or alone.keys() & declared.keys():
        return ()
    if min(alone.values()) < OFTEN:
        return ()
    listed = some([f"{describe(value)} in {number}" for value, number in sorted(alone.items())])
    examples = " and ".join(counts.first[value].name for value in sorted(alone)[:2])
    return (
        f"no label holds two of the values {listed} label(s) (such as {examples}); each is trained as a "
        "class of its own: if they are one structure, save it with one value, or use `data.merge`",
    )


def _two_scales_of_several(counts: ValueCounts) -> tuple[str, ...]:
    """Masks of several structures are saved as 1, 2 by one program, and as greys or colours by another."""
    low, high = (frozenset(v for v in counts.voxels if v != 0 and (v <= FEW) is few) for few in (True, False))
    both = any(low & values and high & values for values in counts.sets)
    if both or not 1 < len(low) == len(high) or max(low) != len(low):
        return ()
    ones, others = (sum(n for values, n in counts.sets.items() if values & side) for side in (low, high))
    return (
        f"{ones} label(s) hold {_listed(low)}, {others} as many greys or colours instead (such as "
        f"{counts.first[min(low)].name} and {counts.first[min(high)].name}); they are trained as "
        f"{2 * len(low)} classes: if they are the same structures, save them with one set of values",
    )


def _numbered_higher(counts: ValueCounts) -> tuple[str, ...]:
    """Some programs number background 1, others 0."""
    usual = frozenset[int]().union(*(values for values in counts.sets if 0 in values))
    higher = frozenset[int]().union(*(values for values in counts.sets if 0 not in values))
    if len(higher) < 2 or {value - 1 for value in higher} != usual:
        return ()
    number = sum(count for values, count in counts.sets.items() if 0 not in values)
    return (
        f"{number} label(s) hold {_listed(higher)} and no 0, the others {_listed(usual)} (such as "
        f"{counts.first[max(higher)].name} and {counts.first[0].name}); each value is trained as one class: "
        "if some files are numbered one higher, number them as the others are",
    )


def _void(counts: ValueCounts, declared: Mapping[int, str]) -> tuple[str, ...]:
    """255 beside small numbers in the same files."""
    others = [value for value in counts.voxels if value not in (0, VOID)]
    beside = any(VOID in values and values & set(others) for values in counts.sets)
    if VOID in declared or not beside or max(others) > FEW:
        return ()
    return (
        f"value {VOID} beside {_listed(others)} in {counts.files[VOID]} label(s), trained as a class: where "
        f"it marks what nobody labelled, as it often does, say `data.ignore_label` {VOID}; else name it",
    )


def _listed(values: frozenset[int] | list[int]) -> str:
    return some([str(value) for value in sorted(values)])
