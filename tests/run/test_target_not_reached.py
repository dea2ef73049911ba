"""A run that misses its target says why, and what would help."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from torch import nn

from stampseg.core.prune_options import PruneOptions
from stampseg.run.verdict import why_not_reached as why
from stampseg.train.round import Event, Round, Validation
from tests.cli.command import call
from tests.data.scans import write_pictures
from tests.run.options import OPTIONS


def a_round(number: int, event: Event, parameters: int, dice: float = 0.8) -> Round:
    found = Validation(dice, {"foreground": dice}, {"foreground": 1})
    return Round(number, event, {}, parameters, 0, 0, 10 * number, 0.5, found)


@pytest.mark.parametrize(
    ("events", "options", "words"),
    [
        (("warm-up", "finish"), {}, "no cut was made, .*give it more `train.steps`, or label scans"),
        (
            ("warm-up", "cut", "rolled back", "finish"),
            {},
            "cuts did not heal; take .*`prune.max_drop`",
        ),
        (("warm-up", "cut", "finish"), {}, "steps ran out; give it more `train.steps`, or take a target"),
        (("warm-up", "cut", "finish"), {"target": "dice:0.9"}, "more people, or ask for less"),
    ],
)
def test_the_cause_is_named(events: tuple[Event, ...], options: dict[str, str], words: str) -> None:
    sizes = {"warm-up": 100, "cut": 60, "rolled back": 100}
    rounds = [a_round(number, event, sizes.get(event, 60)) for number, event in enumerate(events)]
    last = rounds[-1] if "rolled back" not in events else a_round(3, "finish", 100)
    said = why([*rounds[:-1], last], last, PruneOptions.model_validate(options))
    assert re.search(words, said), said


def test_a_smaller_network_that_is_worse_is_the_cause() -> None:
    rounds = [a_round(0, "warm-up", 100, 0.9), a_round(1, "cut", 50, 0.6), a_round(2, "finish", 50, 0.6)]
    said = why(rounds, rounds[0], PruneOptions(choose="smallest"))
    assert said == "smaller ones are worse by more than `prune.tolerance`"


def test_the_command_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_size(network: nn.Module, *_: object) -> Validation:
        dice = sum(p.numel() for p in network.parameters()) / 1e5
        return Validation(dice, {"foreground": dice}, {"foreground": 1})

    monkeypatch.setattr("stampseg.run.learner.validate", by_size)
    data, run = write_pictures(tmp_path, "abcd", (24, 32)), tmp_path / "run"
    said = " ".join(call("train", data, "-o", run, *OPTIONS, "--set", "prune.max_drop=0.001").output.split())
    assert "cuts did not heal; take a target that leaves more, or allow a larger --set prune.max_drop" in said
    assert "more --steps, or" not in said and said.count("was not reached") == 2
    assert json.loads((run / "result.json").read_text())["target_reached"] is False
