"""YAML in which values are what they look like."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stampseg.core.config import load_config
from stampseg.core.errors import ConfigError
from stampseg.core.yaml import read_yaml
from tests.cli.command import call


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", r"line 3: a is there twice \(line 1\); keep one of them"),
        ("{a: 1, a: 1}", r"line 1: a is there twice; keep one of them"),
        ("train:\n  steps: 1\n  lr: 2\n  steps: 3", r"line 4: steps is there twice \(line 2\)"),
        ("{1: liver, 1: spleen}", "line 1: 1 is there twice"),
        ("steps: 0500", "line 1: 0500 would be read as 320; write numbers in base ten, without a zero"),
        ("\nsteps: 10:00", "line 2: 10:00 would be read as 600;"),
        ("rate: 1:30.5", "line 1: 1:30.5 would be read as 90.5;"),
        ("steps: 0x10", "line 1: 0x10 would be read as 16;"),
        ("steps: -0b11", "line 1: -0b11 would be read as -3;"),
    ],
)
def test_what_would_be_something_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        read_yaml(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[0, -5, +5, 1_000, 1.5, -0.5, 1.0e-3, .inf]", [0, -5, 5, 1000, 1.5, -0.5, 0.001, float("inf")]),
        ("['0500', \"10:00\", '0x10', '1']", ["0500", "10:00", "0x10", "1"]),
        ("{a: {b: 1}, c: {b: 2}, '1': 1, 2: 1}", {"a": {"b": 1}, "c": {"b": 2}, "1": 1, 2: 1}),
        ("{<<: {a: 1, b: 1}, a: 2}", {"a": 2, "b": 1}),
    ],
)
def test_plain_values_are_read(text: str, values: object) -> None:
    assert read_yaml(text) == values


@pytest.mark.parametrize("text", ["0500", "10:00", "0x10", "1:30.5", "yes", "1e-3", "007", "=", "<<"])
def test_texts_that_look_like_numbers_come_back_as_they_were_written(text: str) -> None:
    assert read_yaml(yaml.safe_dump({text: [text, 500, 1e-7, 3.0, True]})) == {
        text: [text, 500, 1e-7, 3.0, True]
    }


def test_the_file_and_the_line_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("train: {steps: 500}\ntrain: {batch_size: 2}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml: not .* options \(line 2: train is there twice \(line 1"):
        load_config(tmp_path / "c.yaml")
    result = call("train", tmp_path, "-o", tmp_path / "run", "--set", "train.steps=0500", code=2)
    assert "0500 would be read as 320" in " ".join(result.output.split())
