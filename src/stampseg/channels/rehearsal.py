"""A dress rehearsal of cuts: with tensors without memory the network is cut and followed again.

What the tracer sees is one run at one width. Sizes that the network's code holds as numbers, or
computes from a width, show only when the width changes: then it fails, or looks different.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .choice import Room
from .graph import ChannelGraph, Cut
from .surgery import apply_cut
from .untouched import stand_ins

Follow = Callable[[nn.Module, Tensor, Mapping[str, Tensor] | None], Any]  # `trace.follow`

Shapes = list[tuple[int, ...]]

SMALLEST = 3  # channels of a group that loses one: at width one some layers look like others


def rehearsed(
    network: nn.Module, graph: ChannelGraph, example: Tensor, follow: Follow, shapes: Shapes
) -> ChannelGraph:
    """The graph, with every group frozen whose cut the network's own code does not follow.

    Args:
        network: left as it is.
        graph: its channels.
        example: as traced; on the meta device where the network could be traced there.
        follow: runs a network and gives what was seen.
        shapes: of the outputs when it was traced.
    """
    for make in (_one_each, _down_to_one):
        for _ in range(len(graph.groups)):
            reason = _misfit(network, graph, make(graph, _names(graph)), example, follow, shapes)
            if reason is None:
                break
            bad = {}
            for name in _names(graph):
                why = _misfit(network, graph, make(graph, {name}), example, follow, shapes)
                if why is not None:
                    bad[name] = why
            graph = _freeze(graph, bad or dict.fromkeys(_names(graph), reason))
    return graph


def _names(graph: ChannelGraph) -> set[str]:
    return {group.name for group in graph.prunable}


def _one_each(graph: ChannelGraph, names: Collection[str]) -> Cut:
    """The first channel of every group that has enough of them."""
    room, removed = Room(graph, SMALLEST - 1), {}
    for group in graph.prunable:
        if group.name in names and room.take(group.start):
            removed[group.name] = [0]
    return Cut.of(removed)


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
    shapes: Shapes,
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
        return f"the network's code holds a size: {str(error).splitlines()[0][:120]}"
    if seen.output_shapes != shapes:
        return "the network's code makes the size of its output from a number of channels"
    wide = all(smaller[name].size >= SMALLEST - 1 for name in cut.removed)
    if wide and all(len(indices) == 1 for indices in cut.removed.values()):
        frozen = {g.name for g in again.groups if g.frozen} - {g.name for g in smaller.groups if g.frozen}
        if again.widths() != smaller.widths() or again.calls != smaller.calls or frozen:
            return "the network's code does something else at another width"
    return None


def _empty(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")


def _freeze(graph: ChannelGraph, reasons: Mapping[str, str]) -> ChannelGraph:
    groups = tuple(replace(g, frozen=g.frozen or reasons.get(g.name)) for g in graph.groups)
    return replace(graph, groups=groups)
