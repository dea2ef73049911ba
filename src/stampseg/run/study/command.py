"""The words that do one cell, for whatever engine starts them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from .plan import STUDY_FILE

LEASH = "STAMPSEG_LEASH"  # set: the cell ends when its standard input does, as where its starter was killed


def cell_command(folder: Path, name: str) -> list[str]:
    """The command of a cell; it reads what is asked from the study's folder."""
    folder = folder.absolute()
    study = str(folder / STUDY_FILE)
    return [sys.executable, "-m", "stampseg", "study", study, "-o", str(folder), "--cell", name]


def one_thread() -> dict[str, str]:
    """The environment of a cell: one thread, unless the user says otherwise."""
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}


def hold_leash() -> None:
    """End this process as by SIGTERM when its standard input ends, if that is asked for."""
    if os.environ.pop(LEASH, None):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    with suppress(OSError, ValueError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
