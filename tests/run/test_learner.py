"""What the loop of a run is given, as the options say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stampseg.channels.trace import trace
from stampseg.core.config import Config
from stampseg.networks.unet import UNet
from stampseg.run.learner import gathering_of
from stampseg.train.trainer import Trainer

TASK: dict[str, Any] = {"train": {"steps": 50, "batch_size": 2}}


def steps_gathered(prune: dict[str, Any], **others: Any) -> int | None:
    """How many steps of a stretch rank the channels, in a run of five cases; None: a pass ranks them."""
    config = Config().merged({**TASK, "prune": prune}).merged(others)
    network = UNet(2, 1, 2, 4, [(2, 2)])
    # the trainer and the task as far as they are looked at
    trainer = Trainer(network, SimpleNamespace(), config.train, 50, torch.device("cpu"))  # type: ignore[arg-type]
    task: Any = SimpleNamespace(config=config, seen=SimpleNamespace(split=SimpleNamespace(training=[0] * 5)))
    gathering = gathering_of(trainer, trace(network, torch.zeros(1, 1, 16, 16)), task)
    assert trainer.watcher is gathering
    return gathering.steps if gathering is not None else None


@pytest.mark.parametrize(
    ("prune", "expected"),
    [
        ({}, 50),  # all: no stretch is longer than the run
        ({"score_batches": 7}, 7),
        ({"score_round": False}, 3),  # the training set once, the last batch incomplete
        ({"score_round": False, "score_batches": 7}, 7),
        ({"score_round": True, "scoring": "pass"}, None),
        ({"score_round": True, "criterion": "l1-std"}, None),
    ],
)
def test_the_steps_that_rank_channels(prune: dict[str, Any], expected: int | None) -> None:
    assert steps_gathered(prune) == expected


def test_nothing_is_gathered_from_compiled_code_nor_where_nothing_is_pruned() -> None:
    assert steps_gathered({}, train={"compile": True}) is None
    assert steps_gathered({}, method="dense") is None
