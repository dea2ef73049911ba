"""A run on several devices: its result is that of one, and it can be stopped, and go on, however it likes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
import torch
from safetensors.torch import load_file

from stampseg.core.errors import ConfigError
from stampseg.data.share import Share
from stampseg.networks.device import devices_of
from stampseg.run import processes
from stampseg.run.folder import RunFolder
from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import common
from tests.run.stopping import killed_run
from tests.train.teams import quick_start

__all__ = ["quick_start"]

# As published, activations come before norms: a bias before a norm has a gradient of rounding alone.
# SGD: AdamW makes whole steps of such gradients. Runs are short: in float32 two that round otherwise part
# some day, where some value lies on an edge. train/test_team.py has six cuts, in float64.
PAPER = ("--set", "network.preset=paper", "--set", "network.poolings=2", "--set", "network.width=4")
SGD = ("--set", "train.optimizer=sgd", "--set", "train.learning_rate=0.01")
SELDOM = tuple(word.replace("minutes=0", "minutes=99") for word in common(steps=10, rounds=3))
SHORT = (*SELDOM, *PAPER, *SGD, "--set", "prune.warmup_share=0.2", "--set", "prune.final_share=0.3")
TAUGHT = (
    *SHORT,
    "--set",
    "teacher.start=0.0",
    "--set",
    "teacher.full=0.1",
    "--set",
    "teacher.dense_self=0.5",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(6)), (24, 32))


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    output = tmp_path_factory.mktemp("whole") / "run"
    call("train", pictures, "-o", output, *SHORT, "--quiet")
    return output


def rounds_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]


def assert_alike(run: Path, other: Path, bound: float = 1e-5) -> None:
    """The same cuts, and after every round the same weights to rounding."""
    rounds, others = rounds_of(run), rounds_of(other)
    assert [turn["removed"] for turn in rounds] == [turn["removed"] for turn in others]
    assert [turn["event"] for turn in rounds] == [turn["event"] for turn in others]
    for turn in rounds:
        name = f"rounds/{turn['number']:03d}.safetensors"
        found, expected = load_file(run / name), load_file(other / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key],
                value,
                rtol=0,
                atol=bound,
                msg=lambda text, key=key, name=name: f"{name} {key}: {text}",
            )


@pytest.mark.usefixtures("quick_start")
def test_two_processes_are_one(pictures: Path, whole: Path, tmp_path: Path) -> None:
    said = call("train", pictures, "-o", tmp_path / "run", *SHORT, "--devices", "2").output
    assert "2 processes (cpu), each with its share of every batch\n" in said
    assert sum(bool(turn["removed"]) for turn in rounds_of(whole)) == 3
    assert_alike(tmp_path / "run", whole)
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_start")
def test_three_processes_with_a_mean_teacher_are_one(tmp_path: Path) -> None:
    """Batches of four over three, with scans without labels, mixed boxes and both teachers.

    To a thousandth: one process with two threads is as far from one with one. test_team.py has float64.
    """
    (tmp_path / "data").mkdir()
    data = write_pictures(tmp_path / "data", "012345", (24, 32))
    for name in "14":
        (data / "masks" / f"{name}.png").unlink()
    call("train", data, "-o", tmp_path / "one", *TAUGHT, "--quiet")
    call("train", data, "-o", tmp_path / "three", *TAUGHT, "--quiet", "--devices", "3")
    assert sum(bool(turn["removed"]) for turn in rounds_of(tmp_path / "one")) == 3
    assert_alike(tmp_path / "three", tmp_path / "one", bound=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_start")
def test_a_trained_network_is_pruned_alike(pictures: Path, whole: Path, tmp_path: Path) -> None:
    command = ("prune", whole, pictures, *SELDOM, *SGD, "--quiet")
    call(*command, "-o", tmp_path / "one")
    call(*command, "-o", tmp_path / "two", "--devices", "2")
    assert any(turn["removed"] for turn in rounds_of(tmp_path / "one"))
    assert_alike(tmp_path / "two", tmp_path / "one")


@pytest.mark.usefixtures("quick_start")
@pytest.mark.parametrize(("first", "then"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_with_another_number(
    first: int, then: int, pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    command = ("train", pictures, "-o", run, *SHORT, "--quiet")
    killed_run(monkeypatch, (*command, "--devices", first), Trainer, "_step", 6, True)
    assert rounds_of(run) and not (run / "result.json").exists()
    if then == 1:
        call("train", "--resume", run, "--devices", then, "--quiet")
    else:
        call(*command, "--devices", then)  # the same command but for that
    assert_alike(run, whole)


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], object]) -> None:
    """Do something before a step of the first process."""
    original, calls = Trainer._step, list[int]()

    def counted(self: Trainer) -> float:
        calls.append(1)
        if len(calls) == number:
            do()
        return original(self)

    monkeypatch.setattr(Trainer, "_step", counted)


@pytest.mark.usefixtures("quick_start")
def test_a_killed_process_ends_the_run_which_goes_on(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def kill() -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    with monkeypatch.context() as patch:
        at_step(patch, 6, kill)
        ended = call("train", pictures, "-o", run, *SHORT, "--quiet", "--devices", "2", code=4)
    first, last = ended.stderr.splitlines()
    assert first == f"resume it with: stampseg train --resume {run}"
    # The server that starts processes quickly here cannot always say by what one ended: then it says 255.
    how = "(was killed by signal 9|has ended with status 255)"
    end = "and the run with it; see that there is memory for 2 processes"
    assert re.fullmatch(rf"stampseg: process 2 of 2 \(cpu\) {how}, {end}", last)
    call("train", "--resume", run, "--quiet")
    assert_alike(run, whole)


@pytest.mark.slow  # on a busy machine gloo has once aborted where others ended within a collective
@pytest.mark.usefixtures("quick_start")
def test_a_signal_ends_it_with_a_checkpoint(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a queue sends it: to every process of the job."""
    run = tmp_path / "run"

    def end() -> None:
        for pid in (*(child.pid for child in multiprocessing.active_children()), os.getpid()):
            os.kill(pid or 0, signal.SIGTERM)

    with monkeypatch.context() as patch:
        at_step(patch, 2, end)
        said = call("train", pictures, "-o", run, *SHORT, "--quiet", "--devices", "2", code=143)
    assert "stopped by a signal (SIGTERM or SIGUSR1)" in said.stderr
    assert (run / "checkpoint" / "step.safetensors").is_file() and not (run / "rounds.jsonl").exists()
    assert not multiprocessing.active_children()
    call("train", "--resume", run, "--quiet")
    assert_alike(run, whole)


