"""What is seen of a run while it goes on, and what trackers keep of it."""

from __future__ import annotations

import io
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from stampseg.cli.console import ConsoleReporter, time_left
from stampseg.core.level import Level
from stampseg.run.records import NOTES, read_result, read_rounds
from stampseg.train.round import Round, Validation
from tests.cli.command import call
from tests.run.options import OPTIONS

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
TURN = Round(7, "cut", {"a": 3}, 1234567, 10, 20, 40, 0.5, Validation(0.8, {"x": 0.8}))


def screen(terminal: bool, quiet: bool = False) -> tuple[ConsoleReporter, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160)
    return ConsoleReporter(console, logging.getLogger("test"), quiet), text


def test_a_terminal_shows_round_parameters_dice_and_time_left() -> None:
    reporter, text = screen(terminal=True)
    with reporter:
        reporter.step(1, 100, 0.7)
        reporter.round(TURN)
        reporter.step(41, 100, 0.25)
        reporter.progress.refresh()
    seen = text.getvalue()
    for part in ("round 8", "1,234,567 parameters", "Dice 0.800", "loss 0.250", "41/100", "left"):
        assert part in seen


def test_time_left_counts_validations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second a step, and 50 of the validation after ten of them."""
    now = [0.0]
    monkeypatch.setattr("stampseg.cli.console.monotonic", lambda: now[0])
    reporter, text = screen(terminal=True)
    with reporter:
        for step in range(1, 11):
            now[0] += 1
            reporter.step(step, 100, 0.7)
        now[0] += 50
        reporter.round(TURN)
        now[0] += 1
        reporter.step(11, 100, 0.7)
        reporter.progress.refresh()
    assert "about 8 min left" in text.getvalue()  # 60 s of 11 steps, 89 to come: 485 s


def test_elsewhere_there_are_plain_lines() -> None:
    reporter, text = screen(terminal=False)
    with reporter:
        reporter.step(1, 100, 0.7)
        reporter.round(TURN)
    assert text.getvalue().count("\n") == 1 and "\x1b" not in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s left"),
        (89, "about 89 s left"),
        (95, "about 2 min left"),
        (8 * 3600, "about 8.0 h left"),
    ],
)
def test_the_time_that_is_left_in_words(seconds: float, words: str) -> None:
    assert time_left(seconds) == words


def test_without_a_terminal_a_line_tells_from_time_to_time_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two seconds a step, from step 11 on: the run was resumed there."""
    reporter, text = screen(terminal=False)
    for done in range(11, 32):
        monkeypatch.setattr("stampseg.cli.console.monotonic", lambda now=2.0 * done: now)
        reporter.step(done, 1000, 0.5)
    assert text.getvalue().splitlines() == [
        "step 21 of 1,000  about 30 min left",
        "step 31 of 1,000  about 31 min left",
    ]
    quiet, text = screen(terminal=False, quiet=True)
    for done in range(11, 32):
        monkeypatch.setattr("stampseg.cli.console.monotonic", lambda now=2.0 * done: now)
        quiet.step(done, 1000, 0.5)
    assert not text.getvalue()


def test_quiet_says_warnings_only(pictures: Path, tmp_path: Path) -> None:
    reporter, text = screen(terminal=True, quiet=True)
    with reporter:
        reporter.note("a decision")
        reporter.round(TURN)
        reporter.note("look here", Level.WARNING)
    assert text.getvalue().strip() == "WARNING: look here"
    learning = ("--set", "train.learning_rate=0.01", "--group-regex", "(p.)-IM")
    said = call("train", pictures, "-o", tmp_path / "run", *OPTIONS, *learning, "--quiet")
    assert all(line.startswith("WARNING: ") for line in said.output.splitlines())
    notes = NOTES.read_lines(tmp_path / "run")
    warned = [note.text for note in notes if note.level is Level.WARNING]
    assert [f"WARNING: {text}" for text in warned] == said.output.splitlines()
    assert len(notes) > len(warned) and list(read_result(tmp_path / "run").warnings) == warned
    assert "round   1" in (tmp_path / "run" / "log.txt").read_text()


def test_tensorboard_has_every_round(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    call("train", pictures, "-o", run, *OPTIONS, "--track", "tensorboard")
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    turns = list(read_rounds(run))
    assert [e.value for e in events.Scalars("round/parameters")] == [t.parameters for t in turns]
    assert [e.step for e in events.Scalars("round/dice")] == [t.steps for t in turns]
    assert len(events.Scalars("step/loss")) == 12


@pytest.mark.slow
def test_mlflow_stays_in_the_run_folder_and_reports_nothing(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    run, home = tmp_path / "run", tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-m", "stampseg.cli", "train", str(pictures), "-o", str(run), *OPTIONS]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    done = subprocess.run(
        [*command, "--track", "mlflow"], env={**quiet, "HOME": str(home), "PYTHONPATH": SOURCE}, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(run / "mlflow.db") as store:
        kept = store.execute("select value from metrics where key = 'parameters' order by step").fetchall()
        params = dict(store.execute("select key, value from params").fetchall())
        status = store.execute("select status from runs").fetchall()
    assert [int(value) for (value,) in kept] == [turn.parameters for turn in read_rounds(run)]
    assert params["train.steps"] == "12" and status == [("FINISHED",)]
    assert not list(home.rglob("*telemetry*")) and not (tmp_path / "mlruns").exists()


def test_an_unknown_tracker_is_named(pictures: Path, tmp_path: Path) -> None:
    said = call("train", pictures, "-o", tmp_path / "run", "--track", "wandb", code=2).stderr
    assert "--track 'wandb': expected tensorboard or mlflow" in " ".join(said.split())


def test_a_missing_package_is_named(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    said = call("train", pictures, "-o", tmp_path / "run", *OPTIONS, "--track", "tensorboard", code=2).stderr
    assert "--track tensorboard needs tensorboard, which is not installed" in said
