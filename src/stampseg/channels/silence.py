"""The masked twin of a cut: the same network with the cut's channels at zero, and nothing removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .graph import ChannelGraph, Cut
from .surgery import state_of


def silence(network: nn.Module, graph: ChannelGraph, cut: Cut, *, readers: bool = False) -> dict[str, Tensor]:
    """Set to zero what produces the channels of `cut`: weights, biases, norms and their statistics.

    What only reads them stays, unless asked, and what they are divided by: they are zero by then.

    Args:
        network: of the graph, or an average of it.
        graph: its channels as they are now.
        cut: of which channels.
        readers: also set to zero the weights by which layers read them, as a channel of zero may have been
            made something else in between, by a sigmoid, a map added to all, or padding with a value.

    Returns:
        What the changed tensors were, by name.
    """
    keep, state = graph.keep_mask(cut), state_of(network)
    left = ("divisor",) if readers else ("in", "divisor")
    before: dict[str, Tensor] = {}
    with torch.no_grad():
        for binding in graph.bindings:
            gone = (binding.channels >= 0) & ~keep[np.maximum(binding.channels, 0)]
            if binding.role not in left and gone.any():
                where: list[Any] = [slice(None)] * state[binding.tensor].ndim
                where[binding.dim] = torch.from_numpy(gone.nonzero()[0])
                before.setdefault(binding.tensor, state[binding.tensor].detach().clone())
                state[binding.tensor][tuple(where)] = 0
    return before


@contextmanager
def silenced(network: nn.Module, graph: ChannelGraph, cut: Cut) -> Iterator[None]:
    """The channels of `cut` neither made nor read for a while; then everything is as it was, bit for bit."""
    before, state = silence(network, graph, cut, readers=True), state_of(network)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in before.items():
                state[name].copy_(tensor)
