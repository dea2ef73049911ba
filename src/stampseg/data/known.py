"""Cases that a network has learnt from, found again among others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from ..core.errors import DataError
from .cases import Case
from .identity import files_of
from .splits import Entry, digest_of


def trained_on(cases: Sequence[Case], entries: Iterable[Entry], digests: Collection[str] = ()) -> list[Case]:
    """The cases that entries of a splits.json are of: the same image files, or copies of them.

    Older entries do not say what is in the image files alone: copies are then found by name and label.

    Args:
        cases: to look among.
        entries: of training cases.
        digests: of the image files of training cases, as a model file has them.
    """
    listed = list(entries)
    files = {file for entry in listed for file in files_of(entry.case) if entry.images}
    images = {*digests, *(entry.image_digest for entry in listed if entry.image_digest is not None)}
    named = {(entry.id, entry.digest) for entry in listed if entry.digest and entry.image_digest is None}
    names = {name for name, _ in named}

    def known(case: Case) -> bool:
        if files & files_of(case.bare):
            return True
        with suppress(OSError, DataError):  # it is said when the case is read
            if images and digest_of(case.images) in images:
                return True
            return case.id in names and case.label is not None and (case.id, digest_of(case.files)) in named
        return False

    return [case for case in cases if known(case)]
