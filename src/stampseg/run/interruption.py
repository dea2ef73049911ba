"""Ctrl-C, and SIGTERM and SIGUSR1 as queues send them: the step ends, a checkpoint is written."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from ..core.errors import StoppedError

WAITING = "\nstops when this step has ended, to go on from there; Ctrl-C again stops at once\n"


@dataclass
class _State:
    """Without locks: a handler may come while another one is at work, and would wait for itself."""

    asked: bool = False  # a signal has come
    by_user: bool = False  # Ctrl-C among them
    in_steps: bool = False

    def forget(self) -> None:
        """What has come is dealt with."""
        self.asked = self.by_user = False


_STATE = _State()


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
        _STATE.forget()  # of what came too late


def _come(number: int, frame: FrameType | None) -> None:
    _STATE.asked = True
    if not _STATE.in_steps:
        end_if_asked()


def _interrupted(number: int, frame: FrameType | None) -> None:
    if _STATE.by_user or not _STATE.in_steps:
        _STATE.forget()
        raise KeyboardInterrupt
    _STATE.asked = _STATE.by_user = True
    with suppress(OSError):  # nobody reads; and a stream may be in the middle of a line
        os.write(2, WAITING.encode())


@contextmanager
def between_steps() -> Iterator[None]:
    """Meanwhile a signal is only noted: whoever takes steps calls `end_if_asked` when it can go on later.

    Raises:
        StoppedError, KeyboardInterrupt: one came after the last time that was asked.
    """
    _STATE.in_steps = True
    try:
        yield
    finally:
        _STATE.in_steps = False
    end_if_asked()


def asked_to_end() -> bool:
    """Whether a signal has come."""
    return _STATE.asked


def end_if_asked() -> None:
    """End, if a signal has come.

    Raises:
        StoppedError: it has.
        KeyboardInterrupt: it was Ctrl-C.
    """
    if _STATE.asked:
        by_user = _STATE.by_user
        _STATE.forget()
        raise KeyboardInterrupt if by_user else StoppedError("stopped by a signal (SIGTERM or SIGUSR1)")
