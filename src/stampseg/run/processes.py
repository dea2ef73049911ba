"""The processes of a run on several devices: started, watched, and ended together.

The first one is the process of the run: it has the folder, speaks and decides. It starts the others, which
own nothing: whatever ends the first one ends them, and it is told when one of them ends before its time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path
from typing import Any

import psutil
import torch
import torch.distributed as dist

from ..core import errors
from ..core.errors import ConfigError, StampsegError, TrainingError
from ..core.remarks import gathered
from ..data.share import Share
from ..train.team import ALONE, LostError, Team

SPAWN: Any = multiprocessing.get_context(
    "spawn"
)  # CUDA, and the threads of torch, do not live through a fork
FOREVER = timedelta(days=30)  # one process may validate for long; ends are seen by watching, not by waiting
GRACE = 20.0  # seconds that the first process has to end by itself
LOST = 70  # exit status of a process that ended because another one did
_INTERFACE = "GLOO_SOCKET_IFNAME"

# The team, and what was given to `working_together`.
Work = Callable[..., None]


@contextmanager
def working_together(
    places: Sequence[torch.device], last_words: Callable[[str], None], work: Work, *arguments: Any
) -> Iterator[Team]:
    """This process as the first of a team; within it the others do `work(team, device, *arguments)`.

    Args:
        places: the device of each, this one first; of one alone, nothing is started. See `devices_of`.
        last_words: is told why, where another process has died and this one does not come back to be told.
        work: a function of a module; takes the team, its device, and the arguments.

    Raises:
        StampsegError: what another process ended with.
        ConfigError: torch.distributed is used already in this process.
    """
    count = len(places)
    if count == 1:
        yield ALONE
        return
    if dist.is_initialized():
        raise ConfigError(
            f"`devices` {count}: torch.distributed is in use in this process; leave out `devices`, or end "
            "the process group first"
        )
    threads = torch.get_num_threads()
    each = max(1, threads // count) if places[0].type == "cpu" else threads
    with tempfile.TemporaryDirectory(prefix="stampseg-", ignore_cleanup_errors=True) as folder:
        meeting, others = Path(folder) / "meeting", _Others(last_words)
        torch.set_num_threads(each)
        try:
            for rank in range(1, count):
                others.each.append(_start(Share(rank, count), places, each, meeting, work, arguments))
            others.await_all()
            others.watch()  # one may end before all have met, and they would be waited for
            with _met(Share(0, count), places[0], meeting) as team:
                yield team
            others.leave()
        except LostError as error:
            raise others.reason() or error from None
        finally:
            others.end()
            torch.set_num_threads(threads)


@contextmanager
def _met(share: Share, device: torch.device, meeting: Path) -> Iterator[Team]:
    """The team, once all have come to the same file."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    before = os.environ.get(_INTERFACE)
    if before is None and (own := _loopback()) is not None:
        os.environ[_INTERFACE] = own  # nobody else on the network can come to it
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.FileStore(str(meeting), share.size),  # type: ignore[attr-defined]
            rank=share.rank, world_size=share.size,
            timeout=FOREVER,
        )  # fmt: skip
    except RuntimeError as error:
        # torch counts groups that failed too, and names the next one by it: its others would wait for good
        dist.distributed_c10d._world.group_count = 0
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LostError(  # for which another one may have a reason: it may have ended while all met
            f"the processes of `devices` {share.size} cannot reach each other ({reason}); leave out `devices`"
        ) from error
    finally:
        if before is None:
            os.environ.pop(_INTERFACE, None)
    try:
        yield Team(share)
    except BaseException:
        if device.type != "cuda":  # NCCL would wait for those who are gone; the process ends anyway
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _loopback() -> str | None:
    """Name of the interface that only this machine has."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == "127.0.0.1" for address in addresses):
            return str(name)
    return None


@dataclass
class _Other:
    """Another process of the team, and what it says when it ends."""

    share: Share
    device: torch.device
    process: BaseProcess
    words: Connection
    heard: StampsegError | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def said(self) -> StampsegError | None:
        """Why it has ended; None where it has not, is done, or ended because of another one.

        It says so once, and two threads ask: this one, and the one that watches.
        """
        code = self.process.exitcode
        if code is None or code in (0, LOST):
            return None
        with self._guard:
            self.heard = self.heard or self._listen(code)
        return self.heard

    def _listen(self, code: int) -> StampsegError:
        who = f"process {self.share.rank + 1} of {self.share.size} ({self.device})"
        with suppress(EOFError, OSError):
            while self.words.poll():
                found = self.words.recv()
                if found is not None:
                    kind, text = found
                    return getattr(errors, kind, TrainingError)(f"{who}: {text}")
        how = f"was killed by signal {-code}" if code < 0 else f"has ended with status {code}"
        return TrainingError(
            f"{who} {how}, and the run with it; see that there is memory for {self.share.size} processes"
        )


def _start(
    share: Share, places: Sequence[torch.device], threads: int, meeting: Path, work: Work, arguments: Any
) -> _Other:
    here, there = SPAWN.Pipe(duplex=False)
    device = places[share.rank]
    process = SPAWN.Process(
        target=_other, args=(share, device, threads, meeting, there, work, arguments), daemon=True
    )
    process.start()
    there.close()
    return _Other(share, device, process, here)


def _other(
    share: Share, device: torch.device, threads: int, meeting: Path, words: Connection, work: Work,
    arguments: tuple[Any, ...],
) -> None:  # fmt: skip
    """What another process does from its beginning to its end."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):  # the first process is told, and ends this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_first, daemon=True).start()
    torch.set_num_threads(threads)
    code, said = 0, None
    try:
        words.send(None)
        with gathered(), _met(share, device, meeting) as team:
            work(team, device, *arguments)
    except LostError:
        code = LOST
    except StampsegError as error:
        code, said = error.exit_code, (type(error).__name__, str(error))
    except BaseException as error:
        code, said = TrainingError.exit_code, ("TrainingError", f"{type(error).__name__}: {error}")
    with suppress(OSError):
        if said is not None:
            words.send(said)
    os._exit(code)  # no thread, and no library, may keep it


