"""Freed memory stays for what asks next, while that is wanted and no longer."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from stampseg.core.memory import keeping_freed_memory

CODE = """
import resource
import numpy as np
from stampseg.core.memory import keeping_freed_memory

PAGES = (256 << 20) // resource.getpagesize()

def pages_made():
    np.ones(256 << 20, np.uint8)  # the first time of all, whoever keeps what
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(256 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

outside = pages_made()
with keeping_freed_memory():
    inside, kept = pages_made(), resident()
after, left = pages_made(), resident()
print(outside, inside, after, kept - left, PAGES)
"""


def glibc() -> bool:
    try:
        return sys.platform.startswith("linux") and bool(ctypes.CDLL(None).gnu_get_libc_version)
    except (OSError, AttributeError):
        return False


def counted(**environment: str) -> list[int]:
    known = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    known.pop("GLIBC_TUNABLES", None)
    command = [sys.executable, "-c", CODE]
    ran = subprocess.run(command, capture_output=True, text=True, env=known | environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return [int(word) for word in ran.stdout.split()]


@pytest.mark.skipif(not glibc(), reason="only glibc is told to keep what is freed")
def test_blocks_freed_and_asked_for_again_cost_no_new_pages() -> None:
    outside, inside, after, given_back, pages = counted()
    assert inside < outside / 20, "the same pages serve each time"
    assert after > outside / 2, "afterwards the C library does as before"
    assert given_back > pages / 2, "and what was kept is the system's again"


@pytest.mark.skipif(not glibc(), reason="only glibc is told to keep what is freed")
def test_what_the_environment_says_is_left_alone() -> None:
    outside, inside, _, _, _ = counted(MALLOC_MMAP_THRESHOLD_="1000000")
    assert inside > outside / 2


def test_an_error_within_goes_through() -> None:
    with pytest.raises(KeyError), keeping_freed_memory():
        raise KeyError


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: pytest.fail("no library is opened"))
    with keeping_freed_memory():
        pass
