"""Cells as processes of this machine, without training: the command is another one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stampseg.run.study import command
from stampseg.run.study.local import LocalEngine, gpus_here

SAY = """import os, signal, sys, time
print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS'], flush=True)
"""


def running(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The cell's name is its first argument."""
    words = [sys.executable, "-c", SAY + code]
    monkeypatch.setattr(command, "cell_command", lambda folder, name: [*words, name])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def all_ended(engine: LocalEngine, count: int) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    end = time.monotonic() + 60
    while len(found) < count and time.monotonic() < end:
        found |= dict(engine.ended())
    return found


def log(folder: Path, name: str) -> str:
    return (folder / "cells" / name / "log.txt").read_text()


def test_exit_codes_come_back_and_each_cell_has_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(
        monkeypatch,
        "os.kill(os.getpid(), 9) if sys.argv[1] == 'b' else sys.exit(int(sys.argv[1] == 'c') * 3)",
    )
    engine = LocalEngine(tmp_path, 2)
    engine.submit(["a", "b", "c"])
    assert all_ended(engine, 3) == {"a": 0, "b": -9, "c": 3}
    assert log(tmp_path, "a") == "None 1\n"


def test_devices_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch, "time.sleep(0.5)")
    engine = LocalEngine(tmp_path, 2, ["3", "5"])
    engine.submit(["a", "b"])
    all_ended(engine, 2)
    assert {log(tmp_path, name).split()[0] for name in "ab"} == {"3", "5"}


def test_stopping_lets_cells_end_and_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "signal.signal(15, lambda *_: (print('kept'), sys.exit(143))); print('on', flush=True)\n"
    code += "time.sleep(60)"
    running(monkeypatch, code)
    engine = LocalEngine(tmp_path, 1)
    engine.submit(["a", "b"])
    end = time.monotonic() + 30
    while not ((tmp_path / "cells" / "a" / "log.txt").exists() and "on" in log(tmp_path, "a")):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert engine.stop() == "1 cell asked to stop"
    assert "kept" in log(tmp_path, "a") and not (tmp_path / "cells" / "b").exists()


def test_a_cell_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Also where that was killed: its end of the pipe is closed."""
    code = "from stampseg.run.study.command import hold_leash; import time; hold_leash(); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STAMPSEG_LEASH": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == -15


def test_devices_that_were_given_are_those_that_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 7")
    assert gpus_here() == ["2", "7"]


def test_on_windows_a_cell_is_asked_by_its_leash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between processes would kill it there; one that it raises itself is handled.

    Nothing may wait in a read of the input meanwhile: NumPy would not be loaded.
    """
    code = "import select, types\nfrom stampseg.run.study import command\ncommand.WINDOWS = True\n"
    code += "def peek(handle, size):\n"
    code += "    assert (handle, size) == (7, 0)\n"
    code += "    if select.select([0], [], [], 0)[0]: raise BrokenPipeError\n"  # closed: nothing is written
    code += "sys.modules['_winapi'] = types.SimpleNamespace(PeekNamedPipe=peek)\n"
    code += "sys.modules['msvcrt'] = types.SimpleNamespace(get_osfhandle=lambda number: 7)\n"
    code += "os.read = None\n"
    code += "signal.signal(15, lambda *_: (print('kept'), sys.exit(143)))\n"
    code += "command.hold_leash(); print('on', flush=True)\n"
    code += "for _ in range(600): time.sleep(0.1)"
    running(monkeypatch, code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(command, "WINDOWS", True)
    engine = LocalEngine(tmp_path, 1)
    engine.submit(["a"])
    end = time.monotonic() + 30
    while not ((tmp_path / "cells" / "a" / "log.txt").exists() and "on" in log(tmp_path, "a")):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert engine.stop() == "1 cell asked to stop"
    assert "kept" in log(tmp_path, "a") and all_ended(engine, 1) == {"a": 143}
