"""Which channels go in one round: the least important of the whole network, one list for all layers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from ..config import Target
from ..errors import ConfigError, WiringError
from .cost import Tally
from .graph import ChannelGraph, Cut, Group, Scores

Kind = Literal["parameters", "flops"]


@dataclass(frozen=True)
class Limit:
    """A size that a cut may stop at."""

    kind: Kind
    amount: int

    def met(self, tally: Tally) -> bool:
        """Whether the counted network is small enough."""
        return int(getattr(tally, self.kind)) <= self.amount


def limit_of(target: Target, dense: Tally) -> Limit:
    """The size that a target names, as a count."""
    kind: Kind = "flops" if target.kind == "flops" else "parameters"
    return Limit(kind, target.limit(getattr(dense, kind)))


def rankable_groups(graph: ChannelGraph, scope: Literal["all", "published"]) -> tuple[Group, ...]:
    """Groups that compete. `published`: neither up-convolutions nor the last layer before the head."""
    groups = graph.prunable
    if scope == "published":
        groups = tuple(group for group in groups if not group.transposed)[:-1]
    return groups


def choose(
    network: nn.Module,
    graph: ChannelGraph,
    scores: Scores,
    *,
    limit: Limit,
    most: int | None = None,
    minimum_width: int = 1,
    groups: Container[str] | None = None,
    spare: Container[tuple[str, int]] = (),
) -> Cut:
    """The least important channels, until the network meets `limit` or `most` are chosen.

    Equal scores go in the order of the network. A layer keeps `minimum_width` channels, and those in
    `spare`: (group, index in the network as first traced).
    """
    tally, room = Tally(network, graph), Room(graph, minimum_width)
    candidates = [g for g in graph.prunable if g.name in scores and (groups is None or g.name in groups)]
    if not candidates:
        return Cut({})
    for group in candidates:
        if len(scores[group.name]) != group.size:
            raise WiringError(
                f"group {group.name!r} has {group.size} channels and {len(scores[group.name])} scores, which "
                "are of the network before a cut; score it again"
            )
    owners = np.repeat(np.arange(len(candidates)), [g.size for g in candidates])
    values = np.concatenate([scores[g.name] for g in candidates])
    channels = np.concatenate([np.arange(g.start, g.stop) for g in candidates])
    removed: dict[str, list[int]] = {}
    for position in np.argsort(values, kind="stable"):
        if limit.met(tally) or (most is not None and sum(map(len, removed.values())) >= most):
            break
        owner, channel = int(owners[position]), int(channels[position])
        name, index = candidates[owner].name, channel - candidates[owner].start
        if (name, graph.kept[name][index]) in spare or not room.take(channel):
            continue
        tally.drop(channel)
        removed.setdefault(name, []).append(index)
    return Cut.of(removed)


class Room:
    """How many channels every layer may still lose."""

    def __init__(self, graph: ChannelGraph, minimum_width: int) -> None:
        self._left = [len(layer) - minimum_width for layer in graph.layers]
        self._where: list[list[int]] = [[] for _ in range(graph.channel_count)]
        for number, layer in enumerate(graph.layers):
            for channel in layer[layer >= 0].tolist():
                self._where[channel].append(number)

    def take(self, channel: int) -> bool:
        """Take a channel (by its number in the graph) if every layer that makes it can lose one."""
        layers = self._where[channel]
        if any(self._left[layer] <= 0 for layer in layers):
            return False
        for layer in layers:
            self._left[layer] -= 1
        return True

    def take_all(self, graph: ChannelGraph, groups: Container[str]) -> list[int]:
        """Take what can be taken of the named groups, in the order of the network."""
        named = (g for g in graph.prunable if g.name in groups)
        return [channel for g in named for channel in range(g.start, g.stop) if self.take(channel)]


def smallest(network: nn.Module, graph: ChannelGraph, minimum_width: int, groups: Container[str]) -> Tally:
    """Counts of the network with every layer of `groups` at its minimum width."""
    tally = Tally(network, graph)
    for channel in Room(graph, minimum_width).take_all(graph, groups):
        tally.drop(channel)
    return tally


def removable(graph: ChannelGraph, minimum_width: int, groups: Container[str]) -> int:
    """Channels that could still go."""
    return len(Room(graph, minimum_width).take_all(graph, groups))


def check_reachable(
    network: nn.Module, graph: ChannelGraph, limit: Limit, minimum_width: int, groups: Container[str]
) -> None:
    """Refuse a size that no cut can reach.

    Raises:
        ConfigError: the smallest network that is left is larger.
    """
    least = int(getattr(smallest(network, graph, minimum_width, groups), limit.kind))
    if limit.amount < least:
        hint = f"; did you mean {limit.amount}%?" if limit.amount <= 100 else ""
        raise ConfigError(
            f"target {limit.amount:,} {limit.kind}: the smallest network that is left has {least:,}; ask "
            f"for more{hint}"
        )
