"""The widths of a pruned network's layers, for a network from random weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..channels.graph import ChannelGraph
from ..channels.surgery import apply_cut
from ..core.errors import ConfigError
from .model_file import find_model, read_description
from .registry import NetworkSpec


def kept_of(path: Path, spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Channels that a pruned network has kept of each group.

    Args:
        path: its model file or run folder.
        spec: the dense network that the run asks for.

    Raises:
        ModelFileError: there is no such model.
        ConfigError: it was cut from another dense network.
    """
    description = read_description(find_model(path))
    theirs, ours = description.network, spec
    if theirs.name != ours.name:
        raise ConfigError(
            f"`network.widths_of` {path}: a network {theirs.name}, and this run's is {ours.name}; name a run "
            "of the same network"
        )
    for name in sorted(theirs.arguments.keys() | ours.arguments.keys()):
        found, expected = theirs.arguments.get(name), ours.arguments.get(name)
        if found != expected:
            raise ConfigError(
                f"`network.widths_of` {path}: {name} {found}, and this run's network has {expected}; name a "
                "run on the same data with the same options"
            )
    return description.kept


def cut_and_reset(network: nn.Module, graph: ChannelGraph, kept: dict[str, tuple[int, ...]]) -> ChannelGraph:
    """Cut a network in place, then draw its weights anew, as layers of these widths begin."""
    graph = apply_cut(network, graph, graph.cut_to(kept))
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return graph
