"""What is seen before a cell is given to Ray, and the task that does one."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stampseg.core.errors import ConfigError, MissingPackageError
from stampseg.run.study import command
from stampseg.run.study import ray as engines
from stampseg.run.study.plan import Study, open_study
from stampseg.run.study.ray import RayEngine, check_address
from tests.run.study.small import OPTIONS, write_study


@pytest.fixture
def with_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/token")


@pytest.mark.parametrize("address", ["head", ":6379", "head:", "head:x", "head:70000"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError, match=f"`ray` '{address}': expected HOST:PORT of the head"):
        check_address(address)


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="without a token lets everybody in the network run commands; set"):
        check_address("127.0.0.1:6379")


@pytest.mark.usefixtures("with_token")
def test_a_dead_address_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConfigError, match=r"nobody answers \(Connection refused\); start a head there"):
        check_address(f"127.0.0.1:{port}")
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        check_address(f"127.0.0.1:{head.getsockname()[1]}")


def fake_ray(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float]) -> list[str]:
    """A Ray of these nodes; what is done with it."""
    done: list[str] = []
    given: list[dict[str, Any]] = []
    ray = SimpleNamespace(
        init=lambda **options: given.append(options),
        nodes=lambda: [{"Alive": True, "Resources": node} for node in nodes],
        shutdown=lambda: done.append("shutdown"),
        remote=lambda work: SimpleNamespace(options=lambda **options: done.append(str(options))),
    )
    monkeypatch.setattr(engines, "require", lambda *_: ray)
    return done


def study_of(tmp_path: Path, device: str) -> Study:
    return open_study(write_study(tmp_path, options={**OPTIONS, "device": device}), tmp_path / "out")


def test_a_cell_that_fits_no_node_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = fake_ray(monkeypatch, {"CPU": 0.0}, {"CPU": 8.0})
    RayEngine(study_of(tmp_path / "a", "cpu"), "local", 2)
    assert done == ["{'num_cpus': 1, 'num_gpus': 0, 'max_retries': 0}"]
    with pytest.raises(
        ConfigError, match=r"none of 2 nodes has what a cell needs \(1 CPU and 1 GPU\); start"
    ):
        RayEngine(study_of(tmp_path / "b", "cuda"), "local", 2)
    assert done[-1] == "shutdown"


def test_without_ray_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match="`ray` needs ray, which is not installed; pip install ray"):
        RayEngine(study_of(tmp_path, "cpu"), "local", 1)


def test_the_task_gives_back_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-c", "print('here'); raise SystemExit(3)"]
    monkeypatch.setattr(command, "cell_command", lambda folder, name: words)
    assert command.process_cell(str(tmp_path), "a/b/1-2") == 3
    assert (tmp_path / "cells" / "a" / "b" / "1-2" / "log.txt").read_text() == "here\n"
