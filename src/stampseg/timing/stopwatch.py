"""How long a call takes, on a machine that does other things too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Milliseconds of repeated calls."""

    least: float
    median: float
    low: float  # 10th percentile
    high: float  # 90th percentile
    calls: int


def measure(work: Callable[[], object], *, seconds: float = 0.5, least: int = 5, warm_up: int = 2) -> Timing:
    """Call `work` again and again for about so many seconds, at least so many times.

    Args:
        work: what to time.
        seconds: to spend, without the warm-up.
        least: calls, however long they take.
        warm_up: calls before, which are not counted.
    """
    for _ in range(warm_up):
        work()
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < least or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - start))
    ordered = sorted(taken)
    last = len(ordered) - 1
    return Timing(
        ordered[0],
        statistics.median(taken),
        ordered[round(0.1 * last)],
        ordered[round(0.9 * last)],
        len(taken),
    )
