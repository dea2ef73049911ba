"""SIGTERM and SIGUSR1, as queues send them before they kill: the step ends, a checkpoint is written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..core.errors import StoppedError

_ASKED = threading.Event()
_IN_STEPS = threading.Event()


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Meanwhile the signals end the work by `StoppedError`: at once, or after the step where there are steps.

    Raises:
        StoppedError: a signal has come.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    names = [name for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _come) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _come(number: int, frame: FrameType | None) -> None:
    _ASKED.set()
    if not _IN_STEPS.is_set():
        end_if_asked()


@contextmanager
def between_steps() -> Iterator[None]:
    """Meanwhile a signal is only noted: whoever takes steps calls `end_if_asked` when it can go on later."""
    _IN_STEPS.set()
    try:
        yield
    finally:
        _IN_STEPS.clear()


def asked_to_end() -> bool:
    """Whether a signal has come."""
    return _ASKED.is_set()


def end_if_asked() -> None:
    """End, if a signal has come.

    Raises:
        StoppedError: it has.
    """
    if _ASKED.is_set():
        _ASKED.clear()
        raise StoppedError("stopped by a signal (SIGTERM or SIGUSR1)")
