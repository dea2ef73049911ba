"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .errors import DataError


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
        os.replace(place, path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    finally:
        with suppress(OSError):
            place.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole.

    Raises:
        DataError: as `write_whole`.
    """
    write_whole(path, lambda place: place.write_text(text, encoding="utf-8"))
