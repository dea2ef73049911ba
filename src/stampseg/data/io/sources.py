"""Whether what is written would take the place of an image that it is made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ...core.errors import StampsegError
from ...core.system import folds_case, one_name
from .formats import data_files

Place = Callable[[Path], str]


def place_in(folders: Iterable[Path]) -> Place:
    """What is equal for paths of one file, links followed, on the disks of the folders."""
    # Of the disks of macOS and Windows, `A.png` is `a.png`.
    key = one_name if any(map(folds_case, folders)) else str
    return lambda path: key(os.path.realpath(path))


def replaced(targets: Sequence[Path], images: Iterable[Path]) -> Path | None:
    """The first of the files to be written that is one of the images' own, header or voxels; None if none."""
    place = place_in({target.parent for target in targets})
    # To find the voxels a header must be read: only where something could be lost.
    there = {place(target.parent) for target in targets if os.path.lexists(target)}
    own = {
        place(file)
        for image in images
        for file in (_files(image) if place(image.parent) in there else [image])
    }
    return next((target for target in targets if place(target) in own), None)


def _files(image: Path) -> list[Path]:
    files = [image]
    with suppress(StampsegError, OSError):  # an image that cannot be read is told where it is read
        files += data_files(image)
    return files
