"""A dress rehearsal of cuts: with tensors without memory the network is cut and followed again.

What the tracer sees is one run at one width. Sizes that the network's code holds as numbers, or
computes from a width, show only when the width changes: then it fails, or looks different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .choice import Room
from .graph import ChannelGraph, Cut, survives
from .surgery import apply_cut
from .untouched import stand_ins

Follow = Callable[[nn.Module, Tensor, Mapping[str, Tensor] | None], Any]  # `trace.follow`

Make = Callable[[ChannelGraph, Collection[str]], Cut]

SMALLEST = 3  # channels of a group that loses one: at width one some layers look like others
OTHERWISE = "the network's code does something else at another width"
MOST_RUNS = 6  # with widths apart; one is enough where few groups are of one width


def rehearsed(
    network: nn.Module, graph: ChannelGraph, example: Tensor, follow: Follow, first: Any
) -> ChannelGraph:
    """The graph, with every group frozen whose cut the network's own code does not follow.

    Args:
        network: left as it is.
        graph: its channels.
        example: as traced; on the meta device where the network could be traced there.
        follow: runs a network and gives what was seen.
        first: what was seen when it was traced.
    """
    runs: list[Cut] = []
    for run in range(MOST_RUNS):
        graph, cut = _mended(network, graph, _Apart(run), example, follow, first)
        runs.append(cut)
        if not cut.removed or not _together(graph, runs):
            break
    return _mended(network, graph, _down_to_one, example, follow, first)[0]


def _mended(
    network: nn.Module, graph: ChannelGraph, make: Make, example: Tensor, follow: Follow, first: Any
) -> tuple[ChannelGraph, Cut]:
    """The graph without the groups that a cut does not fit, each tried alone; and the cut that fits it."""
    cut = make(graph, _names(graph))
    for _ in range(len(graph.groups)):
        reason = _misfit(network, graph, cut, example, follow, first)
        if reason is None:
            break
        bad = {}
        for name in _names(graph):
            why = _misfit(network, graph, make(graph, {name}), example, follow, first)
            if why is not None:
                bad[name] = why
        graph = _freeze(graph, bad or dict.fromkeys(_names(graph), reason))
        cut = make(graph, _names(graph))
    return graph, cut


def _names(graph: ChannelGraph) -> set[str]:
    return {group.name for group in graph.prunable}


@dataclass(frozen=True)
class _Apart:
    """A few channels of every group, so many that groups of one width are of different ones afterwards.

    Code that takes the width of one tensor for another's works as long as both are as wide.

    Attributes:
        run: 0 for odd numbers first, so that few are the sum of two others; then what is left of the
            count of groups of a width, then chance.
    """

    run: int

    def __call__(self, graph: ChannelGraph, names: Collection[str]) -> Cut:
        room, removed = Room(graph, SMALLEST - 1 if self.run == 0 else 1), {}
        chance, seen = Random(self.run), Counter[int]()
        for group in graph.prunable:
            count = self._count(group.size, seen[group.size], chance)
            seen[group.size] += 1
            if len(names) == 1:  # alone it has to lose one to be tried
                count = max(1, count)
            if group.name in names:
                taken: list[int] = []
                for index in range(group.size):
                    if len(taken) < count and room.take(group.start + index):
                        taken.append(index)
                removed[group.name] = taken
        return Cut.of(removed)

    def _count(self, width: int, number: int, chance: Random) -> int:
        """How many channels go of the group with this number among those of its width."""
        most = max(1, width - 2)
        if self.run == 0:
            return [*range(1, most + 1, 2), *range(2, most + 1, 2)][number % most]
        return number // most % (most + 1) if self.run == 1 else chance.randint(0, most)


def _together(graph: ChannelGraph, runs: Sequence[Cut]) -> bool:
    """Whether two tensors that can be cut, of different channels, were as wide as each other in every run."""
    keeps, able = [graph.keep_mask(cut) for cut in runs], np.zeros(graph.channel_count, dtype=bool)
    for group in graph.prunable:
        able[group.start : group.stop] = True
    seen: dict[tuple[int, ...], bytes] = {}
    for binding in graph.bindings:
        channels = binding.channels
        if not ((channels >= 0) & able[np.maximum(channels, 0)]).any():
            continue
        widths = (len(channels), *(int(survives(channels, keep).sum()) for keep in keeps))
        which = np.sort(channels).tobytes()
        if seen.setdefault(widths, which) != which:
            return True
    return False


def _down_to_one(graph: ChannelGraph, names: Collection[str]) -> Cut:
    """All channels but one of every layer."""
    gone = set(Room(graph, 1).take_all(graph, names))
    return Cut.of({g.name: [i for i in range(g.size) if g.start + i in gone] for g in graph.groups})


def _misfit(
    network: nn.Module,
    graph: ChannelGraph,
    cut: Cut,
    example: Tensor,
    follow: Follow,
    first: Any,
) -> str | None:
    """Why the cut network is not what the graph says, or None."""
    if not cut.removed:
        return None
    try:
        with stand_ins(network, _empty if example.is_meta else torch.clone):
            smaller = apply_cut(network, graph, cut)
            seen = follow(network, example, None)
            again = seen.finish()
    except Exception as error:
        said = str(error.__cause__ or error).splitlines()  # the cause without where the network ran
        return f"the network's code holds a size: {said[0][:120] if said else type(error).__name__}"
    if seen.output_shapes != first.output_shapes:
        return "the network's code makes the size of its output from a number of channels"
    if seen.steps != first.steps:
        return OTHERWISE
    layers = zip(graph.layers, smaller.layers, strict=True)
    if all(len(new) >= SMALLEST - 1 for old, new in layers if len(new) < len(old)):
        frozen = {g.name for g in again.groups if g.frozen} - {g.name for g in smaller.groups if g.frozen}
        if again.widths() != smaller.widths() or again.calls != smaller.calls or frozen:
            return OTHERWISE
    return None


def _empty(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


def _freeze(graph: ChannelGraph, reasons: Mapping[str, str]) -> ChannelGraph:
    groups = tuple(replace(g, frozen=g.frozen or reasons.get(g.name)) for g in graph.groups)
    return replace(graph, groups=groups)
