"""Targeted channel dropout: the plus of STAMP+.

A channel that will soon be removed is dropped more often, so that the network learns to do
without it before it goes. Source: Dinsdale et al. 2022, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from .graph import ChannelGraph, Scores
from .trace import trace


def channel_dropout(x: Tensor, rate: Tensor, active: bool = True) -> Tensor:
    """Zero whole channels, each with its own rate, and scale the rest to keep the mean.

    Args:
        x: (B, C, *S).
        rate: (C,) probabilities in [0, 1).
        active: False gives x back; the tracer still sees that `rate` belongs to the channels.
    """
    if has_torch_function((x, rate)):  # the tracer sees one operation, not its parts
        return handle_torch_function(channel_dropout, (x, rate), x, rate, active)
    if not active:
        return x
    keep = 1 - rate.to(x.dtype)
    mask = torch.bernoulli(keep.expand(x.shape[0], -1)) / keep
    return x * mask.reshape(*mask.shape, *[1] * (x.ndim - 2))


class TargetedDropout(nn.Module):
    """Channel dropout whose rates are set from outside; does nothing at rate zero or in eval mode.

    The rates are a buffer, so they are cut with their channels, and are not stored in the
    state dict: a finished network needs none.
    """

    rate: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("rate", torch.zeros(channels), persistent=False)
        self.active = False

    def forward(self, x: Tensor) -> Tensor:
        return channel_dropout(x, self.rate, self.active) if self.training else x

    def set_rate(self, rate: Tensor) -> None:
        """Set the (C,) rates."""
        self.rate.copy_(rate)
        self.look()

    def look(self) -> None:
        """See anew whether any rate is above zero, after they were put in place."""
        self.active = bool(self.rate.any())

    def extra_repr(self) -> str:
        return f"{self.rate.numel()}, mean rate {float(self.rate.mean()):.3g}"


_ATTACHED = "targeted_dropout"


class _Dropping:
    """A forward hook: drops channels of a module's output by the targeted dropout attached to it."""

    def __call__(self, module: nn.Module, args: object, output: Tensor) -> Tensor:
        return module._modules[_ATTACHED](output)  # type: ignore[misc]


def attach_dropout(network: nn.Module, graph: ChannelGraph, example: Tensor) -> ChannelGraph:
    """Give a network that has none a targeted dropout behind every activation of prunable channels.

    It stands behind the last module on the way to the activation (the activation itself, or the norm
    or convolution before it) that is called once in a pass, so that gradient checkpoints compute the
    same again. State dictionaries stay as they are: the rates are not stored.

    Args:
        network: changed in place; a network with its own targeted dropout is left alone.
        graph: its channels as they are now.
        example: (B, C, *S) input the network accepts.

    Returns:
        The graph with the rates in it.
    """
    if any(isinstance(module, TargetedDropout) for module in network.modules()):
        return graph
    cuttable = np.zeros(graph.channel_count, dtype=bool)
    for group in graph.prunable:
        cuttable[group.start : group.stop] = True
    probes = [p for p in graph.probes if (p.channels >= 0).all() and cuttable[p.channels].all()]
    probes = [p for p in probes if p.activated] or probes
    modules = dict(network.named_modules())
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    for probe in probes:
        if probe.host is not None:
            host = modules[probe.host]
            dropout = TargetedDropout(len(probe.channels)).to(device).train(host.training)
            host.add_module(_ATTACHED, dropout)
            host.register_forward_hook(_Dropping())
    frozen = {group.name: group.frozen for group in graph.groups}
    again = trace(network, example, rehearse=False)  # what was frozen stays so
    groups = tuple(replace(group, frozen=group.frozen or frozen[group.name]) for group in again.groups)
    return replace(again, groups=groups, kept=graph.kept)


def detach_dropout(network: nn.Module) -> None:
    """Take away what `attach_dropout` gave; the graph may still name the rates."""
    for module in list(network.modules()):
        hooks = module._forward_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, _Dropping)]:
            del hooks[key]
            del module._modules[_ATTACHED]


def rate_names(network: nn.Module) -> set[str]:
    """Names of the rates among the network's buffers: they belong to training and are not stored."""
    return {f"{name}.rate" for name, module in network.named_modules() if isinstance(module, TargetedDropout)}


def targeted_rates(scores: Scores, base: float, scope: Literal["layer", "channel"]) -> dict[str, np.ndarray]:
    """Rates (n,) per group from the importance of its channels.

    All channels of `scores` are ranked together: the least important of N has N-1, the most
    important 0; equal scores share their mean rank. `layer`, as published: a layer's value is
    the mean over its channels, divided by the largest layer's, times `base`. `channel`: each
    channel's own rank divided by N-1, times `base`.
    """
    from scipy.stats import rankdata  # takes half a second to be imported; models that predict do not need it

    names = list(scores)
    if not names:
        return {}
    everything = np.concatenate([scores[name] for name in names])
    unimportance = len(everything) - rankdata(everything, method="average")
    parts = np.split(unimportance, np.cumsum([len(scores[name]) for name in names])[:-1])
    if scope == "layer":
        means = [part.mean() for part in parts]
        largest = max(means)
        parts = [np.full(len(p), m) for p, m in zip(parts, means, strict=True)]
    else:
        largest = len(everything) - 1
    return {n: base * (p / largest if largest > 0 else p * 0) for n, p in zip(names, parts, strict=True)}


def dropped_groups(network: nn.Module, graph: ChannelGraph) -> set[str]:
    """Names of the groups that have a targeted dropout: only they are ranked for its rates."""
    owned: set[int] = set()
    for name, module in network.named_modules():
        binding = graph.binding(f"{name}.rate", 0)
        if isinstance(module, TargetedDropout) and binding is not None:
            owned.update(binding.tolist())
    return {group.name for group in graph.groups if owned.intersection(range(group.start, group.stop))}


def set_rates(network: nn.Module, graph: ChannelGraph, rates: Mapping[str, np.ndarray]) -> None:
    """Give every targeted dropout of a group named in `rates` that group's rates."""
    for name, module in network.named_modules():
        binding = graph.binding(f"{name}.rate", 0)
        if not isinstance(module, TargetedDropout) or binding is None:
            continue
        values = module.rate.clone()
        for group in graph.groups:
            if group.name in rates:
                here = (binding >= group.start) & (binding < group.stop)
                chosen = rates[group.name][binding[here] - group.start]
                where = torch.from_numpy(here).to(values.device)
                values[where] = torch.as_tensor(chosen, dtype=values.dtype, device=values.device)
        module.set_rate(values)


def set_uniform_rate(network: nn.Module, rate: float) -> None:
    """Give every targeted dropout the same rate, as before the first cut."""
    for module in network.modules():
        if isinstance(module, TargetedDropout):
            module.set_rate(torch.full_like(module.rate, rate))
