"""A run that ends with a smaller network than its best says how to take the better one."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from torch import nn

from stampseg.core.config import Config
from stampseg.run.verdict import better_round
from stampseg.train.round import Event, Round, Validation
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS


def test_the_command_that_takes_a_better_round_is_told_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_size(network: nn.Module, *_: object) -> Validation:
        dice = sum(p.numel() for p in network.parameters()) / 1e5
        return Validation(dice, {"foreground": dice}, {"foreground": 1})

    monkeypatch.setattr("stampseg.run.learner.validate", by_size)
    data, run = write_pictures(tmp_path, "abcd", (24, 32)), tmp_path / "run"
    said = call("train", data, "-o", run, *OPTIONS).output
    result = json.loads((run / "result.json").read_text())
    model = run / "rounds" / f"{result['better_round']:03d}.safetensors"
    assert result["better_round"] < result["chosen_round"] and model.is_file()
    assert f"name rounds/{model.name} where a model is asked for" in result["remarks"][0]
    told = re.search(r"in place of the chosen one: stampseg (predict .+?), or stampseg (export .+?);", said)
    assert told is not None
    words = [str(data / "images") if word == "SCANS" else word for word in shlex.split(told[1])]
    assert words[:2] == ["predict", str(model)]
    call(*[str(tmp_path / "found") if word == "MASKS" else word for word in words])
    assert len(list((tmp_path / "found").iterdir())) == 4
    assert shlex.split(told[2])[:2] == ["export", str(model)]


def test_nothing_is_told_where_the_chosen_round_is_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stampseg.run.learner.validate", lambda *_: Validation(0.8, {"foreground": 0.8}, {"foreground": 1})
    )
    data, run = write_pictures(tmp_path, "abcd", (24, 32)), tmp_path / "run"
    assert "in place of the chosen one" not in call("train", data, "-o", run, *OPTIONS).output
    assert json.loads((run / "result.json").read_text())["better_round"] is None


def test_a_cut_that_was_undone_is_not_told_of() -> None:
    """It lost a label on the training windows, though its Dice on those who validate was the best."""

    def turn(number: int, event: Event, parameters: int, dice: float) -> Round:
        found = Validation(dice, {"foreground": dice}, {"foreground": 1})
        return Round(number, event, {}, parameters, 0, 0, 10 * number, 0.5, found)

    rounds = [
        turn(0, "warm-up", 100, 0.70), turn(1, "cut", 60, 0.90), turn(2, "rolled back", 100, 0.70),
        turn(3, "cut", 80, 0.75), turn(4, "finish", 80, 0.60),
    ]  # fmt: skip
    found = better_round(rounds, rounds[-1], Config())
    assert found is not None and found.number == 3
