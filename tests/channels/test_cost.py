"""Counted parameters and FLOPs = those of the real network, after every one of many cuts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.networks.unet import UNet
from tests.channels.cuts import random_cut
from tests.channels.small_networks import UNDERSTOOD, build


def truth(network: nn.Module, x: Tensor) -> tuple[int, int]:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(x)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops()


def check(network: nn.Module, x: Tensor, rounds: int) -> ChannelGraph:
    """Predict, then cut, then count."""
    graph, rng = trace(network, x), np.random.default_rng(0)
    for _ in range(rounds):
        cut, tally = random_cut(graph, rng), Tally(network, graph)
        assert (tally.parameters, tally.flops) == truth(network, x)
        for name, indices in cut.removed.items():
            for index in indices:
                before, cost = (tally.parameters, tally.flops), tally.cost(graph[name].start + index)
                tally.drop(graph[name].start + index)
                assert (before[0] - cost[0], before[1] - cost[1]) == (tally.parameters, tally.flops)
        graph = apply_cut(network, graph, cut)
        assert (tally.parameters, tally.flops) == truth(network, x)
    return graph


@pytest.mark.parametrize("strides", [[(2, 2)] * 3, [(2, 1, 2), (2, 2, 2)]])
def test_a_unet_with_its_transposed_convolutions(strides: list[tuple[int, ...]]) -> None:
    network = UNet(len(strides[0]), 2, 3, 4, strides)
    full = trace(network, torch.randn(1, 2, *[8] * len(strides[0]))).kept
    graph = check(network, torch.randn(1, 2, *[8] * len(strides[0])), 15)
    assert sum(group.size for group in graph.prunable) < 0.6 * sum(map(len, full.values()))


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_general_networks(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    check(network, x[:1], 4)


def test_flops_are_of_one_example_whatever_the_batch() -> None:
    network = UNet(2, 1, 2, 2, [(2, 2)])
    one, five = (Tally(network, trace(network, torch.randn(n, 1, 8, 8))).flops for n in (1, 5))
    assert one == five
