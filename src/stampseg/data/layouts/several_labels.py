"""Several labels of one image: that on which observers agreed, or pieces such as one for each lesion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..labels.organs import PIECE
from .case_folders import CaseFolder
from .habits import AGREED, SEPARATORS, words_of
from .listing import Entry, left_over
from .pairing import name_of

TOLD_PIECES = "several masks taken as pieces of one label"
NUMBER = re.compile(f"[{re.escape(SEPARATORS)}]+[0-9]+$")


def agreed(folders: Sequence[CaseFolder]) -> tuple[list[CaseFolder], tuple[str, ...]]:
    """Folders with the one label that is called as a consensus, where there is one, and what is left out."""
    found, left = [], []
    for folder in folders:
        labels = folder.labels | folder.organs
        chosen = [name for name in labels if not words_of(name).isdisjoint(AGREED)]
        if len(chosen) == 1 < len(labels):
            left += [path.name for name, path in labels.items() if name != chosen[0]]
            folder = replace(folder, labels={chosen[0]: labels[chosen[0]]}, organs={})
        found.append(folder)
    return found, left_over("labels left out, beside that of a consensus", left)


def are_pieces(labels: Sequence[Path]) -> bool:
    """Whether files are called alike but for a number behind: `p1_mask`, `p1_mask_1`; or `p1_1`, `p1_2`."""
    return len({NUMBER.sub("", name_of(path)) for path in labels}) == 1


def with_label(entry: Entry, labels: Sequence[Path]) -> Entry:
    """An entry with its label, of pieces where there are several."""
    if not labels:
        return entry
    pieces = tuple((PIECE, path) for path in sorted(labels)) if len(labels) > 1 else ()
    return replace(entry, label=min(labels), organs=pieces)
