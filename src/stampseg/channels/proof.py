"""A proof by numbers that cuts of a network are exact, group by group.

A cut network must equal its masked twin: the same network in which the channels are silenced where
they are produced (weights, biases, norms), and nothing is removed.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .call import output_tensors
from .choice import Room
from .graph import ChannelGraph, Cut
from .silence import silence
from .surgery import apply_cut


def prove(network: nn.Module, graph: ChannelGraph, example: Tensor) -> dict[str, float]:
    """Largest deviation of any output from the masked twin's, for one channel of each prunable group.

    In double precision, eval mode, on noise of the example's shape; the network is left as it is.
    An exact cut deviates by rounding, 1e-10 at most; more means that the network's code computes
    something from a number of channels, or that a silenced channel does not stay silent (an activation
    that is not zero at zero). Infinite: the cut network does not run.

    Args:
        network: with weights that are not all zero.
        graph: its channels as they are now.
        example: (B, C, *S).

    Returns:
        Group name -> deviation, relative to the largest output.
    """
    whole = copy.deepcopy(network).double().eval()
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = noise.to(next(network.parameters()).device)
    found = {}
    for group in graph.prunable:
        cut = Cut.of({group.name: [group.size // 2]})
        if Room(graph, 1).take(group.start + group.size // 2):
            found[group.name] = _deviation(whole, graph, cut, noise)
    return found


def _deviation(whole: nn.Module, graph: ChannelGraph, cut: Cut, noise: Tensor) -> float:
    small, twin = copy.deepcopy(whole), copy.deepcopy(whole)
    silence(twin, graph, cut)
    try:
        apply_cut(small, graph, cut)
        with torch.no_grad():
            ours, theirs = output_tensors(small(noise)), output_tensors(twin(noise))
    except RuntimeError:
        return float("inf")
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        return float("inf")
    largest = max([1e-12, *(float(b.abs().max()) for b in theirs)])
    worst = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) / largest
    return worst if worst == worst else float("inf")
