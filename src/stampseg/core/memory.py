"""Memory that one training step frees and the next one needs."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h: what mallopt takes, and what holds by itself; the threshold grows to as much.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_OWN = {_MMAP_MAX: 1 << 16, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
_KEPT = {
    _MMAP_MAX: 0,
    _TRIM_THRESHOLD: (1 << 31) - 1,
}  # no block by itself; the most bytes that mallopt takes
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")
_TUNABLES = tuple(
    f"glibc.malloc.{name}" for name in ("mmap_threshold", "trim_threshold", "mmap_max", "top_pad")
)


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keep freed memory in this process for what it asks for next; afterwards give it back to the system.

    glibc gives each block of over 32 MB back as it is freed. Tensors of a training step are as large, so that
    every step has their pages made anew and filled with zeros by the system: up to 30% of its time on a
    CPU. What is computed stays the same; the peak of memory rises by up to 27%, as a gap is not always
    filled by what comes next (docs/results/freed-memory.md).

    Nothing happens under another C library, or where the environment says how glibc does this: with
    MALLOC_TRIM_THRESHOLD_=67108864 all is given back as it is freed. The setting is the process's: other
    threads have it too, and uses do not nest.
    """
    libc = _glibc()
    if libc is None or _set_by_user():
        yield
        return
    for name, size in _KEPT.items():
        libc.mallopt(name, size)
    try:
        yield
    finally:
        for name, size in _OWN.items():
            libc.mallopt(name, size)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.malloc_trim.argtypes = [ctypes.c_size_t]
        return libc if libc.gnu_get_libc_version and libc.mallopt else None
    except (OSError, AttributeError):  # musl has none of them
        return None


def _set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return any(name in tunables for name in _TUNABLES) or any(name in os.environ for name in _SETTINGS)
