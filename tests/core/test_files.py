"""Files appear whole or not at all, whatever goes wrong while they are written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stampseg.core import files as atomic
from stampseg.core.errors import DataError
from stampseg.core.files import remove_leftovers, write_whole


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def pair_of(text: str) -> Any:
    """Writes a header and, beside it, its voxels."""

    def write(place: Path) -> None:
        place.write_text(text)
        place.with_suffix(".img").write_text(text)

    return write


def test_the_hidden_file_has_the_ending_that_is_asked_for(tmp_path: Path) -> None:
    places: list[Path] = []

    def write(place: Path) -> None:
        places.append(place)
        place.write_text("new")

    write_whole(tmp_path / "deep" / "a.nii.gz", write, ending=".nii.gz")
    assert places[0].name.startswith(".") and places[0].name.endswith(".nii.gz")
    assert content(tmp_path / "deep") == {"a.nii.gz": "new"}


def fail_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let the n-th flush or move end as on a full disk."""
    calls: list[str] = []

    def failing(name: str, original: Any) -> Any:
        def call(*args: Any) -> Any:
            calls.append(name)
            if len(calls) == step:
                raise OSError(28, "No space left on device")
            return original(*args)

        return call

    for name in ("fsync", "replace"):
        patch.setattr(atomic.os, name, failing(name, getattr(os, name)))


@pytest.mark.parametrize("there", [[], ["a.hdr", "a.img"], ["a.img"], ["a.hdr"]])
def test_twins_appear_both_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str]
) -> None:
    for name in there:
        (tmp_path / name).write_text("old")
    for step in range(1, 5 + len(there)):  # two flushes, what is there goes aside, two moves into place
        with monkeypatch.context() as patch:
            fail_at(patch, step)
            with pytest.raises(DataError, match=r"a\.hdr: cannot be written \(No space left .*\); check the"):
                write_whole(tmp_path / "a.hdr", pair_of("new"), twin=".img")
        assert content(tmp_path) == dict.fromkeys(there, "old")
    write_whole(tmp_path / "a.hdr", pair_of("new"), twin=".img")
    assert content(tmp_path) == {"a.hdr": "new", "a.img": "new"}


def test_a_folder_in_the_place_of_a_twin_stays(tmp_path: Path) -> None:
    (tmp_path / "a.img").mkdir()
    with pytest.raises(DataError, match=r"a\.hdr: cannot be written \(Is a directory\)"):
        write_whole(tmp_path / "a.hdr", pair_of("new"), twin=".img")
    assert [path.name for path in tmp_path.iterdir()] == ["a.img"]


def test_twins_replace_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("a.hdr", "a.img"):
        (tmp_path / name).symlink_to(precious)
    write_whole(tmp_path / "a.hdr", pair_of("new"), twin=".img")
    assert content(tmp_path) == {"a.hdr": "new", "a.img": "new", "precious": "mine"}


KILLED = """
import os, sys
from pathlib import Path
from stampseg.core import files as atomic

calls = []
def die(*args, move=os.replace):
    calls.append(args)
    if len(calls) == int(sys.argv[2]):
        os._exit(9)
    move(*args)

def write(place):
    place.write_text("new")
    place.with_suffix(".img").write_text("new")

atomic.os.replace = die
atomic.write_whole(Path(sys.argv[1]) / "a.hdr", write, twin=".img")
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_killed_write_never_mixes_twins_and_its_leftovers_are_found(tmp_path: Path, step: int) -> None:
    for name in ("a.hdr", "a.img"):
        (tmp_path / name).write_text("old")
    source = Path(atomic.__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, str(step)], env={**os.environ, "PYTHONPATH": str(source)}
    )
    assert run.returncode == 9
    assert any(path.name.startswith(".") for path in tmp_path.iterdir())
    remove_leftovers(tmp_path)
    left = content(tmp_path)
    assert len(set(left.values())) <= 1 and set(left) <= {"a.hdr", "a.img"}
    assert "a.hdr" not in left or "a.img" in left  # voxels alone are at once seen to have no header


def test_files_are_flushed_through_a_number_that_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows flushes no other; of folders it opens none."""
    fcntl = pytest.importorskip("fcntl", reason="asks how a file was opened, which Windows cannot say")
    flushed: list[Path] = []

    def fsync(number: int) -> None:
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flushed.append(tmp_path)

    def opened(path: Any, flags: int, *rest: Any, open: Any = os.open) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return open(path, flags, *rest)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    monkeypatch.setattr(atomic.os, "open", opened)
    write_whole(tmp_path / "a.hdr", pair_of("new"), twin=".img")
    assert content(tmp_path) == {"a.hdr": "new", "a.img": "new"} and len(flushed) == 2


def test_on_windows_a_file_that_is_looked_at_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    busy = 3

    def replace(place: Path, path: Path, move: Any = os.replace) -> None:
        if len(pauses) < busy:
            raise PermissionError(errno.EACCES, "Access is denied")
        move(place, path)

    monkeypatch.setattr(atomic, "WINDOWS", True)
    monkeypatch.setattr(atomic.time, "sleep", pauses.append)
    monkeypatch.setattr(atomic.os, "replace", replace)
    atomic.write_text(tmp_path / "a.txt", "new")
    assert content(tmp_path) == {"a.txt": "new"} and len(pauses) == busy
    busy = 99
    with pytest.raises(DataError, match=r"a\.txt: cannot be written \(Access is denied\); check the folder"):
        atomic.write_text(tmp_path / "a.txt", "newer")
    assert content(tmp_path) == {"a.txt": "new"}


def test_elsewhere_a_move_that_is_refused_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def replace(place: Path, path: Path) -> None:
        tries.append(path)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic, "WINDOWS", False)
    monkeypatch.setattr(atomic.os, "replace", replace)
    with pytest.raises(DataError, match="Permission denied"):
        atomic.write_text(tmp_path / "a.txt", "new")
    assert len(tries) == 1 and content(tmp_path) == {}


def test_text_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.csv", "a,b\né,1\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "a,b\né,1\r\n".encode()
