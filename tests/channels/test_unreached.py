"""Channels that no gradient of the loss reaches are not taken for the least important ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.choice import Limit, choose
from stampseg.channels.dropout import targeted_rates
from stampseg.channels.importance import Gathering, importance
from stampseg.channels.trace import trace
from stampseg.core.errors import WiringError

from .small_networks import Net, build


class Detached(Net):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.one(x.detach()))


class WithoutGradient(Detached):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = functional.relu(self.stem(x))
        return self.head(self.body(x))


class SideHead(Detached):
    """A second output that the loss does not look at."""

    def __init__(self) -> None:
        super().__init__()
        self.side, self.deep = nn.Conv2d(12, 8, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Any:
        x = functional.relu(self.stem(x))
        return self.head(functional.relu(self.one(x))), self.deep(functional.relu(self.side(x)))


def loss(output: Any, label: Tensor) -> Tensor:
    return functional.cross_entropy(output[0] if isinstance(output, tuple) else output, label)


def batch() -> dict[str, Tensor]:
    return {"image": torch.randn(2, 1, 8, 8).double(), "label": torch.randint(0, 2, (2, 8, 8))}


@pytest.mark.parametrize(
    ("kind", "name"), [(Detached, "stem.0"), (WithoutGradient, "stem.0"), (SideHead, "side")]
)
@pytest.mark.parametrize("criterion", ["taylor", "taylor-abs"])
def test_a_group_that_no_gradient_reaches_is_not_ranked(
    kind: type[nn.Module], name: str, criterion: str
) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    with pytest.warns(UserWarning, match=rf"no gradient of the loss reaches {name}: not ranked, and not cut"):
        scores = importance(network, graph, [batch()], loss, criterion=criterion)
    assert scores.keys() == {group.name for group in graph.prunable} - {name}
    cut = choose(network, graph, scores, limit=Limit("parameters", 0))
    assert cut.removed and name not in cut.removed
    assert name in importance(network, graph, [batch()], loss, criterion="l1")


def test_the_same_of_scores_gathered_while_training() -> None:
    network, x = build(Detached)
    graph = trace(network, x)
    gathering = Gathering(network, graph, "taylor", 2)
    with gathering.step():
        one = batch()
        loss(network.train()(one["image"]), one["label"]).backward()
    with pytest.warns(UserWarning, match=r"reaches stem.0: not ranked"):
        scores = importance(network, graph, [], loss, criterion="taylor", gathered=gathering.raw(graph))
    assert scores.keys() == {"one"}


def test_a_loss_that_reaches_nothing_is_refused() -> None:
    network, x = build(Detached)
    with pytest.raises(WiringError, match=r"no gradient of the loss reaches stem.0, one: no channel can be"):
        importance(network, trace(network, x), [batch()], lambda output, label: output.detach().mean())


def test_no_scores_give_no_rates() -> None:
    assert targeted_rates({}, 0.1, "layer") == {}


class FixedFilter(Net):
    """Its first filter is a buffer, not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("edges", torch.randn(4, 1, 3, 3))
        self.stem = nn.Conv2d(4, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.conv2d(x, self.edges, padding=1))

    def body(self, x: Tensor) -> Tensor:
        return x


def test_filters_that_are_not_trained_are_ranked_by_their_weights() -> None:
    network, x = build(FixedFilter)
    scores = importance(network, trace(network, x), [], loss, criterion="weight-l1", normalizer="none")
    weights = network.stem.weight.detach().abs().sum((1, 2, 3)).numpy()
    np.testing.assert_allclose(scores["stem"], weights)