@pytest.mark.slow
def test_where_the_first_is_killed_the_others_end(pictures: Path, whole: Path, tmp_path: Path) -> None:
    """With processes started as they are for users, from a command line."""
    run, source = tmp_path / "run", Path(__file__).resolve().parents[2] / "src"
    words = [
        sys.executable,
        "-m",
        "stampseg",
        "train",
        str(pictures),
        "-o",
        str(run),
        *SHORT,
        "--devices",
        "2",
    ]
    surroundings = {**os.environ, "PYTHONPATH": str(source)}
    with subprocess.Popen(words, env=surroundings, stdout=subprocess.DEVNULL) as process:
        while not (run / "rounds.jsonl").exists() and process.poll() is None:
            time.sleep(0.02)
        others = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert others
    assert not psutil.wait_procs(others, timeout=30)[1], "none is left"
    call("train", "--resume", run, "--quiet")
    assert_alike(run, whole)


ENDLESS = """
import time, torch
from stampseg.run import processes
from stampseg.run.processes import working_together

def work(team, device):
    raise MemoryError("too large")

if __name__ == "__main__":
    processes.GRACE = 0.5
    with working_together([torch.device("cpu")] * 2, lambda text: print(text, flush=True), work):
        time.sleep(600)  # stands for a call that waits for the other process and is never told
"""


