"""Options as YAML gives them: true and false are no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from stampseg.core.config import Config, dump_config, load_config, parse_config
from stampseg.core.errors import ConfigError
from stampseg.core.network_options import NetworkOptions
from stampseg.core.options import Value
from tests.cli.command import call

TRUE = r"true \(as YAML reads yes and on\)"
FALSE = r"false \(as YAML reads no and off\)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {ignore_label: no}", rf"data\.ignore_label {FALSE}: expected a whole number"),
        ("train: {steps: yes}", rf"train\.steps {TRUE}: expected a whole number"),
        ("train: {learning_rate: yes}", rf"train\.learning_rate {TRUE}: expected a number"),
        ("seed: true", rf"seed {TRUE}: expected a whole number"),
        ("prune: {rounds: on}", rf"prune\.rounds {TRUE}: expected a whole number"),
        ("prune: {per_round: on}", rf"prune\.per_round {TRUE}: expected a number"),
        ("prune: {target: {share: on}}", rf"prune\.target\.share {TRUE}: expected a number"),
        ("teacher: {weight: off}", rf"teacher\.weight {FALSE}: expected a number"),
        ("data: {spacing: [1, 1, yes]}", r"data\.spacing \[1, 1, True\]: expected a number"),
        ("data: {only: [liver, no]}", r"data\.only \['liver', False\]: expected a whole number"),
        ("data: {merge: {cord: [1, yes]}}", r"data\.merge \{'cord': \[1, True\]\}: expected a whole number"),
        ("data: {names: {yes: liver}}", r"data\.names \{True: 'liver'\}: expected a whole number"),
        (
            "train: {class_weights: yes}",
            rf"train\.class_weights {TRUE}: expected none or auto or a list, such as \[4, 8\]",
        ),
        ("data: {spacing: no}", rf"data\.spacing {FALSE}: expected a list, such as \[4, 8\]"),
        ("train: {validation: no}", rf"train\.validation {FALSE}: expected a text"),
    ],
)
def test_true_and_false_are_no_numbers(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"c\.yaml: {message}$"):
        load_config(tmp_path / "c.yaml")


def test_the_command_line_refuses_them_too(tmp_path: Path) -> None:
    result = call("train", tmp_path, "-o", tmp_path / "run", "--set", "train.batch_size=yes", code=2)
    assert "train.batch_size" in result.output and "expected a whole number" in result.output


@pytest.mark.parametrize(("written", "value"), [("yes", True), ("false", False), ("on", True)])
def test_options_that_are_true_or_false_stay_so(written: str, value: bool, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"train: {{compile: {written}}}\nprune: {{guard: {written}}}")
    config = load_config(tmp_path / "c.yaml")
    assert config.train.compile is value and config.prune.guard is value
    arguments: dict[str, Any] = {"bias": value, "sizes": [1, value]}
    assert NetworkOptions(arguments=arguments).arguments == arguments, "they are whatever a network takes"


class _Parts(Value):
    either: bool | int = 0
    flags: dict[int, bool] = Field(default_factory=dict)
    inner: dict[int, _Inner] = Field(default_factory=dict)


class _Inner(Value):
    found: bool = False


def test_a_value_that_may_be_either_may_be_true() -> None:
    parts = _Parts.model_validate({"either": True, "flags": {1: True}, "inner": {1: {"found": True}}})
    assert parts.either is True and parts.flags == {1: True} and parts.inner[1].found


def test_every_option_survives_the_file_of_a_run(tmp_path: Path) -> None:
    changes = {
        "data": {"spacing": [1, 1, 3], "names": {1: "a"}, "merge": {"b": [1, "a"]}, "only": [1, "b"]},
        "train": {"class_weights": [1, 2.5], "steps": "500", "learning_rate": "1e-3", "augment": False},
        "prune": {"per_round": 4},
    }  # fmt: skip
    config = parse_config(changes, "test")
    assert (config.train.steps, config.train.learning_rate, config.prune.per_round) == (500, 0.001, 4)
    for each in (config, Config(), parse_config({"preset": "published"}, "test")):
        (tmp_path / "c.yaml").write_text(dump_config(each))
        assert load_config(tmp_path / "c.yaml") == each
