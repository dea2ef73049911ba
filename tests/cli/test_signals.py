"""SIGTERM, SIGUSR1, Ctrl-C: the step ends, a checkpoint is written, and the run goes on bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from stampseg.core.errors import StoppedError
from stampseg.run import interruption, launch
from stampseg.run.checkpoint import Checkpointer
from stampseg.run.interruption import between_steps, end_if_asked, ending_on_signals
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


def test_ctrl_c_ends_the_step_and_keeps_it(
    pictures: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        steps = signal_at(patch, Trainer, "_step", signal.SIGINT, 4)
        said = call("train", pictures, "-o", run, *SELDOM, code=130)
    assert len(steps) == 4 and "stopped by the user" in said.stderr and (run / "checkpoint").is_dir()
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    call("train", "--resume", run)
    assert outcome(run) | {"inputs": []} == outcome(whole) | {"inputs": []}


def test_a_second_ctrl_c_waits_for_nothing(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, reached = Trainer._step, list[int]()

    def twice(*args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(2)
        return original(*args, **kwargs)

    monkeypatch.setattr(Trainer, "_step", twice)
    call("train", pictures, "-o", tmp_path / "run", *SELDOM, code=130)
    assert reached == [1]


def test_ctrl_c_beside_a_signal_of_a_queue_and_without_a_reader_loses_nothing(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, reached = Trainer._step, list[int]()

    def both(*args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)
        return original(*args, **kwargs)

    def unread(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(Trainer, "_step", both)
    monkeypatch.setattr(interruption.os, "write", unread)
    call("train", pictures, "-o", tmp_path / "run", *SELDOM, code=130)
    assert reached == [1] and (tmp_path / "run" / "checkpoint").is_dir()


def test_a_signal_after_the_last_look_ends_the_work_with_the_steps() -> None:
    """It was noted, and the run went on through its result, calibration and test."""
    with ending_on_signals(), pytest.raises(StoppedError):
        with between_steps():
            end_if_asked()
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending_on_signals():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


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
