"""The widths of a pruned network's layers, for a network from random weights."""

from __future__ import annotations

import math
from pathlib import Path

import torch
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


def cut_and_redraw(
    network: nn.Module, graph: ChannelGraph, kept: dict[str, tuple[int, ...]], fresh: nn.Module
) -> ChannelGraph:
    """Cut a network in place, with weights as its layers would begin had they always been that narrow.

    They are the network's own way to begin: those of `fresh`, with each layer's spread as for the inputs that
    it has left, by 1 / sqrt(inputs) as in the initialisations of He, Glorot and PyTorch.

    Args:
        network: dense.
        graph: its channels.
        kept: see `kept_of`.
        fresh: the dense network built once more: of the weights that the pruned one began with, those of the
            same seed, its cuts have chosen.
    """
    network.load_state_dict(fresh.state_dict())
    layers = {name: layer for name, layer in network.named_modules() if _inputs(layer)}
    before = {name: _inputs(layer) for name, layer in layers.items()}
    graph = apply_cut(network, graph, graph.cut_to(kept))
    with torch.no_grad():
        for name, layer in layers.items():
            for parameter in layer.parameters(recurse=False):
                parameter *= math.sqrt(before[name] / _inputs(layer))
    return graph


def _inputs(layer: nn.Module) -> int:
    """Numbers that go into one of a layer's; 0 for what has no filters, such as norms."""
    weight = getattr(layer, "weight", None)
    return weight[0].numel() if isinstance(weight, torch.Tensor) and weight.ndim > 1 else 0
