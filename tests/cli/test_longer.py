"""More steps for a run that has finished: refused, with the commands that do what may be meant."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stampseg.cli.train import _in_place_of as in_place_of
from stampseg.core.config import Config
from stampseg.run.records import RESULT, ROUNDS
from stampseg.run.spec import SPEC, RunSpec
from tests.cli.command import call


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """What is looked at of a run that has finished."""
    run = tmp_path / "run"
    run.mkdir()
    command = ("stampseg", "train", "my scans", "-o", "run", "--labels", "9", "--steps=900")
    SPEC.write(run, RunSpec("train", tmp_path / "my scans", Config(), command=command, directory="/home/me"))
    (run / RESULT.name).write_text("{}")
    return run


def test_both_commands_are_named(ended: Path) -> None:
    said = call("train", "--resume", ended, "--steps", 3000, code=2).output
    assert "this run has finished: its learning rate and its cuts were laid out for its own" in said
    anew = shlex.join(
        ["stampseg", "train", "my scans", "-o", f"{ended}-3000", "--labels", "9", "--steps=3000"]
    )
    assert f"with a schedule for 3,000 steps (in /home/me): {anew};" in said
    further = ["stampseg", "prune", str(ended), str(ended.parent / "my scans"), "-o", f"{ended}-further"]
    assert said.strip().endswith(shlex.join([*further, "--steps", "3000"]))
    assert "cuts down to --target and without the memory of its optimiser" in said


def test_a_run_that_was_stopped_goes_on_with_its_own_steps(ended: Path) -> None:
    (ended / RESULT.name).unlink()
    (ended / ROUNDS.name).touch()
    said = call("train", "--resume", ended, "--steps", 3000, code=2).output
    assert "--resume uses the data and options of the run; leave out --steps" in said


def test_values_of_a_command_line_are_replaced_or_added() -> None:
    values = {("--steps",): "5", ("-o", "--output"): "x"}
    assert in_place_of(["t", "--output", "y", "--steps", "3"], values) == [
        "t", "--output", "x", "--steps", "5"
    ]  # fmt: skip
    assert in_place_of(["t", "--steps=3"], values) == ["t", "--steps=5", "-o", "x"]
    assert in_place_of([], values) == []
