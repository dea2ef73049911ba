"""One network in one runtime, in a process of its own: its time and its memory are nobody else's."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..core.errors import StampsegError, TrainingError
from .stopwatch import Timing, measure

RUNTIMES = ("eager", "compiled", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Job:
    """What a process is to run.

    Attributes:
        file: model file for eager and compiled, exported file for the others.
        runtime: one of `RUNTIMES`.
        precision: f32, bf16 or int8.
        window: (C, *patch) of an input.
        batch: windows at once, for the throughput.
        threads: to compute with.
        trusted: as for `load_model`.
    """

    file: Path
    runtime: str
    precision: str
    window: tuple[int, ...]
    batch: int
    threads: int
    trusted: tuple[str, ...] = ()


class Worker:
    """A process that holds one network ready and measures it when told to. Use as a context manager.

    Raises:
        TrainingError: the process could not get the network ready; says why.
    """

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._mine, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def window(self, seconds: float) -> Timing:
        """Time of one window."""
        return self._ask("window", seconds)

    def batch(self, seconds: float) -> Timing:
        """Time of a batch of windows."""
        return self._ask("batch", seconds)

    def whole(self, image: Path) -> float:
        """Seconds of a whole prediction of a file, reading and writing included."""
        return self._ask("whole", image)

    def peak_megabytes(self) -> float:
        """Most memory the process has had."""
        return self._ask("peak", None)

    def _ask(self, what: str, argument: Any) -> Any:
        self._mine.send((what, argument))
        return self._answer()

    def _answer(self) -> Any:
        try:
            good, value = self._mine.recv()
        except EOFError:
            raise TrainingError(
                "a measuring process ended before its time; memory may have run out"
            ) from None
        if not good:
            raise TrainingError(str(value))
        return value

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mine.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()


def _serve(pipe: Connection, job: Job) -> None:
    """In the new process: get ready, then answer until the pipe is closed."""
    try:
        one, several = calls_of(job)
        pipe.send((True, None))
    except Exception as error:  # whatever it is, the parent says it
        text = str(error).strip().splitlines() or [type(error).__name__]
        pipe.send((False, text[0]))
        return
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, _answer(what, argument, job, one, several)))
        except Exception as error:  # as above
            pipe.send(
                (
                    False,
                    str(error) if isinstance(error, StampsegError) else f"{type(error).__name__}: {error}",
                )
            )


def _answer(
    what: str, argument: Any, job: Job, one: Callable[[], object], several: Callable[[], object]
) -> Any:
    if what == "peak":
        return peak_megabytes()
    if what == "whole":
        return _whole(job, argument)
    return measure(one if what == "window" else several, seconds=argument)


def peak_megabytes() -> float:
    """Most memory this process has had, which getrusage says with its parent's on Linux."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _whole(job: Job, image: Path) -> float:
    from ..runtime.segment_options import SegmentOptions
    from ..runtime.segmentation import segment

    with tempfile.TemporaryDirectory() as folder:
        timing = measure(
            lambda: segment(
                job.file, [image], Path(folder),
                SegmentOptions(overwrite=True, trusted=tuple(job.trusted), threads=job.threads),
                echo=lambda text: None,
            ).check(),
            seconds=0, least=1, warm_up=1,
        )  # fmt: skip
    return timing.median / 1e3


def calls_of(job: Job) -> tuple[Callable[[], object], Callable[[], object]]:
    """Calls of the network on one window and on a batch of them, of noise."""
    noise = np.random.default_rng(0).standard_normal((job.batch, *job.window), dtype=np.float32)
    if job.runtime in ("onnxruntime", "openvino"):
        from ..runtime import open_session

        session = open_session(job.file, threads=job.threads)
        return lambda: session(noise[:1]), lambda: session(noise)
    import torch

    from ..export.score_network import score_network_of
    from ..networks.model_file import load_model
    from .layer_table import eager

    torch.set_num_threads(job.threads)
    model = load_model(job.file, trusted=job.trusted)
    dtype = torch.bfloat16 if job.precision == "bf16" else torch.float32
    network: Any = score_network_of(model, dtype, channels_last=True)
    if job.runtime == "compiled":
        network = torch.compile(network, dynamic=False)
    images = torch.from_numpy(noise)
    return eager(network, images[:1], plain=job.runtime == "compiled"), eager(
        network, images, plain=job.runtime == "compiled"
    )
