"""One process at a time in a folder, also on file systems whose locks do not hold.

The operating system's lock on `.lock` ends with the process. Beside it `.owner` says which process has the
folder: it is believed where there is no such lock, where it does nothing, and where other machines may not
see it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock, Timeout

from ..core.errors import ConfigError
from ..core.files import write_text
from ..core.json_file import JsonFile
from ..core.options import FileRecord

LOCK, OWNER_FILE = ".lock", ".owner"
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}
# Of one machine: what the system locks there is seen by whoever could take the folder.
_OWN_DISKS = {
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "tmpfs", "ramfs", "apfs",
    "hfs", "ntfs", "fat32", "exfat", "vfat", "refs", "ufs",
}  # fmt: skip
_ASK_SECONDS = 20  # that squeue may take
_FILL_SECONDS = 2.0  # that a process may take from making a file to having filled it
_HEIRS = f".0-*{OWNER_FILE}"  # so called, what a killed process left of them is known for what it is


class Owner(FileRecord):
    """Which process has a folder."""

    host: str
    pid: int
    started: float | None = None  # of the process, seconds since 1970: a pid comes again
    job: str | None = None  # of SLURM
    taken: str | None = None  # tells one taking of the folder from the next of the same process

    @classmethod
    def of_this_process(cls) -> Owner:
        """This one."""
        return cls(
            host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time(),
            job=os.environ.get("SLURM_JOB_ID"), taken=uuid.uuid4().hex,
        )  # fmt: skip

    @property
    def lives_here(self) -> bool:
        """Whether a process of this machine is it."""
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True
        return self.started is None or abs(started - self.started) < 2

    def __str__(self) -> str:
        job = f", SLURM job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


OWNER = JsonFile(OWNER_FILE, Owner)


class FolderLock:
    """Keeps other processes out of a folder for as long as this one lives.

    Args:
        folder: is there.
        what: is worked on in it, in the words of the refusal.
    """

    def __init__(self, folder: Path, what: str = "run") -> None:
        self.folder, self.what = folder, what
        self._lock: BaseFileLock | None = None
        self._owner: str | None = None  # what this process has written

    def take(self, wait: float = 0) -> None:
        """Take the folder.

        Args:
            wait: seconds, for a process that is about to end.

        Raises:
            ConfigError: another process has it.
        """
        lock: BaseFileLock | None = None
        try:
            lock = FileLock(self.folder / LOCK, timeout=wait)
            lock.acquire()
        except Timeout:
            raise self._refused() from None
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            lock = None
        try:
            self._own(lock is not None and _holds(self.folder / LOCK), wait)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        self._lock = lock

    def release(self) -> None:
        """Let other processes in."""
        owner = self.folder / OWNER_FILE
        with suppress(OSError):
            if self._owner is not None and owner.read_text(encoding="utf-8") == self._owner:
                owner.unlink()
        self._owner = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _own(self, held: bool, wait: float) -> None:
        """Write down whose the folder is, unless another's name stands there and counts."""
        owner, mine = self.folder / OWNER_FILE, OWNER.line(Owner.of_this_process())
        end = time.monotonic() + wait
        while not _made(owner, mine):
            try:
                first = _filled(owner)
                if first is None:
                    continue  # its process has ended just now
                other, heir = self._heir(first, held)
            except PermissionError:
                raise self._refused() from None
            if other is not None:
                if time.monotonic() >= end:
                    raise self._refused(other)
                time.sleep(0.2)
            elif self._inherits(first, heir, mine):
                break
        self._owner = mine

    def _heir(self, text: str, held: bool) -> tuple[Owner | None, Path]:
        """Who has the folder after the process that is named in `.owner`, and does not count any more.

        A name that does not count is never deleted, for in the meantime another's may stand there. Who
        follows is written into a file that is called by that name, and of two processes one can make it.
        That one may be killed before its own name is in `.owner`, and then has an heir itself.

        Args:
            text: what stands in `.owner`.
            held: as of `_counts`.

        Returns:
            The first that counts, None without one, and the file to make in that case.
        """
        place = self.folder / OWNER_FILE
        while True:
            other = _parsed(text)
            heir = _heir_of(place, text)
            if other is not None and self._counts(other, held):
                return other, heir
            following = _filled(heir)
            if following is None:
                return None, heir
            place, text = heir, following

    def _inherits(self, first: str, heir: Path, mine: str) -> bool:
        """Whether this process could put its name in place of the one that stood first in `.owner`."""
        owner = self.folder / OWNER_FILE
        if not _made(heir, mine):
            return False
        try:
            if _text(owner) != first:  # another was quicker, and has cleared up behind it
                return False
            write_text(owner, mine)
            for old in self.folder.glob(_HEIRS):
                _delete(old)
            return _text(owner) == mine
        finally:
            _delete(heir)

    def _counts(self, other: Owner, held: bool) -> bool:
        """Whether the process may still be at work.

        Args:
            other: the process.
            held: whether this one has the system's lock, and the lock works.
        """
        if other.host == socket.gethostname():
            return not held and other.lives_here
        if held and _of_one_machine(self.folder):
            return False  # a container that is gone, or a machine that was renamed
        in_queue = _in_queue(other.job) if other.job else None
        return in_queue is not False

    def _refused(self, other: Owner | None = None) -> ConfigError:
        other = other or _read(self.folder / OWNER_FILE)
        who = f" ({other})" if other is not None else ""
        ask = "wait for it, or stop it"
        if other is not None and other.host != socket.gethostname():
            ask += f"; if it is gone for certain, delete {self.folder / OWNER_FILE}"
        return ConfigError(f"{self.folder}: another process is at work on this {self.what}{who}; {ask}")


