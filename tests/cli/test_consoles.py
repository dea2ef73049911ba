"""Consoles of any encoding and width: what they lack is replaced, nothing ends in a traceback."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from stampseg.cli.app import print_anything, say_at_once
from stampseg.cli.tables import print_evaluation
from stampseg.evaluation.evaluation import Evaluation
from stampseg.evaluation.metrics import evaluate_case
from stampseg.run.folder import LOG_FILE, RunFolder
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import SMALL


@pytest.fixture
def palette_with_transparency(tmp_path: Path) -> Path:
    """Five PNG that make Pillow warn of their transparency."""
    folder = tmp_path / "palette"
    folder.mkdir()
    write_pictures(folder, [f"p{number}" for number in range(5)])
    for path in sorted((folder / "images").iterdir()):
        Image.open(path).convert("P").save(path, transparency=bytes(10))
    return folder


def test_a_console_without_the_letters_shows_question_marks(tmp_path: Path) -> None:
    """In a process of its own: nothing there sets up the streams but the program."""
    folder = tmp_path / "Ärzte 東"
    folder.mkdir()
    write_pictures(folder, ["ä"])
    masks = folder / "masks"
    ended = subprocess.run(
        [sys.executable, "-m", "stampseg", "evaluate", str(masks), str(masks), "-o", str(folder / "m.csv")],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"1 case, mean +- standard deviation" in ended.stdout and b"| foreground |" in ended.stdout
    assert (folder / "m.csv").read_text("utf-8").splitlines()[1].startswith("ä,foreground,")


def test_both_streams_take_any_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    print_anything()
    for stream in streams:
        stream.write("scan \udcff ä")
        stream.flush()
        assert stream.buffer.getvalue() == b"scan ? ?"  # type: ignore[attr-defined]


def test_the_log_takes_a_name_that_is_no_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder.create(tmp_path / "run") as folder:
        folder.logger().info("b\udcff.png")
    assert (tmp_path / "run" / LOG_FILE).read_text("utf-8").endswith("INFO b\\udcff.png\n")
    assert "Logging error" not in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_of_metrics_fits_the_console(width: int) -> None:
    """No number is broken over two lines, at 80 columns and above no line is longer than the console."""
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:20], mask[5:20, 25:35] = 1, 2
    names = {0: "background", 1: "left hippocampus and its tail", 2: "b"}
    rows = [
        row
        for turn, case in enumerate("ab")
        for row in evaluate_case(np.roll(mask, turn * 3, 0), mask, (1, 1), names, case=case)
    ]
    console = Console(file=io.StringIO(), width=width, soft_wrap=True, force_terminal=False)
    print_evaluation(Evaluation(tuple(rows), 1.0, "px"), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    table = [line for line in lines if line.startswith(("┃", "│", "┏", "├", "└"))]
    assert max(map(len, table)) <= width
    text = " ".join(table)
    for number in ("0.900", "± 0.141", "(0.900)", "HD95 [px]", "surface Dice"):
        assert number in text, number
    assert " mm" not in "\n".join(lines)


@pytest.mark.parametrize(("encoding", "sign"), [("cp1252", "±"), ("ascii", "+-"), ("utf-8", "±")])
def test_the_sign_is_one_that_the_console_has(encoding: str, sign: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    mask = np.eye(6, dtype=np.uint8)
    rows = evaluate_case(mask, mask, (1, 1), {0: "background", 1: "a"}, case="a")
    print_evaluation(Evaluation(tuple(rows), 1.0, "px"), Console(file=stream, width=80))
    stream.flush()
    assert f"mean {sign} standard" in stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_a_warning_of_a_library_is_a_finding_with_files(palette_with_transparency: Path) -> None:
    output = call("check", palette_with_transparency, "--no-timing").output
    first = palette_with_transparency / "images" / "p0.png"
    assert f"warning [reader] {first} and 4 more files: Palette images with Transparency" in output
    assert "look whether it is shown as you expect in a viewer" in output
    assert "UserWarning" not in output


def test_elsewhere_it_is_one_line_at_the_end(palette_with_transparency: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", palette_with_transparency, "-o", run, "--steps", "2", "--method", "dense",
         *SMALL, "--set", "train.missed_label=warn")  # fmt: skip
    said = [line for line in (run / "notes.jsonl").read_text("utf-8").splitlines() if "Palette" in line]
    assert len(said) == 1 and '"level":"warning"' in said[0] and "and 4 more files" in said[0]
    output = call("predict", run, palette_with_transparency / "images", "-o", tmp_path / "out").output
    assert output.count("Palette images") == 1 and "UserWarning" not in output
    assert f"WARNING: {palette_with_transparency / 'images' / 'p0.png'} and 4 more files" in output


def test_libraries_get_their_loggers_back() -> None:
    call("--version")
    assert not logging.getLogger("nibabel.global").filters


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_terminal_is_told_at_once_what_is_read(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where a program reads the output, nor where quiet is asked for."""
    told: list[str] = []
    monkeypatch.setattr(
        f"stampseg.cli.{'commands' if command == 'check' else command}.say_at_once", told.append
    )
    place, run = tmp_path / "scans", ["-o", tmp_path / "run"] if command == "train" else []
    place.mkdir()
    call(command, place, *run, code=3)
    call(command, place, *run, "--quiet" if run else "--json", code=3)
    assert told == [f"reading {place} ..."]


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_is_told_what_comes_next(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    say_at_once("reading scans ...")
    assert stream.getvalue() == ("reading scans ...\n" if terminal else "")
