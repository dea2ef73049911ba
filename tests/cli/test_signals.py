"""SIGTERM and SIGUSR1: the step ends, a checkpoint is written, and the run goes on from there bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from stampseg.run import launch
from stampseg.run.checkpoint import Checkpointer
from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS, common
from tests.run.stopping import outcome

SELDOM = tuple(word.replace("minutes=0", "minutes=99") for word in OPTIONS)  # none within a round by itself


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(6)))


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "run"
    call("train", pictures, "-o", output, *SELDOM)
    return output


def signal_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, every: int) -> list[str]:
    """Send a signal within each n-th call of a function."""
    original, calls = getattr(owner, name), list[str]()

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) % every == 0:
            assert callable(signal.getsignal(number)), "nobody listens: the signal would end all tests"
            os.kill(os.getpid(), number)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_in_a_queue_of_short_jobs_advances_and_ends_the_same(
    number: int, pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third step the limit is reached: far more often than a checkpoint is due."""
    run = tmp_path / "run"
    before = signal.getsignal(number)
    steps = signal_at(monkeypatch, Trainer, "_step", number, 3)
    for _ in range(4):
        said = call("train", pictures, "-o", run, *SELDOM, code=143)
        assert f"resume it with: stampseg train --resume {run}" in said.stderr
        assert "stopped by a signal (SIGTERM or SIGUSR1)" in said.stderr
        assert (run / "checkpoint").is_dir()
    call("train", "--resume", run)
    assert len(steps) == 12, "no step was taken twice"
    assert outcome(run) | {"inputs": []} == outcome(whole) | {"inputs": []}
    assert signal.getsignal(number) == before


def test_between_two_rounds_the_run_ends_as_well(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        signal_at(patch, Checkpointer, "keep", signal.SIGTERM, 2)
        call("train", pictures, "-o", run, *SELDOM, code=143)
    call("train", "--resume", run)
    assert outcome(run) == outcome(whole)


def test_before_the_first_step_nothing_is_waited_for(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_at(monkeypatch, launch, "find_dataset", signal.SIGTERM, 1)
    call("train", pictures, "-o", tmp_path / "run", *SELDOM, code=143)


def test_pruning_ends_and_goes_on_as_well(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = tuple(word.replace("minutes=0", "minutes=99") for word in common())
    call("prune", whole, pictures, "-o", tmp_path / "whole", *options)
    with monkeypatch.context() as patch:
        signal_at(patch, Trainer, "_step", signal.SIGTERM, 5)
        call("prune", whole, pictures, "-o", tmp_path / "run", *options, code=143)
    call("prune", whole, pictures, "-o", tmp_path / "run", *options)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
