"""Which channels go in one round: the least important of the whole network, one list for all layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from torch import nn

from ..core.errors import ConfigError, WiringError
from ..core.target import Cost, Target, say_amount
from .cost import LEAST, LayerTimes, Tally, unit_costs
from .graph import ChannelGraph, Cut, Group, Scores

LARGEST_STEP = 8  # channels of a layer that go at once, where time does not fall with every one
SLIP = 0.01  # a share below it was hardly meant: 0.15% for .15
FLOOR_PART = 50  # a fiftieth of the parameters is what cuts head for on the way to a Dice floor


@dataclass(frozen=True)
class Limit:
    """A cost that a cut may stop at."""

    kind: Cost
    amount: float

    def met(self, tally: Tally) -> bool:
        """Whether the counted network is small enough."""
        return tally.total(self.kind) <= self.amount

    def __str__(self) -> str:
        return say_amount(self.kind, self.amount)


class Bounds(NamedTuple):
    """How far a run may cut."""

    limit: Limit  # where the cuts stop
    groups: frozenset[str]  # names of those that compete
    least: Mapping[str, int]  # channels that each of them keeps


def bounds_of(
    groups: Sequence[Group], target: Target, size: Callable[[Cost], float], evenness: float
) -> Bounds:
    """What a target asks for of the network before its first cut; whether cuts can reach it is not checked.

    Args:
        groups: that compete.
        target: of the run.
        size: what the network costs, by the kind of cost.
        evenness: see `least_widths`.
    """
    limit = limit_of(target, size)
    least = least_widths(groups, evenness, limit.kind, min(1.0, limit.amount / size(limit.kind)))
    return Bounds(limit, frozenset(group.name for group in groups), least)


def limit_of(target: Target, size: Callable[[Cost], float]) -> Limit:
    """The cost that a target names, as an amount; on the way to a Dice floor, next to nothing.

    Args:
        target: a cost or a Dice floor.
        size: what the dense network costs, by the kind of cost.
    """
    if target.kind == "dice":
        return Limit("parameters", size("parameters") // FLOOR_PART)
    return Limit(target.kind, target.limit(size(target.kind)))


def rankable_groups(graph: ChannelGraph, scope: Literal["all", "published"]) -> tuple[Group, ...]:
    """Groups that may be cut.

    Args:
        graph: the network's channels.
        scope: `all`; or `published`, as in the published code: neither up-convolutions nor the last layer,
            whose channels are what each class is told by. Both are found by following the network.
    """
    if scope == "all":
        return graph.prunable
    return tuple(group for group in graph.prunable if not group.transposed and not group.before_head)


def least_widths(groups: Sequence[Group], evenness: float, kind: Cost, share: float) -> dict[str, int]:
    """Channels that each group keeps in a run.

    An even cut to a share s of the FLOPs leaves about the root of s of every layer's channels, one to a
    share s of the memory s of them. No layer keeps less than `evenness` times that, rounded down.

    Args:
        groups: of the network before the first cut.
        evenness: see above.
        kind: the cost that is to come down.
        share: of the dense network's cost that is to be left.
    """
    kept = share if kind == "memory" else math.sqrt(share)
    return {g.name: math.floor(round(evenness * kept * g.size, 6)) for g in groups}


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
    protected: Container[tuple[str, int]] = (),
    cost: Cost | None = None,
    times: LayerTimes | None = None,
) -> Cut:
    """The least important channels, until the network meets `limit` or `most` are chosen.

    Equal scores go in the order of the network. A layer keeps `minimum_width` channels, and those in
    `protected`: (group, index in the network as first traced).

    Args:
        network: as it is now.
        graph: its channels.
        scores: of the channels; with `cost`, already divided by it.
        limit: where to stop.
        most: channels to take at most.
        minimum_width: see above.
        least: channels that a group keeps, beyond that.
        groups: names of those that compete; None: all.
        protected: see above.
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
        order = _by_score_per_cost(candidates, scores, tally, cost, room, graph, protected)
    removed: dict[str, list[int]] = {}
    for group, indices in order:
        for index in indices:
            if limit.met(tally) or (most is not None and sum(map(len, removed.values())) >= most):
                return Cut.of(removed)
            if (group.name, graph.kept[group.name][index]) in protected or not room.take(group.start + index):
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


