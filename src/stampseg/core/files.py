"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import DataError
from .system import WINDOWS

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds
_LEFTOVER = re.compile(r"\.\d+-[0-9a-f]{8}(\..*)?", re.DOTALL)  # as write_whole names its hidden files


def write_whole(path: Path, write: Callable[[Path], object], *, ending: str = "", twin: str = "") -> None:
    """Let `write` fill a hidden file beside `path`, then move it into place.

    Args:
        path: of the file.
        write: is given the hidden file's path.
        ending: of the hidden file's name, where `write` looks at more of it than the last suffix (.nii.gz).
        twin: suffix of a second file of the same stem, which `write` fills too, beside the first (.img).
            Both appear or neither; a process killed between the two moves leaves the second alone.

    Raises:
        DataError: the folder cannot be made or written to, or the disk is full.
    """
    place = _hidden(path, ending or path.suffix)
    moves = [(place, path)]
    if twin:
        moves.insert(0, (place.with_suffix(twin), path.with_suffix(twin)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _usual_mode(place)
        write(place)
        for written, _ in moves:
            _to_disk(written)
            written.chmod(mode)  # safetensors lets nobody else read its files
        if twin:
            _move_all(moves)
        else:
            _replace(place, path)
        _folder_to_disk(path.parent)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from None
    finally:
        for written, _ in moves:
            with suppress(OSError):
                written.unlink()


def _usual_mode(place: Path) -> int:
    """Who may do what with a new file, as the user's umask says; the file does not stay."""
    number = os.open(place, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)
        place.unlink()


def _hidden(path: Path, ending: str) -> Path:
    # Of a length of its own: the path's name may be as long as names can be.
    return path.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:8]}{ending}")


def _move_all(moves: Sequence[tuple[Path, Path]]) -> None:
    """Move files (from, to) into place in their order; where one cannot be, what was there comes back.

    What was there goes aside first, the last before the others: at no moment does an old file stand beside
    a new one, not even where the process is killed.
    """
    for _, path in moves:
        if path.is_dir() and not path.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    aside = {path: _hidden(path, path.suffix) for _, path in reversed(moves) if os.path.lexists(path)}
    try:
        for path, old in aside.items():
            _replace(path, old)
        for place, path in moves:
            _replace(place, path)
    except BaseException:
        for place, path in moves:
            if not place.exists():  # it was moved
                path.unlink()
        for path, old in aside.items():
            if os.path.lexists(old):
                _replace(old, path)
        raise
    for old in aside.values():
        with suppress(OSError):
            old.unlink()


def refuse_existing(path: Path, overwrite: bool | None = None) -> None:
    """See that nothing is lost by writing a file; a link counts whatever it leads to.

    Args:
        overwrite: whether it may be replaced; None: it is one of a folder's, of which none is replaced.

    Raises:
        DataError: something has that name, and `overwrite` is false.
    """
    if os.path.lexists(path) and not overwrite:
        instead = "folder with `output`" if overwrite is None else "file with `output`, or say `overwrite`"
        raise DataError(f"{path}: exists already; choose another {instead}")


def _replace(place: Path, path: Path) -> None:
    """Move a file to a name that may be taken; on Windows what looks at every new file is waited for."""
    for pause in _PAUSES if WINDOWS else ():
        try:
            os.replace(place, path)
            return
        except PermissionError:  # a scanner of viruses, an indexer, a reader that is about to close
            time.sleep(pause)
    os.replace(place, path)


def _to_disk(path: Path) -> None:
    """Wait until a file would outlive a loss of power."""
    number = os.open(path, os.O_RDWR)  # Windows flushes no file that is open to be read
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _folder_to_disk(path: Path) -> None:
    """The same of a folder's list of names."""
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
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
    """Write UTF-8 text whole, with the same bytes on every system.

    What is no text, as bytes of a file name that are no UTF-8, is written as on the screen: `caf\\udce9`.

    Raises:
        DataError: as `write_whole`.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    write_whole(path, lambda place: place.write_bytes(data))


def sha256_of(path: Path) -> str:
    """SHA-256 of what is in a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
