"""What was read of files, kept for whoever reads them again in one look at a data set."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from .formats import format_named
from .volume import Header, Volume

State = tuple[str | int, ...]  # what tells that a file is as it was


@dataclass
class _Kept:
    room: int  # bytes of voxels that may still be kept
    headers: dict[State, Header] = field(default_factory=dict)
    volumes: dict[State, Volume] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


# Of whoever looks at the data, and of the threads that read for it; other threads have none of it.
_KEPT: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextmanager
def kept_files(room: int = 0) -> Iterator[None]:
    """Meanwhile no header is read twice while its file stays as it is, nor are voxels, if there is room.

    What a reader remarks of a file is said when it is read first: whoever gathers remarks begins before, or
    within before anything is read.

    Args:
        room: bytes of voxels that are kept, each until they are asked for once more. Within another look its
            room counts.
    """
    token = _KEPT.set(_KEPT.get() or _Kept(room))
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept_header(path: Path, read: Callable[[Path], Header]) -> Header:
    """The header of a file, read where it is not known."""
    kept = _KEPT.get()
    state = _state([path]) if kept is not None else ()
    if kept is None or not state:
        return read(path)
    known = kept.headers.get(state)
    if known is None:
        known = kept.headers[state] = read(path)
    return known


def kept_volume(paths: Sequence[Path], use: str, read: Callable[[], Volume]) -> Volume:
    """Header and voxels of files, read where they are not there; their voxels may not be changed.

    Args:
        paths: of the image or label.
        use: what they are read as, for the same file may be both.
        read: reads them.
    """
    kept = _KEPT.get()
    state = _state(paths) if kept is not None and (kept.room or kept.volumes) else ()
    if kept is None or not state:
        return read()
    with kept.lock:
        known = kept.volumes.pop((use, *state), None)
        if known is not None:
            kept.room += known.array.nbytes
            return known
    volume = read()
    held = volume.array.base if volume.array.base is not None else volume.array  # a view holds all of it
    with kept.lock:
        if max(volume.array.nbytes, getattr(held, "nbytes", 0)) <= kept.room:
            kept.room -= volume.array.nbytes
            volume.array.flags.writeable = False
            kept.volumes[use, *state] = volume
    return volume


def _state(paths: Sequence[Path]) -> State:
    """Of regular files that hold all that is read; nothing of folders, and of headers of other files."""
    found: list[str | int] = []
    for path in paths:
        try:
            file = path.stat()
            kind = format_named(path)
            alone = kind is None or kind.data_files is None or kind.data_files(path) == [path]
        except Exception:
            return ()
        if not stat.S_ISREG(file.st_mode) or not alone:
            return ()
        found += [str(path), file.st_size, file.st_mtime_ns, file.st_ino]
    return tuple(found)