@pytest.mark.slow
def test_a_process_that_waits_for_good_is_ended(tmp_path: Path) -> None:
    script, source = tmp_path / "endless.py", Path(__file__).resolve().parents[2] / "src"
    script.write_text(ENDLESS)
    surroundings = {**os.environ, "PYTHONPATH": str(source)}
    words = [sys.executable, str(script)]
    said = subprocess.run(words, env=surroundings, capture_output=True, text=True, timeout=300, check=False)
    assert (said.returncode, said.stdout) == (4, "process 2 of 2 (cpu): MemoryError: too large\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--devices", "5"),
            "--devices 5 with --set train.batch_size 4: each process needs a window of every batch; give "
            "--devices 4 or fewer, or a larger batch",
        ),
        (
            ("--devices", "3", "--set", "teacher.batch_size=2"),
            "--devices 3 with --set teacher.batch_size 2: each process needs a window of every batch; "
            "give --devices 2 or fewer, or a larger batch",
        ),
        (
            ("--devices", "2", "--set", "train.compile=true"),
            "--devices 2 with --set train.compile: compiled layers cannot look at the rows of other "
            "processes; leave out one of the two",
        ),
        (("--devices", "0"), "--devices 0: expected 1 or more"),
    ],
    ids=["batch", "unlabelled", "compiled", "none"],
)
def test_what_cannot_be_shared_out_is_refused(
    options: tuple[str, ...], message: str, pictures: Path, tmp_path: Path
) -> None:
    said = call("train", pictures, "-o", tmp_path / "run", *options, code=2)
    assert message in said.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("device", "count", "message"),
    [
        ("mps", 2, r"^`devices` 2: of cpu or cuda, not of mps; leave out `devices`$"),
        (
            "cuda:1",
            2,
            r"^`devices` 2 with `device` cuda:1: one GPU is named; give `device` cuda, or leave out",
        ),
        ("cuda", 4, r"^`devices` 4: this machine has 3 of kind cuda; give at most as many$"),
    ],
)
def test_devices_that_are_not_there_are_refused(
    device: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(ConfigError, match=message):
        devices_of(torch.device(device), count)


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [str(device) for device in devices_of(torch.device("cuda"), 3)] == ["cuda:0", "cuda:1", "cuda:2"]
    assert devices_of(torch.device("cuda:1"), 1) == [torch.device("cuda:1")]


def test_the_number_is_no_part_of_what_a_run_is(pictures: Path, whole: Path) -> None:
    spec = RunFolder(whole).spec
    assert spec.on_devices(3).config.devices == 3
    assert not spec.differences(spec.on_devices(3))


LONE = """
import torch
from stampseg.run import processes
processes.GRACE = 0.5
if __name__ == "__main__":
    places = [torch.device("cpu"), torch.device("meta")]  # which is no device to work on
    with processes.working_together(places, lambda text: print("SAID", text, flush=True), print):
        pass
"""


def test_one_that_ends_before_all_have_met_ends_the_run(tmp_path: Path) -> None:
    script = tmp_path / "lone.py"
    script.write_text(LONE.replace('"meta"', '"cuda", 99'))  # there is none, here or anywhere
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, env=os.environ, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "process 2 of 2 (cuda:99): " in done.stdout + done.stderr


def test_what_a_process_said_is_said_to_all_who_ask() -> None:
    """Two threads do: the one that works, and the one that watches."""
    here, there = multiprocessing.Pipe(duplex=False)
    there.send(None)
    there.send(("DataError", "scan.nii: cannot be read"))
    process = SimpleNamespace(exitcode=3)
    other = processes._Other(Share(1, 2), torch.device("cpu"), cast(Any, process), here)
    said = [str(other.said()) for _ in range(2)]
    assert said == ["process 2 of 2 (cpu): scan.nii: cannot be read"] * 2
