"""Cells on a cluster of Ray: it carries names and exit codes, and no arrays."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from ...core.errors import ConfigError
from ...core.packages import require
from ...core.text import counted
from .command import process_cell
from .plan import Study

LOCAL = "local"  # in the place of an address: a cluster of this machine
_PROBE_SECONDS, _WAIT_SECONDS, _END_SECONDS = 3, 2, 600
_STORE_BYTES = 100_000_000  # for what travels, which is next to nothing
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class RayEngine:
    """Cells as tasks of Ray, of one CPU each, and one GPU where they compute on one.

    Args:
        study: whose cells.
        address: HOST:PORT of the cluster's head, or local.
        workers: cells at a time of a local cluster.

    Raises:
        ConfigError: nobody answers there, there is no token, or no node that could do a cell.
    """

    room = None

    def __init__(self, study: Study, address: str, workers: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_task_oom_retries", "0")  # attempts are counted here
        os.environ.setdefault(
            "RAY_worker_niceness", "0"
        )  # 15 by default, on a machine that others use as well
        self._ray = require("ray", "`ray`")
        self.study = study
        self._names: dict[Any, str] = {}  # of every task that has not ended
        needed = {"CPU": 1.0} | ({"GPU": 1.0} if study.on_gpu else {})
        self._join(address, workers)
        try:
            self._see_that_it_fits(address, needed)
        except BaseException:
            self._ray.shutdown()
            raise
        self._task = self._ray.remote(process_cell).options(
            num_cpus=1, num_gpus=int("GPU" in needed), max_retries=0
        )

    def _join(self, address: str, workers: int) -> None:
        quiet = {"log_to_driver": False, "logging_level": "error"}
        if address == LOCAL:
            self._ray.init(
                num_cpus=workers, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet
            )
            return
        check_address(address)
        try:
            self._ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"`ray` {address!r}: cannot be joined ({' '.join(str(error).split())[:200]}); is the token "
                "that of the cluster, and Ray the same version?"
            ) from None

    def _see_that_it_fits(self, address: str, needed: dict[str, float]) -> None:
        """A task that fits no node would wait for ever."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if not any(all(node.get(what, 0) >= number for what, number in needed.items()) for node in nodes):
            raise ConfigError(
                f"`ray` {address!r}: none of {counted(len(nodes), 'node')} has what a cell needs "
                f"({' and '.join(f'1 {what}' for what in needed)}); start nodes that have"
            )

    def begun(self) -> list[str]:
        """None: what another process began ended with it."""
        return []

    def submit(self, names: Sequence[str]) -> None:
        """Take cells."""
        folder = str(self.study.folder.absolute())
        for name in names:
            self._names[self._task.remote(folder, name)] = name

    def ended(self) -> list[tuple[str, int | None]]:
        """Cells whose tasks have ended; without an exit code where the worker or the node died."""
        if not self._names:
            return []
        ready, _ = self._ray.wait(list(self._names), num_returns=1, timeout=_WAIT_SECONDS)
        return [(self._names.pop(task), self._code(task)) for task in ready]

    def stop(self) -> str:
        """Let the cells write their checkpoints, and wait for that."""
        tasks = list(self._names)
        for task in tasks:
            self._ray.cancel(task)
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=_END_SECONDS)
        self._ray.shutdown()
        return f"{counted(len(tasks), 'cell')} asked to stop" if tasks else "no cell was at work"

    def _code(self, task: Any) -> int | None:
        try:
            return int(self._ray.get(task))
        except self._ray.exceptions.RayError:
            return None


def check_address(address: str) -> None:
    """See that somebody answers, before Ray waits for ever; and that there is a token.

    Raises:
        ConfigError: no address, nobody there, or no token.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"`ray` {address!r}: expected HOST:PORT of the head, as in 10.0.0.5:6379, or local")
    if os.environ.get("RAY_AUTH_MODE") != "token" or not any(map(os.environ.get, _TOKENS)):
        raise ConfigError(
            f"`ray` {address!r}: a cluster without a token lets everybody in the network run commands; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH on every node, and here"
        )
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"`ray` {address!r}: nobody answers ({error.strerror or error}); start a head there with "
            "`ray start --head`, or correct the address"
        ) from None
