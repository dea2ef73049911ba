"""A run that is stopped at any moment goes on, and ends as if it had never been stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stampseg.core import files as atomic
from stampseg.run import checkpoint as keeping
from stampseg.run.checkpoint import Checkpointer
from stampseg.run.folder import RunFolder
from stampseg.timing.stopwatch import Timing
from stampseg.train.trainer import Trainer
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import COMMON, OPTIONS, SMALL
from tests.run.stopping import Killed, killed_run, outcome, stop_after


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(6)))


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never stopped."""
    output = tmp_path_factory.mktemp("whole") / "run"
    call("train", pictures, "-o", output, *OPTIONS)
    return output


# What is called, the calls in which every run of the tests stops (before or after it), and those of the slow
# tests.
MOMENTS = [
    ("step", Trainer, "_step", [5], [1, 2, 9, 12]),
    ("checkpoint", keeping, "save_checkpoint", [7], [1, 2, 4, 11, 15]),
    ("move", atomic.os, "replace", [12], [1, 3, 5, 6, 20, 27, 30]),
    ("round", RunFolder, "append_round", [2], [1, 4]),
    ("choice", RunFolder, "choose", [1], []),
    ("kept", Checkpointer, "keep", [3], [1]),
]
AFTER = ("step", "round", "kept")  # where the slow tests stop before the call, and the others after it