def _read(path: Path) -> Owner | None:
    """The owner; None where none stands there, or half a line."""
    with suppress(OSError):
        return _parsed(_text(path) or "")
    return None


def _parsed(text: str) -> Owner | None:
    """The owner; None of half a line that a process was killed over."""
    with suppress(ValueError):
        return Owner.model_validate(json.loads(text))
    return None


def _text(path: Path) -> str | None:
    """What a file holds; None where there is none."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8", errors="replace")
    return None


def _filled(path: Path) -> str | None:
    """The same, and of a file that another process may have made just now, when that is through."""
    end = time.monotonic() + _FILL_SECONDS
    while True:
        text = _text(path)
        if text is None or _parsed(text) is not None or time.monotonic() >= end:
            return text
        time.sleep(0.05)


def _made(path: Path, text: str) -> bool:
    """Whether the file could be made, with all of its text at once; of two processes one succeeds."""
    whole = path.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:8]}")  # as `write_whole` calls its own
    try:
        whole.write_text(text, encoding="utf-8")
        return _linked(whole, path, text)
    finally:
        _delete(whole)


def _linked(whole: Path, path: Path, text: str) -> bool:
    """Whether the file that holds the text could be given its name."""
    try:
        os.link(whole, path)
        return True
    except FileExistsError:
        with suppress(PermissionError):  # somebody else's
            return _text(path) == text  # an answer that was lost on the way lets NFS ask twice
    except FileNotFoundError:
        pass  # another process took it for what a killed one had left
    except (OSError, AttributeError):  # no second names for a file here
        return _written(path, text)
    return False


def _written(path: Path, text: str) -> bool:
    """Whether the file could be made where others may see it before it is filled."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _delete(path: Path) -> None:
    """Delete a file; on Windows that waits for whoever reads it, and it is in nobody's way."""
    with suppress(OSError):
        path.unlink()


def _heir_of(place: Path, text: str) -> Path:
    """The file that names who follows the process that a file names."""
    digest = hashlib.blake2b(f"{place.name} {text}".encode(), digest_size=4).hexdigest()
    return place.with_name(_HEIRS.replace("*", digest))


def _holds(path: Path) -> bool:
    """Whether the lock that this process has on the file keeps others out."""
    try:
        import fcntl
    except ImportError:  # Windows, where locks hold
        return True
    with path.open("a") as again:
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _of_one_machine(folder: Path) -> bool:
    """Whether no other machine can see the folder."""
    place = folder.resolve()
    mounts = {Path(part.mountpoint): part.fstype.lower() for part in psutil.disk_partitions(all=True)}
    return next((mounts[up] for up in (place, *place.parents) if up in mounts), "") in _OWN_DISKS


def _in_queue(job: str) -> bool | None:
    """Whether SLURM still has the job; None where it cannot be asked."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--format=%A", f"--jobs={job}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode:
        return False if "Invalid job id" in said.stderr else None
    return bool(said.stdout.strip())
