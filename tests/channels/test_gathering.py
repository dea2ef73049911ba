"""Importance gathered in training steps is that of a pass over the same batches in the same mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.criteria import CRITERIA
from stampseg.channels.importance import Gathering, importance
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.config import TrainOptions
from stampseg.train.trainer import Trainer
from tests.channels.test_importance import loss, make
from tests.channels.test_surgery import random_cut


def backward(network: nn.Module, batch: dict[str, Tensor]) -> None:
    loss(network(batch["image"]), batch["label"]).backward()


@pytest.mark.parametrize("order", ["activation-norm", "norm-activation"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("criterion", [row.name for row in CRITERIA.values() if row.while_training])
def test_in_eval_mode_it_is_the_pass(criterion: str, dims: int, order: str) -> None:
    network, graph, batches = make(dims, order)
    network.eval()
    gathering = Gathering(network, graph, criterion, 3)
    for left, batch in zip((3, 2, 1), batches, strict=True):
        with gathering.step(left):
            backward(network, batch)
    raw = gathering.raw(graph)
    assert raw is not None and gathering.batches == 3
    expected = importance(network, graph, batches, loss, criterion=criterion, normalizer="none")
    gathered = importance(network, graph, [], loss, criterion=criterion, normalizer="none", gathered=raw)
    for name, values in expected.items():
        np.testing.assert_allclose(gathered[name], values, rtol=1e-9)


def test_training_is_the_same_with_and_without() -> None:
    ends = []
    for watched in (False, True):
        network, graph, batches = make(2)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        gathering = Gathering(network, graph, "taylor-abs", 3)
        for batch in batches * 2:
            optimizer.zero_grad()
            if watched:
                with gathering.step():
                    backward(network, batch)
            else:
                backward(network, batch)
            optimizer.step()
        ends.append([p.detach().clone() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert not any(m._forward_hooks for m in network.modules())


def test_nothing_gathered_before_a_step_nor_across_a_cut() -> None:
    network, graph, batches = make(2)
    gathering = Gathering(network, graph, "taylor", 1)
    assert gathering.raw(graph) is None
    with gathering.step():
        backward(network, batches[0])
    assert gathering.raw(graph) is not None
    smaller = apply_cut(network, graph, random_cut(graph, np.random.default_rng(0)))
    assert gathering.raw(smaller) is None
    with gathering.step():
        backward(network, batches[0])
    assert gathering.raw(smaller) is not None and gathering.raw(graph) is None


def test_what_was_collected_is_taken_from_and_put_back_into_checkpoints() -> None:
    """In the form that is on disk: sums by the number of the probe, and three counts."""
    network, graph, batches = make(2)
    gathering, other = (Gathering(network, graph, "l1", 2) for _ in range(2))
    with gathering.step(2):
        backward(network, batches[0])
    sums, counts = gathering.state()
    assert counts == {"batches": 1, "spoiled": 0, "left": 2}
    assert {i: len(s) for i, s in sums.items()} == {i: len(p.channels) for i, p in enumerate(graph.probes)}
    other.set_state(sums, counts)
    for each in (gathering, other):
        with each.step(1):
            backward(network, batches[1])
    assert gathering.batches == other.batches == 2
    np.testing.assert_allclose(other.raw(graph), gathering.raw(graph))


def test_a_map_that_is_changed_in_place_is_not_taken() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.head = nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.act(self.first(x))
            y += 1  # its backward does not need y, so that autograd allows it
            return self.head(y)

    network = Changed().double()
    graph = trace(network, torch.randn(1, 1, 6, 6).double())
    gathering = Gathering(network, graph, "taylor", 1)
    with gathering.step():
        network(torch.randn(2, 1, 6, 6).double()).sum().backward()
    assert gathering.raw(graph) is None


def test_other_criteria_are_refused() -> None:
    network, graph, _ = make(2)
    with pytest.raises(ValueError, match="l1-std cannot be gathered; expected one of taylor, taylor-abs"):
        Gathering(network, graph, "l1-std", 1)


class Fixed:
    """Batches that can be counted."""

    def __init__(self) -> None:
        self.content = {"image": torch.randn(2, 1, 8, 8), "label": torch.randint(0, 2, (2, 1, 8, 8))}

    def batch(self, step: int) -> dict[str, Tensor]:
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, Tensor]]:
        return [self.content]


def test_the_trainer_gathers_in_its_last_steps_and_forgets_the_earlier_ones() -> None:
    network, _, _ = make(2)
    network = network.float()
    graph = trace(network, torch.randn(1, 1, 8, 8))
    trainer = Trainer(network, Fixed(), TrainOptions(), 20, torch.device("cpu"))
    gathering = Gathering(network, graph, "taylor-abs", 3)
    trainer.watcher = gathering
    for steps, expected in ((5, 3), (2, 2), (3, 3)):
        trainer.train(steps)
        assert gathering.batches == expected