@pytest.mark.parametrize(
    ("owner", "name", "count", "before"),
    [
        pytest.param(
            owner,
            name,
            count,
            before,
            id=f"{label}-{count}-{'before' if before else 'after'}",
            marks=[pytest.mark.slow] if count in slow or before == (label in AFTER) else [],
        )
        for label, owner, name, counts, slow in MOMENTS
        for count in (*counts, *slow)
        for before in (True, False)
    ],
)
def test_stopped_anywhere_it_ends_the_same(
    owner: Any, name: str, count: int, before: bool, pictures: Path, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    killed_run(monkeypatch, ("train", pictures, "-o", run, *OPTIONS), owner, name, count, before)
    if (run / "run.json").exists() and count % 2:
        call("train", "--resume", run)
    else:
        call("train", pictures, "-o", run, *OPTIONS)
    assert outcome(run) == outcome(whole)


def test_it_says_where_it_goes_on(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped within the first round: a checkpoint is written after each step there, or none was."""
    for name, minutes in (("kept", 0), ("none", 60)):
        run = tmp_path / name
        options = (option.replace("minutes=0", f"minutes={minutes}") for option in OPTIONS)
        command = ("train", pictures, "-o", run, *options)
        killed_run(monkeypatch, command, Trainer, "_step", 3, True)
        said = call("train", "--resume", run).output
        expected = (
            "resumed: goes on after step 2 of 12, with 0 rounds done"
            if name == "kept"
            else "resumed: it was stopped before anything was kept of its steps, and begins at the first"
        )
        assert expected in " ".join(said.split())


@pytest.mark.parametrize("extra", [
    ("--method", "dense"),
    *(pytest.param(each, marks=pytest.mark.slow) for each in (
        ("--set", "prune.criterion=random"), ("--set", "prune.max_drop=0"),
        ("--method", "stamp"), ("--set", "prune.scoring=pass", "--set", "prune.criterion=l1-std"),
        ("--target", "dice:0.3"), ("--set", "train.optimizer=sgd"), ("--set", "prune.normalizer=flops"),
        ("--set", "train.patience=1"),
    )),
])  # fmt: skip
def test_every_method_goes_on(
    extra: tuple[str, ...], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("train", pictures, "-o", tmp_path / "whole", *OPTIONS, *extra)
    command = ("train", pictures, "-o", tmp_path / "run", *OPTIONS, *extra)
    for count in (4, 3, 2):  # three times in a row
        mend = stop_after(monkeypatch, Trainer, "_step", count)
        with pytest.raises(Killed):
            call(*command)
        mend()
    call(*command)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_pruned_trained_network_goes_on(
    whole: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(name: str) -> tuple[Any, ...]:
        return ("prune", whole, pictures, "-o", tmp_path / name, *COMMON)

    call(*command("whole"))
    killed_run(monkeypatch, command("run"), Trainer, "_step", 7, True)
    call("train", "--resume", tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_the_time_of_the_network_as_given_is_measured_once(
    whole: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on has a network that was cut already: the journal holds what it took before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measured: list[float] = []

    def taken(network: torch.nn.Module, *_: object) -> Timing:
        measured.append(len(measured) + sum(p.numel() for p in network.parameters()) / 1000)
        return Timing(0, measured[-1], 0, 0, 1)

    monkeypatch.setattr("stampseg.run.learner.network_latency", taken)
    options = [word for word in COMMON if word not in ("--target", "40%")]
    command = ("prune", whole, pictures, "-o", tmp_path / "run", "--target-latency", "80%", *options)
    killed_run(monkeypatch, command, RunFolder, "append_round", 2, True)
    before = tuple(measured[:2])  # as given, and after the first cut
    call("train", "--resume", tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["latency_before"] == before[0] == result["parameters_before"] / 1000
    first = json.loads((tmp_path / "run" / "rounds.jsonl").read_text().splitlines()[0])
    assert (first["event"], first["latency"]) == ("cut", before[1])


def stopped_run(pictures: Path, place: Path) -> Path:
    """A run stopped in its seventh step, beside its own copy of the data."""
    data = shutil.copytree(pictures, place / "data")
    with pytest.MonkeyPatch.context() as patch:
        killed_run(patch, ("train", data, "-o", place / "run", *OPTIONS), Trainer, "_step", 7, True)
    return place / "run"


@pytest.fixture
def stopped(pictures: Path, tmp_path: Path) -> Path:
    return stopped_run(pictures, tmp_path)


@pytest.fixture(scope="module")
def left_stopped(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For requests that are refused, and leave it as it is."""
    return stopped_run(pictures, tmp_path_factory.mktemp("stopped"))


def test_it_says_how_to_go_on(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "choose", interrupted)
    said = call("train", pictures, "-o", tmp_path / "run", *OPTIONS, code=130)
    assert f"resume it with: stampseg train --resume {tmp_path / 'run'}" in said.stderr
    assert "stopped by the user" in said.stderr


def test_stopped_before_its_first_round_it_says_so_as_well_and_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", interrupted)
        said = call("train", pictures, "-o", run, *OPTIONS, code=130)
    assert f"resume it with: stampseg train --resume {run}" in said.stderr
    call("train", "--resume", run)
    assert (run / "model.safetensors").is_file()


def test_the_same_command_on_a_finished_run_says_that_it_has_finished(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", pictures, "-o", run, *OPTIONS)
    said = call("train", pictures, "-o", run, *OPTIONS, code=2).stderr
    assert said == (
        f"stampseg: {run}: holds this run, finished; its network is {run}/model.safetensors, its page is "
        f"{run}/report.html; to train anew, choose another -o\n"
    )


def test_all_files_of_a_run_have_the_mode_that_new_files_have(whole: Path) -> None:
    (whole.parent / "usual").touch()
    usual = (whole.parent / "usual").stat().st_mode
    others = [path for path in whole.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.stat().st_mode for path in others} == {
        usual
    } and whole / "rounds" / "001.safetensors" in others


def test_a_full_disk_leaves_a_folder_that_goes_on(
    pictures: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = keeping.save_checkpoint, []

    def full(path: Path, *rest: Any) -> None:
        calls.append(path)
        if len(calls) == 9:
            monkeypatch.setattr(atomic.os, "fsync", no_space)
        real(path, *rest)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "save_checkpoint", full)
        patch.setattr(atomic.os, "fsync", os.fsync)
        said = call("train", pictures, "-o", tmp_path / "run", *OPTIONS, code=3)
    assert "No space left on device" in said.stderr and "check the folder and the disk" in said.stderr
    monkeypatch.undo()
    call("train", "--resume", tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(whole)


def test_changed_data_are_refused(stopped: Path, tmp_path: Path) -> None:
    first = sorted((tmp_path / "data" / "images").iterdir())[0]
    was = first.read_bytes()
    picture = np.asarray(Image.open(first)).copy()
    picture[0, 0] ^= 1
    Image.fromarray(picture).save(first)
    said = call("train", "--resume", stopped, code=3).stderr
    assert f"changed since the run began (with other content: {first.stem}); put things back" in said
    first.write_bytes(was)
    call("train", "--resume", stopped)


def test_vanished_data_are_named_and_the_run_is_kept(stopped: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "data", tmp_path / "away")
    said = call("train", "--resume", stopped, code=3).stderr
    assert str(tmp_path / "data") in said
    shutil.move(tmp_path / "away", tmp_path / "data")
    call("train", "--resume", stopped)


def test_other_options_in_the_same_folder_are_refused(left_stopped: Path) -> None:
    data = left_stopped.parent / "data"
    before = {path: path.read_bytes() for path in left_stopped.rglob("*") if path.is_file()}
    said = call("train", data, "-o", left_stopped, *OPTIONS, "--seed", "1", code=2).stderr
    assert "stopped run of other options (seed)" in said and "--resume" in said
    assert {path: path.read_bytes() for path in left_stopped.rglob("*") if path.is_file()} == before


def test_a_run_that_is_at_work_is_not_called_stopped(left_stopped: Path) -> None:
    data = left_stopped.parent / "data"
    with RunFolder.reopen(left_stopped):
        said = call("train", data, "-o", left_stopped, *OPTIONS, "--seed", "1", code=2).stderr
    assert "another process is at work on this run" in said and "a stopped run" not in said


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "--resume", "{none}"], 3, "not a run folder"),
        (
            ["train", "scans", "--resume", "{run}", "--target-flops", "5%", "--quiet"],
            2,
            "leave out DATA, --target-flops",
        ),
        (["train"], 2, "give DATA and -o RUN, or --resume RUN"),
        (
            ["train", "--resume", "{whole}"],
            2,
            "has finished, its network is {whole}/model.safetensors; nothing is",
        ),
    ],
)
def test_wrong_requests(
    words: list[str], code: int, message: str, left_stopped: Path, whole: Path, tmp_path: Path
) -> None:
    places = {"none": tmp_path / "none", "run": left_stopped, "whole": whole}
    said = call(*(word.format(**places) for word in words), code=code)
    assert message.format(**places) in said.stderr


