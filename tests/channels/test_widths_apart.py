"""Tensors whose code takes the width of one for another's are found, however many are of that width."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.choice import Room
from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.proof import prove
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace

from .small_networks import Net, build


class Pooled(Net):
    """The pooled image beside the image, as in ASPP."""

    def __init__(self) -> None:
        super().__init__(24)
        self.one, self.pool = nn.Conv2d(12, 12, 1), nn.Conv2d(12, 12, 1)

    def body(self, x: Tensor) -> Tensor:
        y = functional.relu(self.one(x))
        return torch.cat([y, self.spread(functional.relu(self.pool(x.mean((2, 3), keepdim=True))), y)], 1)

    def spread(self, small: Tensor, like: Tensor) -> Tensor:
        return small.expand_as(like)


class ByShape(Pooled):
    def spread(self, small: Tensor, like: Tensor) -> Tensor:
        return small.expand(like.shape)


class ByNumber(Pooled):
    def spread(self, small: Tensor, like: Tensor) -> Tensor:
        return small.expand(-1, like.shape[1], *like.shape[2:])


class Reshaped(Pooled):
    def spread(self, small: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(small, like.shape[2:]).reshape(like.shape)


class Viewed(Pooled):
    def spread(self, small: Tensor, like: Tensor) -> Tensor:
        b, c, h, w = like.shape
        return functional.interpolate(small, (h, w)).flatten(2).view(b, c, h, w)


def test_channels_that_expand_as_others_go_with_them() -> None:
    network, x = build(Pooled)
    graph = trace(network, x)
    assert graph["one"].producers == ("one", "pool") and graph["one"].frozen is None
    assert max(prove(network, graph, x).values()) < 1e-10


@pytest.mark.parametrize("kind", [ByShape, ByNumber, Reshaped, Viewed])
def test_a_width_taken_from_another_tensor_freezes_both(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    for name in ("one", "pool"):
        assert "holds a size" in str(graph[name].frozen)
    assert graph["stem.0"].frozen is None
    assert any_cuts_run(network, graph, x)


class Many(Net):
    """Of many layers of one width the code takes one's for another's."""

    width, pair = 12, (3, 36)

    def __init__(self) -> None:
        super().__init__(self.width * 40)
        self.parts = nn.ModuleList(nn.Conv2d(12, self.width, 1) for _ in range(40))

    def body(self, x: Tensor) -> Tensor:
        parts, (first, second) = [functional.relu(part(x)) for part in self.parts], self.pair
        parts[first] = parts[first].reshape(parts[second].shape)
        return torch.cat(parts, 1)


class Three(Many):
    width, pair = 3, (8, 9)


class Two(Many):
    width, pair = 2, (0, 39)


@pytest.mark.parametrize("kind", [Many, Three, Two])
def test_two_of_many_layers_of_one_width_are_told_apart(kind: type[Many]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    frozen = {group.name for group in graph.groups if group.frozen}
    assert frozen == {"head", *(f"parts.{number}" for number in kind.pair)}
    assert any_cuts_run(network, graph, x)


def any_cuts_run(network: nn.Module, graph: ChannelGraph, x: Tensor) -> bool:
    """Cut a few channels by chance, time and again."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        room, removed = Room(graph, 1), {}
        for group in graph.prunable:
            wanted = rng.permutation(group.size)[: rng.integers(0, 3)].tolist()
            removed[group.name] = [i for i in wanted if room.take(group.start + i)]
        graph = apply_cut(network, graph, Cut.of(removed))
        network(x)
    return True


class NormOfMany(Net):
    """A norm without state, for many channels only: no number shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return functional.relu(functional.instance_norm(y) if self.wanted(y.shape[1]) else y)

    def wanted(self, width: int) -> bool:
        return width >= 8


class NormOfFours(NormOfMany):
    def wanted(self, width: int) -> bool:
        return width % 4 == 0


@pytest.mark.parametrize("kind", [NormOfMany, NormOfFours])
def test_an_operation_for_some_widths_only_freezes_its_channels(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    assert graph["one"].frozen == "the network's code does something else at another width"
    assert graph["stem.0"].frozen is None


class ScaledWhenNarrow(NormOfMany):
    """A number that changes at half the width: the steps are the same ones."""

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return functional.relu(y * (1.0 if y.shape[1] > 6 else 2.0))


def test_a_proof_cuts_more_than_one_channel() -> None:
    network, x = build(ScaledWhenNarrow)
    graph = trace(network, x)
    found = prove(network, graph, x)
    assert found["one"] > 1e-3 and found["stem.0"] < 1e-10
