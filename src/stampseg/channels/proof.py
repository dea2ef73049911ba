"""A proof by numbers that cuts of a network are exact, group by group.

A cut network must equal its masked twin: the same network in which the channels are silenced where
they are produced (weights, biases, norms), and nothing is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from .call import output_tensors
from .choice import Room
from .graph import ChannelGraph, Cut, Group
from .modes import evaluating, uncompiled
from .silence import silence
from .surgery import apply_cut
from .untouched import stand_ins

Change = Callable[[], object]  # of the network, before it runs


def prove(network: nn.Module, graph: ChannelGraph, example: Tensor) -> dict[str, float]:
    """Largest deviation of any output from the masked twin's, for cuts of each prunable group by itself.

    One channel, half of them, and all that its layers can lose.

    In eval mode, on noise of the example's shape (on the example itself where it holds whole numbers); the
    network is left as it is. In double precision an exact cut deviates by rounding, 1e-10 at most; more
    means that the network's code computes something from a number of channels, or that a silenced channel
    does not stay silent (an activation that is not zero at zero). Where the network does not run in double
    precision, it is compared in its own, whose rounding is larger: 1e-4 of float32. Infinite: the cut
    network does not run.

    Args:
        network: with weights that are not all zero.
        graph: its channels as they are now.
        example: (B, C, *S).

    Returns:
        Group name -> deviation, relative to the largest output.
    """
    found: dict[str, float] = {}
    with uncompiled(), evaluating(network), torch.no_grad():
        run = _run_of(network, example)
        for group in graph.prunable:
            for cut in _cuts_of(graph, group):
                twin = run(partial(silence, network, graph, cut))
                deviation = _deviation(run, partial(apply_cut, network, graph, cut), twin)
                found[group.name] = max(found.get(group.name, 0.0), deviation)
    return found


def _cuts_of(graph: ChannelGraph, group: Group) -> list[Cut]:
    """One channel of a group, half of it, and all that its layers can lose; each once."""
    cuts: list[Cut] = []
    middle = group.size // 2
    order = [*range(middle, group.size), *range(middle)]
    for count in (1, middle, group.size - 1):
        room = Room(graph, 1)
        taken = [index for index in order if room.take(group.start + index)][:count]
        if taken and not any(set(cut.removed[group.name]) == set(taken) for cut in cuts):
            cuts.append(Cut.of({group.name: taken}))
    return cuts


def _run_of(network: nn.Module, example: Tensor) -> Callable[[Change], list[Tensor]]:
    """What runs the network after a change, in double precision if it can, and undoes the change."""
    device = next((p.device for p in network.parameters()), example.device)
    kind = torch.complex128 if example.is_complex() else torch.float64
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0), dtype=kind)
    real = example.is_floating_point() or example.is_complex()

    def run(change: Change, exact: bool = True) -> list[Tensor]:
        x = noise.to(kind if exact else example.dtype) if real else example
        with stand_ins(network, _doubled if exact else torch.clone):
            change()
            return output_tensors(network(x.to(device)))

    try:
        run(lambda: None)
    except Exception:  # code that mixes in tensors of a precision of its own
        return partial(run, exact=False)
    return run


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float64, copy=True) if tensor.is_floating_point() else tensor.clone()


def _deviation(run: Callable[[Change], list[Tensor]], cut: Change, theirs: list[Tensor]) -> float:
    try:
        ours = run(cut)
    except Exception:  # whatever the network's code does at another width
        return float("inf")
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        return float("inf")
    largest = max([1e-12, *(float(b.abs().max()) for b in theirs)])
    worst = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) / largest
    return worst if worst == worst else float("inf")
