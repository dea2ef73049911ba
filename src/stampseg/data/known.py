"""Cases that a network has learnt from, found again among others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from .cases import Case
from .identity import files_of
from .splits import Entry


def trained_on(cases: Sequence[Case], entries: Iterable[Entry]) -> list[Case]:
    """The cases that entries of a splits.json are of: the same image files, or copies of the same name.

    Args:
        cases: to look among.
        entries: of training cases.
    """
    listed = list(entries)
    files = {file for entry in listed for file in files_of(entry.case) if entry.images}
    digests = {(entry.id, entry.digest) for entry in listed if entry.digest is not None}
    names = {name for name, _ in digests}
    found = []
    for case in cases:
        if files & files_of(Case(case.id, case.group, case.images, None)):
            found.append(case)
        elif case.id in names and case.label is not None:
            with suppress(OSError):  # it is said when the case is read
                if (case.id, Entry.of(case).digest) in digests:
                    found.append(case)
    return found