def _by_score_per_cost(
    candidates: Sequence[Group],
    scores: Scores,
    tally: Tally,
    cost: Cost,
    room: Room,
    graph: ChannelGraph,
    protected: Container[tuple[str, int]],
) -> Iterator[tuple[Group, Sequence[int]]]:
    """The channels with the least importance for what they cost in the network as it is by then."""
    queues = {}  # of each group: the importance of its channels, and those that are left, the lowest first
    for group in candidates:
        importance = scores[group.name] * unit_costs(tally, range(group.start, group.stop), cost)
        queue = [int(i) for i in np.argsort(importance, kind="stable")]
        queue = [i for i in queue if (group.name, graph.kept[group.name][i]) not in protected]
        queues[group.name] = (group, importance, queue)
    largest = LARGEST_STEP if cost == "latency" else 1
    steps: dict[str, Step] = {}
    while True:
        for name, (group, importance, queue) in queues.items():
            if name not in steps:
                steps[name] = _next_step(group, importance, queue, tally, cost, room, largest)
        name = min(steps, key=lambda key: steps[key].importance_per_cost, default="")
        if not name or not steps[name].count:
            return
        group, _, queue = queues[name]
        taken = queue[: steps[name].count]
        del queue[: len(taken)]
        touched = tally.tensors(group.start + taken[0])
        yield group, taken
        for other, (neighbour, _, left) in queues.items():  # whose costs have changed
            if not left or tally.tensors(neighbour.start + left[0]) & touched:
                steps.pop(other, None)


@dataclass(frozen=True)
class Step:
    """The next channels of one group that would go together."""

    importance_per_cost: float
    count: int


def _next_step(
    group: Group,
    importance: np.ndarray,
    queue: list[int],
    tally: Tally,
    cost: Cost,
    room: Room,
    largest: int,
) -> Step:
    """As many of the queue's first channels as have the least importance per cost; none where none may go.

    Those whose layer is at its least width leave the queue: they will never go, and others behind them may.
    """
    queue[:] = [index for index in queue if room.has([group.start + index])]
    best = Step(np.inf, 0)
    for count in range(1, min(largest, len(queue)) + 1):
        channels = [group.start + index for index in queue[:count]]
        if not room.has(channels):
            break
        saved = max(float(getattr(tally.cost_of(channels), cost)), LEAST[cost])
        ratio = float(importance[queue[:count]].sum()) / saved
        if ratio < best.importance_per_cost:
            best = Step(ratio, count)
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


def reachable_limit(
    network: nn.Module,
    graph: ChannelGraph,
    target: Target,
    groups: Sequence[Group],
    *,
    minimum_width: int = 1,
    evenness: float = 0.0,
) -> Limit | None:
    """The cost that a target names, as an amount; one that no cut can reach is refused.

    Args:
        network: before its first cut.
        graph: its channels.
        target: of the run.
        groups: that compete.
        minimum_width: channels that every layer keeps.
        evenness: see `least_widths`.

    Returns:
        None for a Dice floor or a latency: whether they can be reached shows when they have been measured.

    Raises:
        ConfigError: the smallest network that is left costs more; the message says what else to do.
    """
    if target.kind == "dice" or target.kind == "latency":
        return None
    size = Tally(network, graph).total

    def reached_by(competing: Sequence[Group]) -> tuple[Limit, float]:
        limit, names, least = bounds_of(competing, target, size, evenness)
        return limit, smallest(network, graph, minimum_width, names, least).total(limit.kind)

    limit, reached = reached_by(groups)
    if limit.amount < reached:
        remedy = ""
        if set(groups) < set(graph.prunable) and limit.amount >= reached_by(graph.prunable)[1]:
            remedy = ", or set prune.rankable=all: then up-convolutions and the last layer are cut too"
        hint = f"; did you mean {limit.amount:g}%?" if limit.amount <= 100 else ""
        if target.share is not None and target.share < SLIP:
            hint = f"; did you mean {1e4 * target.share:g}%?"
        raise ConfigError(
            f"target {limit}: the smallest network that is left has {say_amount(limit.kind, reached)}; ask "
            f"for more{remedy}{hint}"
        )
    return limit
