"""Whether cases are the same: the same files, or copies of the same image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .cases import Case
from .duplicates import find_duplicates


def people_of(named: Sequence[Case], cases: Sequence[Case]) -> set[str]:
    """People of the named cases, and of those among `cases` that have a file or an image's copy of theirs."""
    files = {file for case in named for file in files_of(case)}
    copies = copies_among(cases, named)
    return {case.group for case in named} | {
        case.group for case in cases if case.id in copies or files_of(case) & files
    }


def copies_among(cases: Sequence[Case], named: Sequence[Case]) -> list[str]:
    """Ids of the cases whose image is that of a named one, byte for byte, in another file."""
    pairs = find_duplicates([case.images for case in (*named, *cases)])
    copies = [cases[other - len(named)] for first, other in pairs if first < len(named) <= other]
    files = {file for case in named for file in files_of(case)}
    return [case.id for case in copies if not files_of(case) & files]


def files_of(case: Case) -> set[Path]:
    """Image and label files, links followed."""
    return {Path(os.path.realpath(path)) for path in case.files}
