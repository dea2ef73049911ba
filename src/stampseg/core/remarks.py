"""What the libraries that read files say of them: gathered with the file's name, not printed as it comes.

Some warn, some log; either way a reader of the screen would not know which file is meant.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from .errors import one_line
from .text import counted

LOGGERS = ("nibabel.global", "pydicom", "tifffile")  # that print what they log, if nobody else takes it
FOR_DEVELOPERS = (
    DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning,
)  # fmt: skip
_FILE: ContextVar[Path | None] = ContextVar("file", default=None)
_UNHEARD: ContextVar[bool] = ContextVar("unheard", default=False)
_GATHERERS: list[Remarks] = []  # the last one is told


@dataclass
class Remarks:
    """Gathered remarks: the files by what was said of them, and what was said while no file was read."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Keep what was said, once for each file."""
        text, path = one_line(text.strip()), _FILE.get()
        into: list[Any] = self.others if path is None else self.files.setdefault(text, [])
        item = text if path is None else path
        if item not in into:
            into.append(item)

    def sentences(self) -> list[tuple[str, list[Path]]]:
        """One sentence for all files of which the same was said, and those files, in their order by name."""
        # several threads read, and what they say comes in any order
        said = sorted((sorted(files), text) for text, files in self.files.items())
        return [(f"{files[0]}{_more(len(files) - 1)}: {text.rstrip('.')}", files) for files, text in said]


REMEDY = "look whether it is shown as you expect in a viewer; if not, save it again"


def _more(number: int) -> str:
    return f" and {counted(number, 'more file')}" if number else ""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What is said meanwhile, in this thread, is about this file."""
    token = _FILE.set(path)
    try:
        yield
    finally:
        _FILE.reset(token)


@contextmanager
def gathered() -> Iterator[Remarks]:
    """Gather warnings, and what the readers' loggers say, in place of having them printed."""
    remarks = Remarks()

    loggers = [logging.getLogger(name) for name in LOGGERS]
    with warnings.catch_warnings():
        warnings.simplefilter("always", append=True)  # once a place, else: the next file would pass
        warnings.showwarning = _warned
        for logger in loggers:
            logger.addFilter(_logged)
        _GATHERERS.append(remarks)
        try:
            yield remarks
        finally:
            _GATHERERS.pop()
            for logger in loggers if not _GATHERERS else ():
                logger.removeFilter(_logged)


def remark(text: str) -> None:
    """Have something gathered of the file that is read, where somebody gathers."""
    if _GATHERERS:
        _GATHERERS[-1].add(text)


@contextmanager
def unheard() -> Iterator[None]:
    """What is warned of meanwhile, in this thread, is neither gathered nor printed."""
    token = _UNHEARD.set(True)
    try:
        # the filters are those of all threads: where somebody gathers, they stay as they are
        with nullcontext() if _GATHERERS else _SILENCE:
            yield
    finally:
        _UNHEARD.reset(token)


class _Silence:
    """Nothing is warned of from the first thread's coming to the last one's going."""

    def __init__(self) -> None:
        self.lock, self.inside, self.filters = Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.filters.__exit__(None, None, None)


_SILENCE = _Silence()


def _warned(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if not issubclass(category, FOR_DEVELOPERS) and not _UNHEARD.get():
        remark(str(message))


def _logged(record: logging.LogRecord) -> bool:
    """Whether the record goes on to whoever prints it."""
    if record.levelno >= logging.WARNING:
        remark(record.getMessage())
    return record.levelno < logging.WARNING
