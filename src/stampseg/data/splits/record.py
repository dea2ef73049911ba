"""Who trained, validated and was kept aside, as splits.json of a run folder says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ...core.errors import DataError
from ...core.json_file import JsonFile
from ...core.options import FileRecord
from ..cases import Case
from ..io.formats import data_files


class SplitCase(FileRecord):
    """A case in splits.json; its paths are good from anywhere. Older runs know less of it."""

    id: str
    group: str | None = None
    images: tuple[Path, ...] = ()
    label: Path | None = None
    organs: tuple[tuple[str, Path], ...] = ()  # where each has a mask of its own
    digest: str | None = None  # of what is in the files
    image_digest: str | None = None  # of what is in the image files

    @classmethod
    def of(cls, case: Case, *, digest: bool = True) -> SplitCase:
        """A case; reads its files for the digest."""
        return cls(
            id=case.id,
            group=case.group,
            images=tuple(path.absolute() for path in case.images),
            label=case.label.absolute() if case.label is not None else None,
            organs=tuple((name, path.absolute()) for name, path in case.organs),
            digest=digest_of(case.files) if digest else None,
            image_digest=digest_of(case.images) if digest else None,
        )

    @property
    def case(self) -> Case:
        """As a case; whether its files are there is not looked at."""
        return Case(self.id, self.group or self.id, self.images, self.label, self.organs)


class Splits(FileRecord):
    """Who trained, who validated, and whose scans were learnt from without labels."""

    training: tuple[SplitCase, ...] = ()
    validation: tuple[SplitCase, ...] = ()
    unlabelled: tuple[SplitCase, ...] = ()  # without digests: there may be very many
    known: tuple[SplitCase, ...] = ()  # who trained the network that was pruned, in other runs
    test: tuple[SplitCase, ...] = ()  # kept aside from all of these, predicted when the run had ended
    held_out: tuple[SplitCase, ...] = ()  # of the same fold: predicted when the run had ended

    @property
    def learnt_from(self) -> tuple[SplitCase, ...]:
        """Cases whose labels the network has seen."""
        return (*self.training, *self.known)


SPLITS = JsonFile("splits.json", Splits)


def read_splits(folder: Path) -> Splits | None:
    """Who trained and validated in the run of a folder; None where it does not say.

    Raises:
        DataError: its splits.json cannot be used.
    """
    return SPLITS.read_if_there(folder)


def digest_of(paths: Iterable[Path]) -> str:
    """Digest of the files' contents; a stopped run resumes with the same data only.

    Raises:
        DataError: what a header points at is no file, such as a device that never ends.
    """
    total = hashlib.blake2b(digest_size=16)
    for path in (file for image in paths for file in data_files(image)):
        if not path.is_file():
            raise DataError(f"{path}: cannot be read to its end; copy the voxels into a file")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "blake2b").digest())
    return total.hexdigest()
