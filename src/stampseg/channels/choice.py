"""Which channels go in one round: the least important of the whole network, one list for all layers."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from torch import nn

from ..config import PruneOptions, Scope
from ..errors import ConfigError, WiringError
from ..target import Cost, Target, say_amount
from .cost import LEAST, LayerTimes, Tally, unit_costs
from .graph import ChannelGraph, Cut, Group, Scores

LARGEST_STEP = 8  # channels of a layer that go at once, where time does not fall with every one


@dataclass(frozen=True)
class Limit:
    """A cost that a cut may stop at."""

    kind: Cost
    amount: float

    def met(self, tally: Tally) -> bool:
        """Whether the counted network is small enough."""
        return float(getattr(tally, self.kind)) <= self.amount

    def __str__(self) -> str:
        return say_amount(self.kind, self.amount)


def limit_of(target: Target, dense: Tally) -> Limit:
    """The cost that a target names, as an amount."""
    kind: Cost = "parameters" if target.kind == "dice" else target.kind
    return Limit(kind, target.limit(getattr(dense, kind)))


def rankable_groups(graph: ChannelGraph, scope: Scope) -> tuple[Group, ...]:
    """Groups that may be cut.

    Args:
        graph: the network's channels.
        scope: `all`; or `published`, as in the published code: neither up-convolutions nor the last layer,
            whose channels are what each class is told by. Both are found by following the network.
    """
    if scope == "all":
        return graph.prunable
    return tuple(group for group in graph.prunable if not group.transposed and not group.before_head)


def least_widths(groups: Sequence[Group], options: PruneOptions, share: float) -> dict[str, int]:
    """Channels that each group keeps in a run, by `prune.even`.

    An even cut to a share s of the FLOPs leaves about the root of s of every layer's channels, one to a
    share s of the memory s of them. No layer keeps less than `even` times that,
    rounded down.

    Args:
        groups: of the network before the first cut.
        options: those of the run.
        share: of the dense network's cost that is to be left.
    """
    kept = share if options.target.kind == "memory" else math.sqrt(share)
    return {g.name: math.floor(round(options.evenness * kept * g.size, 6)) for g in groups}


def choose(
    network: nn.Module,
    graph: ChannelGraph,
    scores: Scores,
    *,
    limit: Limit,
    most: int | None = None,
    minimum_width: int = 1,
    least: Mapping[str, int] | None = None,
    groups: Container[str] | None = None,
    spare: Container[tuple[str, int]] = (),
    cost: Cost | None = None,
    times: LayerTimes | None = None,
) -> Cut:
    """The least important channels, until the network meets `limit` or `most` are chosen.

    Equal scores go in the order of the network. A layer keeps `minimum_width` channels, and those in
    `spare`: (group, index in the network as first traced).

    Args:
        network: as it is now.
        graph: its channels.
        scores: of the channels; with `cost`, already divided by it.
        limit: where to stop.
        most: channels to take at most.
        minimum_width: see above.
        least: channels that a group keeps, beyond that.
        groups: names of those that compete; None: all.
        spare: see above.
        cost: the scores are divided by it, and it falls as layers become narrower: the channel, or the few
            of one layer together, with the least importance for what they cost goes first.
        times: how long layers take, where the limit or the cost is latency.
    """
    tally = Tally(network, graph, times)
    candidates = [g for g in graph.prunable if g.name in scores and (groups is None or g.name in groups)]
    for group in candidates:
        if len(scores[group.name]) != group.size:
            raise WiringError(
                f"group {group.name!r} has {group.size} channels and {len(scores[group.name])} scores, which "
                "are of the network before a cut; score it again"
            )
    room = Room(graph, minimum_width, least)
    if cost is None:
        order: Iterator[tuple[Group, Sequence[int]]] = _by_score(candidates, scores)
    else:
        order = _by_worth(candidates, scores, tally, cost, room, graph, spare)
    removed: dict[str, list[int]] = {}
    for group, indices in order:
        for index in indices:
            if limit.met(tally) or (most is not None and sum(map(len, removed.values())) >= most):
                return Cut.of(removed)
            if (group.name, graph.kept[group.name][index]) in spare or not room.take(group.start + index):
                continue
            tally.drop(group.start + index)
            removed.setdefault(group.name, []).append(index)
    return Cut.of(removed)


def _by_score(candidates: Sequence[Group], scores: Scores) -> Iterator[tuple[Group, Sequence[int]]]:
    """Every channel by itself, the lowest score first."""
    if not candidates:
        return
    owners = np.repeat(np.arange(len(candidates)), [group.size for group in candidates])
    indices = np.concatenate([np.arange(group.size) for group in candidates])
    values = np.concatenate([scores[group.name] for group in candidates])
    for position in np.argsort(values, kind="stable"):
        yield candidates[int(owners[position])], [int(indices[position])]


def _by_worth(
    candidates: Sequence[Group],
    scores: Scores,
    tally: Tally,
    cost: Cost,
    room: Room,
    graph: ChannelGraph,
    spare: Container[tuple[str, int]],
) -> Iterator[tuple[Group, Sequence[int]]]:
    """The channels with the least importance for what they cost in the network as it is by then."""
    queues = {}
    for group in candidates:
        prices = unit_costs(tally, range(group.start, group.stop), cost)
        values = scores[group.name] * prices  # importance, whatever it costs
        line = [int(i) for i in np.argsort(values, kind="stable")]
        line = [i for i in line if (group.name, graph.kept[group.name][i]) not in spare]
        queues[group.name] = (group, values, line)
    largest = LARGEST_STEP if cost == "latency" else 1
    offers: dict[str, tuple[float, int]] = {}
    while True:
        for name, (group, values, line) in queues.items():
            if name not in offers:
                offers[name] = _offer(group, values, line, tally, cost, room, largest)
        name = min(offers, key=lambda key: offers[key][0], default="")
        if not name or not offers[name][1]:
            return
        group, _, line = queues[name]
        taken = line[: offers[name][1]]
        del line[: len(taken)]
        touched = tally.tensors(group.start + taken[0])
        yield group, taken
        for other, (_, _, left) in queues.items():
            if not left or tally.tensors(queues[other][0].start + left[0]) & touched:
                offers.pop(other, None)


def _offer(
    group: Group, values: np.ndarray, line: list[int], tally: Tally, cost: Cost, room: Room, largest: int
) -> tuple[float, int]:
    """The least importance per cost that the next channels of a group give up, and how many those are."""
    best = (np.inf, 0)
    for count in range(1, min(largest, len(line)) + 1):
        channels = [group.start + index for index in line[:count]]
        if not room.has(channels):
            break
        price = max(float(getattr(tally.cost_of(channels), cost)), LEAST[cost])
        worth = float(values[line[:count]].sum()) / price
        if worth < best[0]:
            best = (worth, count)
    return best


class Room:
    """How many channels every layer may still lose."""

    def __init__(
        self, graph: ChannelGraph, minimum_width: int, least: Mapping[str, int] | None = None
    ) -> None:
        self._left = [len(layer) - minimum_width for layer in graph.layers]
        self._where: list[list[int]] = [[] for _ in range(graph.channel_count)]
        for number, layer in enumerate(graph.layers):
            for channel in layer[layer >= 0].tolist():
                self._where[channel].append(number)
        for group in graph.prunable:
            if group.name in (least or {}):
                for channel in range(group.start, group.stop):
                    self._where[channel].append(len(self._left))
                self._left.append(group.size - least[group.name])  # type: ignore[index]

    def take(self, channel: int) -> bool:
        """Take a channel (by its number in the graph) if every layer that makes it can lose one."""
        if not self.has([channel]):
            return False
        for layer in self._where[channel]:
            self._left[layer] -= 1
        return True

    def has(self, channels: Sequence[int]) -> bool:
        """Whether every layer that makes them can lose them all."""
        needed: dict[int, int] = {}
        for channel in channels:
            for layer in self._where[channel]:
                needed[layer] = needed.get(layer, 0) + 1
        return all(self._left[layer] >= count for layer, count in needed.items())

    def take_all(self, graph: ChannelGraph, groups: Container[str]) -> list[int]:
        """Take what can be taken of the named groups, in the order of the network."""
        named = (g for g in graph.prunable if g.name in groups)
        return [channel for g in named for channel in range(g.start, g.stop) if self.take(channel)]


def smallest(
    network: nn.Module,
    graph: ChannelGraph,
    minimum_width: int,
    groups: Container[str],
    least: Mapping[str, int] | None = None,
) -> Tally:
    """Costs of the network with every layer of `groups` at its minimum width."""
    tally = Tally(network, graph)
    for channel in Room(graph, minimum_width, least).take_all(graph, groups):
        tally.drop(channel)
    return tally


def removable(
    graph: ChannelGraph,
    minimum_width: int,
    groups: Container[str],
    least: Mapping[str, int] | None = None,
) -> int:
    """Channels that could still go."""
    return len(Room(graph, minimum_width, least).take_all(graph, groups))


def check_reachable(
    network: nn.Module,
    graph: ChannelGraph,
    limit: Limit,
    minimum_width: int,
    groups: Container[str],
    least: Mapping[str, int] | None = None,
    remedy: str = "",
) -> None:
    """Refuse a cost that no cut can reach.

    Raises:
        ConfigError: the smallest network that is left costs more; `remedy` is what else to do.
    """
    reached = float(getattr(smallest(network, graph, minimum_width, groups, least), limit.kind))
    if limit.amount < reached:
        hint = f"; did you mean {limit.amount:g}%?" if limit.amount <= 100 and limit.kind != "latency" else ""
        raise ConfigError(
            f"target {limit}: the smallest network that is left has {say_amount(limit.kind, reached)}; ask "
            f"for more{remedy}{hint}"
        )


def check_target(network: nn.Module, graph: ChannelGraph, limit: Limit, options: PruneOptions) -> None:
    """Refuse a cost that no cut of a run can reach.

    Raises:
        ConfigError: the smallest network that is left costs more.
    """
    share = min(1.0, limit.amount / float(getattr(Tally(network, graph), limit.kind)))

    def check(scope: Scope, remedy: str = "") -> None:
        ranked = rankable_groups(graph, scope)
        names, least = {group.name for group in ranked}, least_widths(ranked, options, share)
        check_reachable(network, graph, limit, options.minimum_width, names, least, remedy)

    remedy = ""
    if options.scope == "published":
        with suppress(ConfigError):
            check("all")
            remedy = ", or set prune.rankable=all: then up-convolutions and the last layer are cut too"
    check(options.scope, remedy)
