"""Work on many items by a few threads at once, results in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from .system import processors

A = TypeVar("A")
B = TypeVar("B")
MOST_THREADS = 4  # more would wait for each other: between numpy's and the readers' own work Python runs one


def in_threads(
    work: Callable[[A], B], items: Iterable[A], most: int = MOST_THREADS
) -> Generator[B, None, None]:
    """What `work` gives for each item, in their order; what it raises is raised in the place of its result.

    What holds for the caller alone (`contextvars`) holds for the threads too. Close it, where what takes the
    results may raise: what was begun is then waited for.

    Args:
        work: on one item; several run at once.
        items: are taken as they are worked on, at most two a thread ahead of the results that were taken.
        most: threads; no more than there are processors. With 1 there is none beside the caller's.
    """
    threads = min(most, processors())
    if threads < 2:
        yield from map(work, items)
        return
    begun: deque[Future[B]] = deque()
    with ThreadPoolExecutor(threads, "working") as pool:
        try:
            for item in items:
                begun.append(pool.submit(copy_context().run, work, item))
                if len(begun) > 2 * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
