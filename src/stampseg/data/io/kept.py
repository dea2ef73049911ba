"""What was read of files, kept for whoever reads them again in one look at a data set."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .formats import format_named, suffix_of
from .volume import Header, Volume

State = tuple[str | int, ...]  # what tells that a file is as it was


@dataclass
class _Kept:
    room: int  # bytes of voxels that may still be kept
    headers: dict[State, Header] = field(default_factory=dict)
    volumes: dict[State, Volume] = field(default_factory=dict)


_KEPT: list[_Kept] = []  # the last one is used; those within another share what it has


@contextmanager
def kept_files(room: int = 0) -> Iterator[None]:
    """Meanwhile no header is read twice while its file stays as it is, nor are voxels, if there is room.

    What a reader remarks of a file is said when it is read first: whoever gathers remarks begins before, or
    within before anything is read.

    Args:
        room: bytes of voxels that are kept, each until they are asked for once more.
    """
    _KEPT.append(_KEPT[-1] if _KEPT else _Kept(room))
    try:
        yield
    finally:
        _KEPT.pop()


def kept_header(path: Path, read: Callable[[Path], Header]) -> Header:
    """The header of a file, read where it is not known."""
    state = _state([path]) if _KEPT else ()
    if not state:
        return read(path)
    headers = _KEPT[-1].headers
    if state not in headers:
        headers[state] = read(path)
    return headers[state]


def kept_volume(paths: Sequence[Path], use: str, read: Callable[[], Volume]) -> Volume:
    """Header and voxels of files, read where they are not there; their voxels may not be changed.

    Args:
        paths: of the image or label.
        use: what they are read as, for the same file may be both.
        read: reads them.
    """
    kept = _KEPT[-1] if _KEPT else None
    state = _state(paths) if kept is not None and (kept.room or kept.volumes) else ()
    if kept is None or not state:
        return read()
    known = kept.volumes.pop((use, *state), None)
    if known is not None:
        kept.room += known.array.nbytes
        return known
    volume = read()
    if volume.array.nbytes <= kept.room:
        kept.room -= volume.array.nbytes
        volume.array.flags.writeable = False
        kept.volumes[use, *state] = volume
    return volume


def _state(paths: Sequence[Path]) -> State:
    """Of regular files; nothing of folders, of parts of them, and of images that are two files."""
    found: list[str | int] = []
    for path in paths:
        try:
            file = path.stat()
        except OSError:
            return ()
        kind = format_named(path)
        of_a_pair = kind is not None and kind.twin_of(suffix_of(path))
        if not stat.S_ISREG(file.st_mode) or of_a_pair:
            return ()
        found += [str(path), file.st_size, file.st_mtime_ns, file.st_ino]
    return tuple(found)
