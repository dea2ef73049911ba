"""Cases that a network has learnt from, found again among others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...core.errors import DataError
from ..cases import Case
from .identity import files_of
from .record import SplitCase, digest_of

FILES, VOXELS = "trained_on", "trained_on_voxels"  # of a model file, in what it says of its making


def digests_in(provenance: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    """Of the image files that a model was trained on, or of their voxels, or both; older files do not say."""
    found = [provenance.get(key) for key in keys or (FILES, VOXELS)]
    return tuple(str(one) for each in found if isinstance(each, list | tuple) for one in each)


class Known:
    """Knows the cases that a network has learnt from: the same image files, or copies of them."""

    def __init__(self, entries: Iterable[SplitCase], digests: Collection[str] = ()) -> None:
        """Args:
        entries: of a splits.json. Older ones do not say what is in the image files alone: copies are then
            found by name and label.
        digests: of the image files of training cases and of their voxels, as a model file has them.
        """
        listed = list(entries)
        self._files = {file for entry in listed for file in files_of(entry.case) if entry.images}
        self._images = {*digests, *(each.image_digest for each in listed if each.image_digest is not None)}
        self._named = {(each.id, each.digest) for each in listed if each.digest and each.image_digest is None}
        self._names = {name for name, _ in self._named}

    def holds(self, case: Case, content: str = "") -> bool:
        """Whether it is one of them; its files are read where only their content can tell.

        `content` is that of its image (`content_of`), where it is known: it tells of the same scan in another
        file format as well.
        """
        if content and content in self._images:
            return True
        if self._files & files_of(case.bare):
            return True
        with suppress(OSError, DataError):  # it is said when the case is read
            if self._images and digest_of(case.images) in self._images:
                return True
            named = case.id in self._names and case.label is not None
            return named and (case.id, digest_of(case.files)) in self._named
        return False


def trained_on(
    cases: Sequence[Case], entries: Iterable[SplitCase], digests: Collection[str] = ()
) -> list[Case]:
    """The cases that a network has learnt from, by what `Known` is told."""
    known = Known(entries, digests)
    return [case for case in cases if known.holds(case)]
