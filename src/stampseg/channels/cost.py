"""Parameters and FLOPs of a network, now and after channels go, without building it."""

from __future__ import annotations

import math

import numpy as np
from torch import nn

from .graph import FREE, ChannelGraph


class Tally:
    """Counts of a network that go down as channels are dropped from it one by one.

    FLOPs are two per multiply-add of convolutions and linear layers, for one example of the
    size that was traced (as torch.utils.flop_counter counts them).
    """

    def __init__(self, network: nn.Module, graph: ChannelGraph) -> None:
        self.shapes = {name: list(p.shape) for name, p in network.named_parameters()}
        self.positions: dict[str, int] = {}
        for weight, places in graph.positions:
            self.positions[weight] = self.positions.get(weight, 0) + places
        self._where: list[list[tuple[str, int, int]]] = [[] for _ in range(graph.channel_count)]
        for binding in graph.bindings:
            if binding.tensor in self.shapes:
                channels, counts = np.unique(binding.channels[binding.channels != FREE], return_counts=True)
                for channel, count in zip(channels.tolist(), counts.tolist(), strict=True):
                    self._where[channel].append((binding.tensor, binding.dim, count))
        self.parameters = sum(math.prod(shape) for shape in self.shapes.values())
        self.flops = graph.fixed_flops + sum(self._flops(name) for name in self.shapes)

    def _flops(self, tensor: str) -> int:
        return 2 * math.prod(self.shapes[tensor]) * self.positions.get(tensor, 0)

    def cost(self, channel: int) -> tuple[int, int]:
        """Parameters and FLOPs that would go with a channel (by its number in the graph)."""
        touched = {tensor for tensor, _, _ in self._where[channel]}
        before = {t: (math.prod(self.shapes[t]), self._flops(t)) for t in touched}
        self._shift(channel, -1)
        parameters = sum(before[t][0] - math.prod(self.shapes[t]) for t in touched)
        flops = sum(before[t][1] - self._flops(t) for t in touched)
        self._shift(channel, +1)
        return parameters, flops

    def drop(self, channel: int) -> None:
        """Take the channel out of the counts."""
        parameters, flops = self.cost(channel)
        self._shift(channel, -1)
        self.parameters -= parameters
        self.flops -= flops

    def _shift(self, channel: int, sign: int) -> None:
        for tensor, dim, count in self._where[channel]:
            self.shapes[tensor][dim] += sign * count
