"""Ctrl-C, and SIGTERM and SIGUSR1 as queues send them: the step ends, a checkpoint is written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..core.errors import StoppedError

WAITING = "\nstops when this step has ended, to go on from there; Ctrl-C again stops at once\n"
_ASKED = threading.Event()
_BY_USER = threading.Event()  # by Ctrl-C
_IN_STEPS = threading.Event()


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Meanwhile the signals end the work: at once, or after the step where there are steps.

    A second Ctrl-C does not wait for the step. Where Ctrl-C is ignored, as behind nohup, it stays so.

    Raises:
        StoppedError: a signal has come.
        KeyboardInterrupt: that of Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    names = [name for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _come) for name in names}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before["SIGINT"] = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
        _ASKED.clear()  # of what came too late
        _BY_USER.clear()


def _come(number: int, frame: FrameType | None) -> None:
    _ASKED.set()
    if not _IN_STEPS.is_set():
        end_if_asked()


def _interrupted(number: int, frame: FrameType | None) -> None:
    if _ASKED.is_set() or not _IN_STEPS.is_set():
        _ASKED.clear()
        _BY_USER.clear()
        raise KeyboardInterrupt
    _BY_USER.set()
    _ASKED.set()
    os.write(2, WAITING.encode())  # a stream may be in the middle of a line


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
        KeyboardInterrupt: it was Ctrl-C.
    """
    if _ASKED.is_set():
        _ASKED.clear()
        if _BY_USER.is_set():
            _BY_USER.clear()
            raise KeyboardInterrupt
        raise StoppedError("stopped by a signal (SIGTERM or SIGUSR1)")
