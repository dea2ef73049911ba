"""Which channels go in one round: the least important of the whole network, one list for all layers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from .cost import Tally
from .graph import ChannelGraph, Cut, Group, Scores


@dataclass(frozen=True)
class Limit:
    """A size that a cut may stop at."""

    kind: Literal["parameters", "flops"]
    amount: int

    def met(self, tally: Tally) -> bool:
        """Whether the counted network is small enough."""
        return int(getattr(tally, self.kind)) <= self.amount


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
    tally = Tally(network, graph)
    candidates = [g for g in graph.prunable if g.name in scores and (groups is None or g.name in groups)]
    if not candidates:
        return Cut({})
    owners = np.repeat(np.arange(len(candidates)), [g.size for g in candidates])
    values = np.concatenate([scores[g.name] for g in candidates])
    channels = np.concatenate([np.arange(g.start, g.stop) for g in candidates])
    left = [g.size for g in candidates]
    removed: dict[str, list[int]] = {}
    for position in np.argsort(values, kind="stable"):
        if limit.met(tally) or (most is not None and sum(map(len, removed.values())) >= most):
            break
        owner, channel = int(owners[position]), int(channels[position])
        name, index = candidates[owner].name, channel - candidates[owner].start
        if left[owner] <= minimum_width or (name, graph.kept[name][index]) in spare:
            continue
        left[owner] -= 1
        tally.drop(channel)
        removed.setdefault(name, []).append(index)
    return Cut.of(removed)


def smallest(network: nn.Module, graph: ChannelGraph, minimum_width: int, groups: Container[str]) -> Tally:
    """Counts of the network with every group of `groups` at its minimum width."""
    tally = Tally(network, graph)
    for group in graph.prunable:
        if group.name in groups:
            for channel in range(group.start, group.stop - minimum_width):
                tally.drop(channel)
    return tally


def removable(graph: ChannelGraph, minimum_width: int, groups: Container[str]) -> int:
    """Channels that could still go."""
    return sum(max(0, g.size - minimum_width) for g in graph.prunable if g.name in groups)
