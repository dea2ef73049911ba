"""What a network costs, now and after channels go, without building it: size, sums, memory, time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from torch import nn

from ..core.target import Cost as Kind
from .graph import FREE, ChannelGraph, LayerCall

BYTES = 4  # of a float32
LEAST = {"parameters": 1.0, "flops": 1.0, "memory": 1.0, "latency": 1e-4}  # a channel's; not quite nothing


class LayerTimes(Protocol):
    """How long layers take on some machine, measured; of grouped ones a plain one of equal FLOPs."""

    def milliseconds(
        self, call: LayerCall, kernel: tuple[int, ...], in_channels: int, out_channels: int
    ) -> float:
        """One call with so many channels."""
        ...


class Cost(NamedTuple):
    """Of a network, or of what goes with one channel; for one example of the traced size."""

    parameters: int
    flops: int
    memory: int  # bytes of all convolutions' outputs
    latency: float  # milliseconds of all convolutions and linear layers; 0 where nothing was measured


class Tally:
    """Costs of a network that go down as channels are dropped from it one by one.

    FLOPs are two per multiply-add of convolutions and linear layers, as torch.utils.flop_counter
    counts them. Memory is what the maps of these layers take in float32: norms and activations keep
    maps of the same sizes in training.

    Args:
        network: as it is now.
        graph: its channels.
        times: for `latency`; None leaves it at 0.
    """

    def __init__(self, network: nn.Module, graph: ChannelGraph, times: LayerTimes | None = None) -> None:
        self.shapes = {name: list(p.shape) for name, p in network.named_parameters()}
        self.times = times
        self._calls: dict[str, list[LayerCall]] = {}
        for call in graph.calls:
            self._calls.setdefault(call.weight, []).append(call)
        self._where: list[list[tuple[str, int, int]]] = [[] for _ in range(graph.channel_count)]
        for binding in graph.bindings:
            if binding.tensor in self.shapes:
                channels, counts = np.unique(binding.channels[binding.channels != FREE], return_counts=True)
                for channel, count in zip(channels.tolist(), counts.tolist(), strict=True):
                    self._where[channel].append((binding.tensor, binding.dim, count))
        self._fixed_flops = graph.fixed_flops
        self._set(_sum(self._of(name) for name in self.shapes))

    def _set(self, cost: Cost) -> None:
        self.parameters, self.memory, self.latency = cost.parameters, cost.memory, cost.latency
        self.flops = cost.flops + self._fixed_flops

    def _of(self, tensor: str) -> Cost:
        """What one parameter tensor stands for."""
        shape = self.shapes[tensor]
        parameters = math.prod(shape)
        flops, memory, latency = 0, 0, 0.0
        for call in self._calls.get(tensor, ()):
            made = (shape[1] if call.transposed else shape[0]) if len(shape) > 1 else 1
            taken = shape[0] if call.transposed else math.prod(shape[1:2])
            flops += 2 * parameters * call.places
            memory += BYTES * made * call.voxels
            if self.times is not None:
                latency += self.times.milliseconds(call, tuple(shape[2:]), taken, made)
        return Cost(parameters, flops, memory, latency)

    def total(self, kind: Kind) -> float:
        """One of the costs, by its name."""
        return float(getattr(self, kind))

    def cost(self, channel: int) -> Cost:
        """What would go with a channel (by its number in the graph)."""
        return self.cost_of([channel])

    def cost_of(self, channels: list[int]) -> Cost:
        """What would go with several channels."""
        touched = {tensor for channel in channels for tensor, _, _ in self._where[channel]}
        before = _sum(map(self._of, touched))
        for channel in channels:
            self._shift(channel, -1)
        after = _sum(map(self._of, touched))
        for channel in channels:
            self._shift(channel, +1)
        return Cost(
            before.parameters - after.parameters,
            before.flops - after.flops,
            before.memory - after.memory,
            before.latency - after.latency,
        )

    def tensors(self, channel: int) -> set[str]:
        """Parameters that a channel lies in."""
        return {tensor for tensor, _, _ in self._where[channel]}

    def drop(self, channel: int) -> None:
        """Take the channel out of the counts."""
        gone = self.cost(channel)
        self._shift(channel, -1)
        self.parameters -= gone.parameters
        self.flops -= gone.flops
        self.memory -= gone.memory
        self.latency -= gone.latency

    def _shift(self, channel: int, sign: int) -> None:
        for tensor, dim, count in self._where[channel]:
            self.shapes[tensor][dim] += sign * count


def _sum(costs: Iterator[Cost] | map[Cost]) -> Cost:
    parameters, flops, memory, latency = 0, 0, 0, 0.0
    for cost in costs:
        parameters, flops = parameters + cost.parameters, flops + cost.flops
        memory, latency = memory + cost.memory, latency + cost.latency
    return Cost(parameters, flops, memory, latency)


def unit_costs(tally: Tally, channels: Sequence[int], cost: Kind) -> np.ndarray:
    """What goes with each channel (by its number in the graph), alone; never quite nothing."""
    return np.array([max(float(getattr(tally.cost(c), cost)), LEAST[cost]) for c in channels])