def test_a_damaged_checkpoint_is_named(stopped: Path) -> None:
    path = max((stopped / "checkpoint").glob("round-*"))
    path.write_bytes(path.read_bytes()[:-100])
    said = call("train", "--resume", stopped, code=3).stderr
    assert str(path) in said and "start the run again" in said


def test_a_second_process_is_refused(stopped: Path) -> None:
    code = "import sys; from pathlib import Path; from stampseg.run.lock import FolderLock\n"
    code += "lock = FolderLock(Path(sys.argv[1])); lock.take(); print('held', flush=True); sys.stdin.read()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code, stopped], env=surroundings, **pipes) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        said = call("train", "--resume", stopped, code=2).stderr
        assert "another process is at work on this run" in said
        first.communicate()
    call("train", "--resume", stopped)


def test_a_real_kill(pictures: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "stampseg.cli", "train", str(pictures), "-o", str(run), *OPTIONS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (run / "checkpoint" / "round-0002.safetensors").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    call("train", "--resume", run)
    assert outcome(run) == outcome(whole)


def test_a_loss_that_is_not_finite_goes_back_once_with_a_lower_rate(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    real = Trainer._step

    def spoiled(times: int) -> Callable[[Trainer], float]:
        left = [times]

        def step(self: Trainer) -> float:
            if self.done == 6 and left[0]:
                left[0] -= 1
                with torch.no_grad():
                    next(self.network.parameters()).fill_(float("nan"))
            value = real(self)
            rates.append(self.optimizer.param_groups[0]["lr"])
            return value

        return step

    monkeypatch.setattr(Trainer, "_step", spoiled(1))
    said = call("train", pictures, "-o", tmp_path / "once", *OPTIONS).output
    assert "the loss of step 7 is nan" in said and "with 0.1 times the learning rate" in said
    assert max(rates[7:]) < 0.2 * max(rates[:6])
    assert json.loads((tmp_path / "once" / "result.json").read_text())["steps"] == 12
    monkeypatch.setattr(Trainer, "_step", spoiled(2))
    said = call("train", pictures, "-o", tmp_path / "twice", *OPTIONS, code=4).stderr
    assert "the loss of step 7 is nan" in said and "lower train.learning_rate" in said
    assert (tmp_path / "twice" / "rounds.jsonl").exists()


def test_folders_may_be_named_from_the_data_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("train", pictures, "-o", "run", "--images", "images", "--masks", "masks", *OPTIONS)
    killed_run(monkeypatch, command, Trainer, "_step", 5, True)
    call("train", "--resume", "run")


@pytest.fixture
def decoys(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data in `scans`, named from a working directory that has black images/ and masks/ of its own."""
    shutil.copytree(pictures, tmp_path / "scans")
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for path in (pictures / part).iterdir():
            Image.new("L", (48, 40)).save(tmp_path / part / path.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


NAMED = ("scans", "--images", "images", "--masks", "masks")


def test_train_reads_the_folders_that_check_reads(decoys: Path) -> None:
    checked = json.loads(call("check", *NAMED, "--no-timing", "--json").stdout)
    assert not checked["errors"]  # of black masks it would say that nothing is labelled
    call(
        "train",
        *NAMED,
        "-o",
        "run",
        "--steps",
        "2",
        "--method",
        "dense",
        *SMALL,
        "--set",
        "train.missed_label=warn",
    )
    splits = json.loads((decoys / "run" / "splits.json").read_text())
    for entry in (*splits["training"], *splits["validation"]):
        for path in (*entry["images"], entry["label"]):
            assert Path(path).parent.parent == decoys / "scans"


def test_named_folders_are_found_again_from_another_directory(
    decoys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_run(monkeypatch, ("train", *NAMED, "-o", "run", *OPTIONS), Trainer, "_step", 5, True)
    monkeypatch.chdir(decoys / "masks")
    call("train", "--resume", "../run")


def test_the_same_command_goes_on_however_the_folders_were_named(
    decoys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_run(monkeypatch, ("train", *NAMED, "-o", "run", *OPTIONS), Trainer, "_step", 5, True)
    absolute = [decoys / "scans" / part for part in ("images", "masks")]
    call("train", "scans", "--images", absolute[0], "--masks", absolute[1], "-o", "run", *OPTIONS)
