"""Where the layers of a network stand in its drawing: in order from left to right, by resolution downwards.

Nothing is known of U-Nets here: a network that halves its maps and enlarges them again comes out as a U.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..channels.graph import ChannelGraph, Group, LayerCall
from ..core.errors import StampsegError
from ..networks.model_file import read_description
from ..networks.skeleton import skeleton
from ..run.records import RoundRecord
from .record import Record


@dataclass(frozen=True)
class Layer:
    """Channels that live and die together.

    Attributes:
        name: of the group.
        level: how often its maps are halved, from 0.
        dense: channels before the first cut.
        cuttable: whether it can lose any.
    """

    name: str
    level: int
    dense: int
    cuttable: bool


@dataclass(frozen=True)
class Drawing:
    """Layers in the order in which they compute, and which feeds which (by position).

    `note` says what could not be known, or is empty.
    """

    layers: tuple[Layer, ...]
    links: tuple[tuple[int, int], ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


def draw(record: Record, trusted: Collection[str] = ()) -> Drawing:
    """The drawing of a run's network: from its model, else in the order of the recorded widths.

    Args:
        record: the run.
        trusted: `package.module:Class` names whose code the model may use.
    """
    model = record.model
    if model is None:
        return _row(record.rounds, "no model file is there to tell resolutions from: the layers in a row")
    try:
        description = read_description(model)
        _, graph = skeleton(description.network, None, trusted)
    except (StampsegError, ImportError) as error:
        return _row(record.rounds, f"the network cannot be opened ({error}): its layers in a row")
    return drawing_of(graph, _widest(record.rounds))


def drawing_of(graph: ChannelGraph, dense: dict[str, int]) -> Drawing:
    """The drawing of a traced network.

    Args:
        graph: its channels.
        dense: channels of each group before the first cut, where known; else as in the graph.
    """
    calls = [
        call for call in graph.calls if graph.binding(call.weight, 1 if call.transposed else 0) is not None
    ]
    if not calls:
        return _row((), "", graph)
    made = [_touched(graph, call, 1 if call.transposed else 0) for call in calls]
    used = [_touched(graph, call, 0 if call.transposed else 1) for call in calls]
    first = {name: step for step in reversed(range(len(calls))) for name in made[step]}
    names = sorted(first, key=lambda name: first[name])
    finest = max(call.voxels for call in calls)
    position = {name: place for place, name in enumerate(names)}
    layers = [
        Layer(
            name,
            _level(calls[first[name]], finest),
            dense.get(name, graph[name].size),
            graph[name].frozen is None,
        )
        for name in names
    ]
    links = {
        (position[source], position[target])
        for step in range(len(calls))
        for source in used[step]
        for target in made[step]
        if source in position and source != target and first[target] == step
    }
    return Drawing(tuple(layers), tuple(sorted(links)))


def _level(call: LayerCall, finest: int) -> int:
    """Halvings of each axis between the finest map and this one."""
    axes = max(len(call.size), 1)
    return max(0, round(math.log2(finest / max(call.voxels, 1)) / axes))


def _touched(graph: ChannelGraph, call: LayerCall, dim: int) -> list[str]:
    """Groups whose channels lie along a dimension of the layer's weight."""
    channels = graph.binding(call.weight, dim)
    if channels is None:
        return []
    known = np.unique(channels[channels >= 0])
    return [group.name for group in graph.groups if _holds(group, known)]


def _holds(group: Group, channels: np.ndarray) -> bool:
    return bool(((channels >= group.start) & (channels < group.stop)).any())


def _widest(rounds: Sequence[RoundRecord]) -> dict[str, int]:
    """The most channels each layer had in any round."""
    widest: dict[str, int] = {}
    for turn in rounds:
        for name, width in turn.widths.items():
            widest[name] = max(width, widest.get(name, 0))
    return widest


def _row(rounds: Sequence[RoundRecord], note: str, graph: ChannelGraph | None = None) -> Drawing:
    widths = graph.widths() if graph is not None else _widest(rounds)
    layers = tuple(Layer(name, 0, width, True) for name, width in widths.items())
    return Drawing(layers, tuple((i, i + 1) for i in range(len(layers) - 1)), note)
