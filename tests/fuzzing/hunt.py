"""One damaged file after the other, each within a time and all within a memory."""

from __future__ import annotations

import resource
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hypothesis import HealthCheck, Phase, given, settings

from stampseg.core.errors import StampsegError

from .targets import Target, quiet

SECONDS, MEGABYTES = 20, 400  # of one file; more than the process had


class TooLongError(BaseException):
    """Not an Exception, so that nobody takes it for a damaged file."""


@dataclass
class Tally:
    """How many files were opened, refused, and accepted as valid."""

    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)


def hunt(target: Target, folder: Path, examples: int, *, seeded: bool) -> Tally:
    """Open damaged files; whatever is neither a result nor an error of ours is raised.

    Args:
        target: what is opened.
        folder: where files are put.
        examples: how many.
        seeded: the same files each time.
    """
    tally, before = Tally(), peak()

    @settings(
        max_examples=examples, deadline=None, derandomize=seeded, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(target.content)
    def opened(content: bytes) -> None:
        place = folder / "case"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = place / target.file
        path.write_bytes(content)
        tally.runs += 1
        try:
            with quiet(), _within(SECONDS):
                target.read(path)
            tally.ends["valid"] += 1
        except StampsegError as error:
            text = str(error)
            assert "\n" not in text and text.strip(), "an error is one line"
            tally.ends["refused"] += 1
        assert peak() - before < MEGABYTES, "too much memory"

    opened()
    return tally


def peak() -> float:
    """Most memory that the process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise TooLongError(f"more than {seconds} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
