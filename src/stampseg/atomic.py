"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .errors import DataError

_LEFTOVER = re.compile(r"\.\d+-[0-9a-f]{8}(\..*)?", re.DOTALL)  # as write_whole names its hidden files


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a hidden file beside `path`, then move it into place.

    Raises:
        DataError: the folder cannot be made or written to, or the disk is full.
    """
    # Of a length of its own: the path's name may be as long as names can be.
    place = path.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(place)
        _to_disk(place)
        os.replace(place, path)
        _to_disk(path.parent)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    finally:
        with suppress(OSError):
            place.unlink()


def refuse_existing(path: Path, overwrite: bool) -> None:
    """See that nothing is lost by writing a file; a link counts whatever it leads to.

    Raises:
        DataError: something has that name, and `overwrite` is false.
    """
    if os.path.lexists(path) and not overwrite:
        raise DataError(f"{path}: exists already; choose another file with -o, or say --overwrite")


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would outlive a loss of power."""
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():  # Windows opens no folders
            return
        raise
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_leftovers(folder: Path) -> None:
    """Delete hidden files that a killed process was writing into the folder."""
    for path in folder.glob(".*-*"):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether it is a hidden file that a killed process was writing."""
    return _LEFTOVER.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole.

    Raises:
        DataError: as `write_whole`.
    """
    write_whole(path, lambda place: place.write_text(text, encoding="utf-8"))
