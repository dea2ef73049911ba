"""Channels at zero for a while: the masked twin, without touching a weight."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.networks.nets import BasicUNet, DynUNet, SegResNet
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.dropout import attach_dropout
from stampseg.channels.proof import prove
from stampseg.channels.silence import silenced
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.networks.unet import UNet

from .cuts import mask, random_cut
from .small_networks import Concatenation, Net, Residual, build

NETWORKS = {
    "unet": (lambda: UNet(2, 1, 3, 4, [(2, 2), (2, 2)]), (2, 1, 16, 16)),
    "unet 3d": (lambda: UNet(3, 1, 2, 4, [(2, 2, 2)]), (1, 1, 8, 8, 8)),
    "residual": (Residual, (2, 1, 8, 8)),
    "concatenation": (Concatenation, (2, 1, 8, 8)),
    "BasicUNet": (lambda: BasicUNet(2, 1, 2, (4, 4, 8, 8, 8, 4)), (1, 1, 32, 32)),
    "SegResNet": (lambda: SegResNet(2, 8, 1, 2, norm=("BATCH", {})), (1, 1, 16, 16)),
    "DynUNet": (lambda: DynUNet(2, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], [4, 8, 8]), (1, 1, 16, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_silenced_network_is_its_masked_twin(name: str) -> None:
    kind, shape = NETWORKS[name]
    torch.manual_seed(0)
    network: nn.Module = kind().double().eval()
    image, rng = torch.randn(shape, dtype=torch.float64), np.random.default_rng(1)
    graph = trace(network, image)
    if name == "unet":
        graph = attach_dropout(network, graph, image)
    before: Tensor = network(image)
    for _ in range(5):
        cut, twin = random_cut(graph, rng), copy.deepcopy(network)
        mask(twin, graph, cut, producers_only=True)
        with silenced(network, graph, cut):
            found = network(image)
        assert torch.allclose(found, twin(image), atol=1e-10)
    assert torch.equal(network(image), before)


class Divided(Net):
    """Divided by a number per channel, as by a standard deviation of the training set."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("std", torch.rand(1, 12, 1, 1))

    def body(self, x: Tensor) -> Tensor:
        return torch.div(x / self.std, other=self.std)


class TiedWithItsTranspose(Net):
    """One weight for a convolution and for the one back, which makes other channels along its other axis."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 12, 3, 3))

    def body(self, x: Tensor) -> Tensor:
        y = functional.relu(functional.conv2d(x, self.weight, padding=1))
        return functional.relu(functional.conv_transpose2d(y, self.weight, padding=1))


class Sigmoid(Net):
    def body(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class OneMapAdded(Net):
    """A map of one channel added to all."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(12, 1, 1)

    def body(self, x: Tensor) -> Tensor:
        return x + self.gate(x)


class Padded(Net):
    def body(self, x: Tensor) -> Tensor:
        return functional.pad(x, (1, 1, 1, 1), value=0.7)


@pytest.mark.parametrize("kind", [Sigmoid, OneMapAdded, Padded])
def test_what_a_channel_of_zero_becomes_is_not_read(kind: type[nn.Module]) -> None:
    """A look at a cut shows the network that the cut leaves, where zero does not stay zero as well."""
    network, x = build(kind)
    graph = trace(network, x)
    rng, before = np.random.default_rng(0), network(x)
    for _ in range(3):
        cut, twin = random_cut(graph, rng), copy.deepcopy(network)
        with silenced(network, graph, cut):
            found = network(x)
        apply_cut(twin, graph, cut)
        assert cut.removed
        torch.testing.assert_close(twin(x), found)
    assert torch.equal(network(x), before)


@pytest.mark.parametrize("kind", [Divided, TiedWithItsTranspose])
def test_a_silenced_channel_is_as_a_cut_one(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    found = prove(network, graph, x)
    assert found.keys() == {group.name for group in graph.prunable} and max(found.values()) < 1e-10
    rng = np.random.default_rng(0)
    for _ in range(3):
        cut, twin = random_cut(graph, rng), copy.deepcopy(network)
        with silenced(network, graph, cut):
            before = network(x)
        apply_cut(twin, graph, cut)
        torch.testing.assert_close(twin(x), before)
