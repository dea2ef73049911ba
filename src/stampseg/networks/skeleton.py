"""A network without its weights, as wide as it shall be."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from ..channels.graph import ChannelGraph
from ..channels.surgery import apply_cut
from ..channels.trace import trace
from ..errors import WiringError
from .meta import on_meta
from .registry import NetworkSpec


def skeleton(
    spec: NetworkSpec, kept: Mapping[str, tuple[int, ...]] | None = None, trusted: Collection[str] = ()
) -> tuple[nn.Module, ChannelGraph]:
    """The network with parameters that take no memory, cut to `kept`, and its channels.

    A network that cannot be followed on the meta device is built on the CPU, dense, before it is cut.

    Raises:
        StampsegError: it cannot be built, or has not the channels that are to be kept.
    """
    try:
        with on_meta():
            network = spec.build(trusted)
        graph = trace(network, torch.empty(spec.example_shape, device="meta"))
    except WiringError:
        network = spec.build(trusted)
        graph = trace(network, torch.zeros(spec.example_shape))
    return network, graph if kept is None else apply_cut(network, graph, graph.cut_to(kept))
