"""Cells on this machine: a thread and a process each; a process that is killed costs only its cell."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ...core.text import counted
from .command import ask_to_end, start_cell

_WAIT = 1.0  # seconds for a cell that ends


class LocalEngine:
    """Cells as processes of this machine.

    Args:
        folder: of the study.
        workers: cells at a time.
        gpus: numbers of the devices that are shared out, one a cell; empty: none is.
    """

    def __init__(self, folder: Path, workers: int, gpus: Sequence[str] = ()) -> None:
        self.folder, self.room = folder, workers  # cells at a time
        self._pool = ThreadPoolExecutor(workers)
        self._ended: queue.Queue[tuple[str, int | None]] = queue.Queue()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self._stopping = False
        self._gpus: queue.Queue[str] = queue.Queue()
        self._has_gpus = bool(gpus)
        for number in range(max(workers, len(gpus)) if gpus else 0):
            self._gpus.put(gpus[number % len(gpus)])

    def begun(self) -> list[str]:
        """None: what another process began ends with it."""
        return []

    def submit(self, names: Sequence[str]) -> None:
        """Take cells."""
        for name in names:
            self._pool.submit(self._do, name)

    def ended(self) -> list[tuple[str, int | None]]:
        """Those that have ended."""
        found = []
        with suppress(queue.Empty):
            found.append(self._ended.get(timeout=_WAIT))
            while True:
                found.append(self._ended.get_nowait())
        return found

    def stop(self) -> str:
        """Let the cells write their checkpoints, and wait for that."""
        with self._guard:
            self._stopping = True
            running = list(self._processes.values())
        for process in running:
            ask_to_end(process)
        self._pool.shutdown(wait=True, cancel_futures=True)
        return f"{counted(len(running), 'cell')} asked to stop" if running else "no cell was at work"

    def _do(self, name: str) -> None:
        """One cell, to its end."""
        code: int | None = None
        try:
            gpu = self._gpus.get() if self._has_gpus else None
            try:
                code = self._process(name, gpu)
            finally:
                if gpu is not None:
                    self._gpus.put(gpu)
        finally:
            self._ended.put((name, code))

    def _process(self, name: str, gpu: str | None) -> int | None:
        with self._guard:
            if self._stopping:
                return None
            process = self._processes[name] = start_cell(self.folder, name, gpu)
        try:
            return process.wait()
        finally:
            with self._guard:
                del self._processes[name]
            if process.stdin is not None:
                process.stdin.close()


def gpus_here() -> list[str]:
    """Numbers of the CUDA devices that this process may use."""
    import torch

    if named := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return [number.strip() for number in named.split(",") if number.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]
