"""What this machine is."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .options import FileRecord
from .version import __version__


class Machine(FileRecord):
    """Where something was computed, and with what."""

    processor: str | None = None
    threads: int | None = None
    torch: str | None = None
    stampseg: str | None = None
    python: str | None = None
    numpy: str | None = None
    monai: str | None = None


def this_machine(threads: int, torch: str) -> Machine:
    """The machine that this runs on, the threads in use, and the versions of what computes."""
    return Machine(
        processor=processor(),
        threads=threads,
        torch=torch,
        stampseg=__version__,
        python=platform.python_version(),
        numpy=_version("numpy"),
        monai=_version("monai"),
    )


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
