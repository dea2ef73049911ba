"""Files that are made out of sight and then put into place, so that a stopped process has none in the way."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..core.errors import DataError
from ..core.files import refuse_existing, sha256_of
from ..core.json_file import JsonFile
from ..core.options import FileRecord


class Moved(FileRecord):
    """Digests of the files that are put into place, by their names in the folder."""

    digests: dict[str, str]


MOVED = JsonFile("moved.json", Moved)


class Staged:
    """A hidden folder in the folder that files are made for.

    Args:
        folder: where the files are to be.
        name: of the hidden folder; nobody else's files have it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.place = folder, folder / name

    def clear(self) -> None:
        """Delete what a stopped process left: what it had made, and what it had put into place, as it was.

        Files that somebody has changed since, or that were not its own, stay.

        Raises:
            DataError: something else has the name of the hidden folder.
        """
        if not os.path.lexists(self.place):
            return
        if self.place.is_symlink() or not self.place.is_dir():
            raise DataError(
                f"{self.place}: is not a folder; expected none, or what a stopped process left; move it away"
            )
        with suppress(DataError):  # nothing was put into place yet
            for name, digest in MOVED.read(self.place).digests.items():
                path = self.folder / name
                if path.is_file() and not path.is_symlink() and sha256_of(path) == digest:
                    path.unlink()
        shutil.rmtree(self.place)

    def put_into_place(self, last: str) -> None:
        """Move all files to where they are to be.

        Args:
            last: the one whose being there says that all are.

        Raises:
            DataError: a file of such a name is there.
        """
        paths = [path for path in sorted(self.place.rglob("*")) if path.is_file()]
        names = [str(path.relative_to(self.place)) for path in paths]
        names.sort(key=lambda name: name == last)
        for name in names:
            refuse_existing(self.folder / name)
        MOVED.write(self.place, Moved(digests={name: sha256_of(self.place / name) for name in names}))
        for name in names:
            (self.folder / name).parent.mkdir(exist_ok=True)
            os.replace(self.place / name, self.folder / name)
        shutil.rmtree(self.place, ignore_errors=True)  # all is in its place; what stays is cleared next time
