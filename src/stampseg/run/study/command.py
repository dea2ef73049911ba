"""The words that do one cell, for whatever engine starts them."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ...core.system import WINDOWS
from .plan import CELLS, STUDY_FILE

LOG = "log.txt"  # of a cell
LEASH = "STAMPSEG_LEASH"  # set: the cell ends when its standard input does, as where its starter was killed
_PAUSE = 0.5  # seconds between two looks at the input, on Windows
# Ctrl-C at the terminal is for the starter alone; elsewhere start_new_session sees to that.
OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


def cell_command(folder: Path, name: str) -> list[str]:
    """The command of a cell; it reads what is asked from the study's folder."""
    folder = folder.absolute()
    study = str(folder / STUDY_FILE)
    return [sys.executable, "-m", "stampseg", "study", study, "-o", str(folder), "--cell", name]


def one_thread() -> dict[str, str]:
    """The environment of a cell: one thread, unless the user says otherwise."""
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}


def start_cell(folder: Path, name: str, gpu: str | None = None) -> subprocess.Popen[bytes]:
    """A process that does a cell, with a log beside it.

    Its input ends when this process does: the leash. Signals of the terminal do not reach it.

    Args:
        folder: of the study.
        name: of the cell.
        gpu: number of the device that it has; None: none of its own.
    """
    place = folder / CELLS / name
    place.mkdir(parents=True, exist_ok=True)
    devices = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    with (place / LOG).open("ab") as log:
        return subprocess.Popen(
            cell_command(folder, name), stdin=subprocess.PIPE, stdout=log, stderr=log,
            env={**one_thread(), LEASH: "1", **devices}, start_new_session=True, creationflags=OWN_GROUP,
        )  # fmt: skip


def process_cell(folder: str, name: str) -> int:
    """Do a cell in a process of its own, on a node of a cluster; its exit code."""
    process = start_cell(Path(folder), name)
    try:
        while True:
            try:
                return process.wait(timeout=0.5)  # between two of which the task can be cancelled
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        process.terminate()
        process.wait()
        raise


def hold_leash() -> bool:
    """End this process as by SIGTERM when its standard input ends, if that is asked for; whether it is."""
    if not os.environ.pop(LEASH, None):
        return False
    threading.Thread(target=_wait_for_the_end, daemon=True).start()
    return True


def _wait_for_the_end() -> None:
    if WINDOWS:
        _ask_for_the_end()
        signal.raise_signal(signal.SIGTERM)  # which is handled; os.kill would end the process without a word
        return
    with suppress(OSError, ValueError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _ask_for_the_end() -> None:
    """Wait without a read: one that waits would hold up NumPy as it is loaded, for good (numpy#24290)."""
    system, runtime = importlib.import_module("_winapi"), importlib.import_module("msvcrt")
    with suppress(OSError):  # the other end is closed
        while True:
            system.PeekNamedPipe(runtime.get_osfhandle(0), 0)
            time.sleep(_PAUSE)


def ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM; on Windows, which has none between processes, the leash is let go."""
    if not WINDOWS:
        process.send_signal(signal.SIGTERM)
    elif process.stdin is not None:
        process.stdin.close()
