"""Labels that number single objects, as cells or lesions, rather than classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from ...core.text import counted
from .organs import LabelFiles, read_label_files
from .pieces import count_pieces
from .values import ValueCounts

LOOKED_AT = 8  # label maps
KINDS = 3  # different numbers of objects from which they are no structures that scans lack


def told_numbers(
    counts: ValueCounts, declared: Mapping[int, str], labels: Sequence[LabelFiles]
) -> tuple[str, ...]:
    """A line where the values of each file are 1 to a number of its own, and each value is one piece.

    Programs that tell objects apart (Cellpose, StarDist) save them so. Values that are `declared` to have a
    name are classes.
    """
    highest = {max(values) for values in counts.sets if values - {0}}
    numbered = all(max(values) == len(values - {0}) for values in counts.sets)  # 1, 2, ... without a gap
    if not numbered or len(highest) < KINDS or declared:
        return ()
    if any(isinstance(each, tuple) for each in labels):  # organs, or pieces of one label
        return ()
    for files in islice(labels, LOOKED_AT):
        label = read_label_files(files).array
        if any(count_pieces(label == value) > 1 for value in range(1, max(highest) + 1)):
            return ()
    return (
        f"the labels hold 1 to {min(highest)} in some and 1 to {max(highest)} in others, and each value is "
        f"one piece: if they number single objects, {counted(max(highest), 'class', 'classes')} are trained "
        "that are one; count them as one with `data.merge`, or save the objects as 1",
    )
