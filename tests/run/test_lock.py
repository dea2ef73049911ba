"""One process at a time in a folder, also where the system's locks do not hold."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from stampseg.core.errors import ConfigError
from stampseg.run import lock as locks
from stampseg.run.lock import FolderLock


class Without:
    """A file system that knows no locks."""

    error: BaseException = NotImplementedError()

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def acquire(self) -> None:
        raise self.error


class Nothing(Without):
    """One on which everybody is given the lock."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...


KINDS = {
    "none": NotImplementedError(),
    "not supported": OSError(errno.ENOTSUP, "Operation not supported"),
    "nothing": None,
}


@pytest.fixture(params=KINDS)
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    error = KINDS[request.param]
    monkeypatch.setattr(locks, "FileLock", Nothing if error is None else Without)
    monkeypatch.setattr(Without, "error", error)
    monkeypatch.setattr(locks, "_holds", lambda _: False)


def owned(folder: Path, **parts: Any) -> None:
    """Somebody else's name in the folder."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), **parts}
    (folder / ".owner").write_text(json.dumps({"format": 1, **owner}))


def test_it_says_who_has_the_folder_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    with pytest.raises(ConfigError) as caught:
        second.take()
    assert str(caught.value) == (
        f"{tmp_path}: another process is at work on this run (process {os.getpid()} on "
        f"{socket.gethostname()}); wait for it, or stop it"
    )
    second.release()
    assert (tmp_path / ".owner").exists(), "it is the first one's"
    first.release()
    assert not (tmp_path / ".owner").exists()
    second.take()
    second.release()


def test_a_killed_process_of_this_machine_is_in_nobodys_way(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from stampseg.run.lock import FolderLock; "
    code += "FolderLock(Path(sys.argv[1])).take(); os._exit(1)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False)
    assert (tmp_path / ".owner").exists()
    FolderLock(tmp_path).take()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_living_process_keeps_others_out(tmp_path: Path) -> None:
    FolderLock(tmp_path).take()
    with pytest.raises(ConfigError, match=r"another process is at work on this run \(process"):
        FolderLock(tmp_path).take(wait=0.3)


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("parts", [{"pid": 2**22 + 5}, {"started": 5.0}])
def test_without_locks_a_dead_process_does_not(parts: dict[str, Any], tmp_path: Path) -> None:
    owned(tmp_path, **parts)
    lock = FolderLock(tmp_path)
    lock.take()
    assert json.loads((tmp_path / ".owner").read_text())["started"] == psutil.Process().create_time()
    lock.release()
    assert not (tmp_path / ".owner").exists()


@pytest.mark.usefixtures("without_locks")
def test_a_process_of_another_machine_is_believed_and_the_way_out_is_said(tmp_path: Path) -> None:
    owned(tmp_path, host="node7", pid=12)
    with pytest.raises(ConfigError) as caught:
        FolderLock(tmp_path, "cell").take()
    assert str(caught.value) == (
        f"{tmp_path}: another process is at work on this cell (process 12 on node7); wait for it, or "
        f"stop it; if it is gone for certain, delete {tmp_path / '.owner'}"
    )


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize(
    ("said", "code", "refused"),
    [
        ("12\n", 0, True),
        ("", 0, False),
        ("error: Invalid job id specified", 1, False),
        ("", 1, True),
    ],
)
def test_squeue_is_asked_for_the_job(
    said: str, code: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '{said}' >&{2 if code else 1}\nexit {code}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "run").mkdir()
    owned(tmp_path / "run", host="node7", pid=12, job="12")
    if not refused:
        FolderLock(tmp_path / "run").take()
        return
    with pytest.raises(ConfigError, match=r"\(process 12 on node7, SLURM job 12\)"):
        FolderLock(tmp_path / "run").take()


@pytest.mark.parametrize(
    ("kind", "refused"), [("nfs4", True), ("lustre", True), ("ext4", False), ("overlay", False)]
)
def test_another_name_of_the_machine_counts_where_others_see_the_disk(
    kind: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's lock holds, but on a disk of many machines it may hold on one of them only."""
    part = type("Part", (), {"mountpoint": "/", "fstype": kind})
    monkeypatch.setattr(locks.psutil, "disk_partitions", lambda all: [part])
    owned(tmp_path, host="node7", pid=12)
    if not refused:
        FolderLock(tmp_path).take()
        return
    with pytest.raises(ConfigError, match="on node7"):
        FolderLock(tmp_path).take()


@pytest.mark.parametrize("text", ["", "{", '{"host": 1}'])
def test_half_a_name_is_nobodys(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_FILL_SECONDS", 0.1)
    (tmp_path / ".owner").write_text(text)
    FolderLock(tmp_path).take()


@pytest.mark.usefixtures("without_locks")
def test_a_name_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """Where files cannot have two names: the other process has made the file, and not filled it yet."""
    (tmp_path / ".owner").touch()
    writing = threading.Timer(0.3, owned, [tmp_path])
    writing.start()
    with pytest.raises(ConfigError, match="another process is at work on this run"):
        FolderLock(tmp_path).take()
    writing.join()


@pytest.mark.usefixtures("without_locks")
def test_a_name_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    link = os.link

    def linked(whole: Path, path: Path) -> None:
        link(whole, path)
        seen.append(path.read_text())

    monkeypatch.setattr(os, "link", linked)
    lock = FolderLock(tmp_path)
    lock.take()
    assert [json.loads(text)["pid"] for text in seen] == [os.getpid()]
    assert [path.name for path in tmp_path.iterdir()] == [".owner"]


@pytest.fixture(params=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refused)


@pytest.mark.usefixtures("without_locks", "links")
def test_of_two_that_find_a_dead_processs_name_one_takes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has seen that the name does not count, then the first puts its own there."""
    owned(tmp_path, pid=2**22 + 5)
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    counts = FolderLock._counts

    def overtaken(self: FolderLock, *given: Any) -> bool:
        found = counts(self, *given)
        if self is second and first._owner is None:
            first.take()
        return found

    monkeypatch.setattr(FolderLock, "_counts", overtaken)
    with pytest.raises(ConfigError, match="another process is at work on this run"):
        second.take()
    assert first._owner == (tmp_path / ".owner").read_text()
    first.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_locks", "links")
@pytest.mark.parametrize("names", [0, 1, 2])
def test_of_many_at_once_one_takes_the_folder(names: int, tmp_path: Path) -> None:
    """With nobody's name there, with a dead process's, and with that of one that died over taking it."""
    for turn in range(5):
        folder = tmp_path / str(turn)
        folder.mkdir()
        if names:
            owned(folder, pid=2**22 + 5)
        if names == 2:
            owner = folder / ".owner"
            heir = locks._heir_of(owner, owner.read_text())
            heir.write_text(owner.read_text().replace("{", '{"job": null, ', 1))
        start, took = threading.Barrier(6), list[FolderLock]()

        def contend(folder: Path, start: threading.Barrier, took: list[FolderLock]) -> None:
            lock = FolderLock(folder)
            start.wait()
            try:
                lock.take()
            except ConfigError:
                return
            took.append(lock)

        threads = [threading.Thread(target=contend, args=(folder, start, took)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(took) == 1
        took[0].release()
        assert not list(folder.iterdir())


def test_where_there_is_no_fcntl_the_lock_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows: its locks hold, so that a killed process's name in the folder is nobody's."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    owned(tmp_path)
    lock = FolderLock(tmp_path)
    lock.take()
    with pytest.raises(ConfigError, match="another process is at work on this run"):
        FolderLock(tmp_path).take()
    lock.release()
    assert not (tmp_path / ".owner").exists()
