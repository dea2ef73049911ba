"""Random cuts, and the twin whose channels are silenced instead of removed."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stampseg.channels.graph import ChannelGraph, Cut


def random_cut(graph: ChannelGraph, rng: np.random.Generator, groups: int = 3) -> Cut:
    able = [g for g in graph.prunable if g.size > 1]
    chosen = rng.choice(len(able), size=min(groups, len(able)), replace=False) if able else []
    return Cut.of(
        {
            able[i].name: rng.choice(
                able[i].size, size=int(rng.integers(1, max(2, able[i].size // 3 + 1))), replace=False
            )
            for i in chosen
        }
    )


def mask(network: nn.Module, graph: ChannelGraph, cut: Cut, *, producers_only: bool = False) -> None:
    """Silence the channels of `cut` without removing them."""
    keep = graph.keep_mask(cut)
    state = dict((*network.named_parameters(), *network.named_buffers()))
    with torch.no_grad():
        for binding in graph.bindings:
            gone = (binding.channels >= 0) & ~keep[np.maximum(binding.channels, 0)]
            if binding.role == "divisor" or (producers_only and binding.role == "in"):
                continue
            where = [slice(None)] * state[binding.tensor].ndim
            where[binding.dim] = torch.from_numpy(gone.nonzero()[0])
            state[binding.tensor][tuple(where)] = 0