def _end_with_first() -> None:
    first = parent_process()
    if first is not None:
        wait([first.sentinel])
    os._exit(LOST)


class _Others:
    """The other processes, as the first one sees them."""

    def __init__(self, last_words: Callable[[str], None]) -> None:
        self.each, self.last_words = list[_Other](), last_words
        self._left = threading.Event()

    def await_all(self) -> None:
        """Wait until each has begun.

        Raises:
            StampsegError: one has not come as far.
        """
        for other in self.each:
            wait([other.words, other.process.sentinel])
            try:
                other.words.recv()
            except (EOFError, OSError):
                raise self.reason() or LostError("another process of the run has not begun") from None

    def watch(self) -> None:
        """From here on end this process if another one dies and this one waits for it for good."""
        context = copy_context()  # which command it is, for words about its flags
        threading.Thread(target=context.run, args=(self._watch,), daemon=True).start()

    def _watch(self) -> None:
        while not self._left.is_set():
            alive = [other.process.sentinel for other in self.each if other.process.is_alive()]
            if alive:
                wait(alive, timeout=0.5)
            else:
                time.sleep(0.5)
            if self._left.is_set() or not any(other.process.exitcode for other in self.each):
                continue
            reason = self.reason()
            if not self._left.wait(GRACE):
                self.last_words(str(reason or "another process of the run does not answer"))
                sys.stderr.flush()
                os._exit(TrainingError.exit_code)

    def reason(self) -> StampsegError | None:
        """Why the first of them ended that had a reason of its own; waits for them to say it."""
        end = time.monotonic() + GRACE
        while True:
            alive = any(
                other.process.is_alive() for other in self.each
            )  # asked first: then all has been said
            for other in self.each:
                other.process.join(timeout=0.05)
                if (found := other.said()) is not None:
                    return found
            if not alive or time.monotonic() > end:
                return None

    def leave(self) -> None:
        """All has been done; they end by themselves."""
        self._left.set()
        for other in self.each:
            other.process.join(timeout=GRACE)

    def end(self) -> None:
        """End those that are still there: all that matters is in this process."""
        self._left.set()
        for other in self.each:
            if other.process.is_alive():
                other.process.kill()
            other.process.join()
            other.words.close()
