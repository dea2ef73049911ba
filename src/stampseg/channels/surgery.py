"""Remove channels from a living network: parameters, buffers, sizes and optimiser state.

Everything is computed first and put in place afterwards, so a refused cut changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .graph import ChannelGraph, Cut, survives

_ATTRIBUTES = (
    "in_channels", "out_channels", "groups", "in_features", "out_features", "num_features",
    "num_channels", "num_groups", "num_parameters",
)  # fmt: skip


def apply_cut(
    network: nn.Module, graph: ChannelGraph, cut: Cut, optimizer: Optimizer | None = None
) -> ChannelGraph:
    """Remove the channels of `cut` from `network` in place.

    Batch-norm statistics, the columns of every consumer and gradients are cut alike. In the
    optimiser each old parameter is replaced by its successor, and every state tensor shaped
    like the parameter is cut like it; other state (step counters) is kept.

    Returns:
        The graph of the smaller network.

    Raises:
        WiringError: the cut names an unknown or frozen group, an index out of range or twice,
            or a whole layer. The network is left untouched.
    """
    graph.check(cut)
    if not cut.removed:
        return graph
    selections = _selections(network, graph, cut)
    tensors = dict(_state(network))
    fresh = {name: _select(tensors[name], where) for name, where in selections.items()}
    smaller = graph.without(cut)
    _replace(network, tensors, fresh)
    if optimizer is not None:
        _carry(optimizer, tensors, fresh, selections)
    _resize(network, smaller)
    return smaller


def _state(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _selections(network: nn.Module, graph: ChannelGraph, cut: Cut) -> dict[str, dict[int, Tensor]]:
    """Per tensor that changes: dimension -> the positions that stay."""
    keep = graph.keep_mask(cut)
    devices = {name: tensor.device for name, tensor in _state(network)}
    selections: dict[str, dict[int, Tensor]] = {}
    for binding in graph.bindings:
        stays = survives(binding.channels, keep)
        if not stays.all():
            index = torch.from_numpy(stays.nonzero()[0]).to(devices[binding.tensor])
            selections.setdefault(binding.tensor, {})[binding.dim] = index
    return selections


def _select(tensor: Tensor, where: Mapping[int, Tensor]) -> Tensor:
    """The kept entries, in the memory format and kind (parameter or tensor) of the original."""
    kept = tensor.detach()
    for dim, index in where.items():
        kept = kept.index_select(dim, index)
    kept = kept.contiguous(memory_format=_memory_format(tensor))
    if not isinstance(tensor, nn.Parameter):
        return kept
    parameter = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    if tensor.grad is not None:
        parameter.grad = _select(tensor.grad, where)
    return parameter


def _memory_format(tensor: Tensor) -> torch.memory_format:
    if not tensor.is_contiguous():
        for ndim, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.ndim == ndim and tensor.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


def _replace(network: nn.Module, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> None:
    """Put new tensors wherever the old ones are registered; a shared one stays shared."""
    successors = {id(old[name]): tensor for name, tensor in new.items()}
    for module in network.modules():
        for registry in (module._parameters, module._buffers):
            for key, tensor in registry.items():
                if id(tensor) in successors:
                    registry[key] = successors[id(tensor)]  # type: ignore[assignment]


def _carry(
    optimizer: Optimizer,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    selections: Mapping[str, Mapping[int, Tensor]],
) -> None:
    names = {id(old[name]): name for name in new}
    for group in optimizer.param_groups:
        group["params"] = [new[names[id(p)]] if id(p) in names else p for p in group["params"]]
    for name, tensor in new.items():
        state: dict[str, Any] | None = optimizer.state.pop(old[name], None)
        if state is None:
            continue
        optimizer.state[tensor] = {
            key: _select(value, selections[name])
            if isinstance(value, Tensor) and value.shape == old[name].shape
            else value
            for key, value in state.items()
        }


def _resize(network: nn.Module, graph: ChannelGraph) -> None:
    """Bring the sizes that modules repeat as attributes in line with their tensors."""
    modules = dict(network.named_modules())
    for sized in graph.sizes:
        module, count = modules[sized.module], len(sized.channels)
        before = getattr(module, sized.attribute)
        if sized.attribute == "out_channels" and getattr(module, "groups", 1) > 1:
            module.groups = module.groups * count // before
        if sized.attribute == "num_channels":
            module.num_groups = module.num_groups * count // before
        setattr(module, sized.attribute, count)


@dataclass(frozen=True)
class Snapshot:
    """A network and its optimiser at one moment, to go back to after a cut that did not heal."""

    graph: ChannelGraph
    tensors: Mapping[str, Tensor]
    attributes: Mapping[str, Mapping[str, Any]]
    optimizer: Mapping[str, Mapping[str, Any]]


def snapshot(network: nn.Module, graph: ChannelGraph, optimizer: Optimizer) -> Snapshot:
    """Copy everything that training and cuts change."""
    names = {id(p): name for name, p in network.named_parameters()}
    modules = dict(network.named_modules())
    return Snapshot(
        graph=graph,
        tensors={name: tensor.detach().clone() for name, tensor in _state(network)},
        attributes={
            sized.module: {
                a: getattr(modules[sized.module], a) for a in _ATTRIBUTES if hasattr(modules[sized.module], a)
            }
            for sized in graph.sizes
        },
        optimizer={
            names[id(p)]: {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
            for p, state in optimizer.state.items()
        },
    )


def restore(network: nn.Module, optimizer: Optimizer, then: Snapshot) -> ChannelGraph:
    """Put a network and its optimiser back to a snapshot, whatever was cut since.

    Learning rates stay as they are now: they belong to the schedule, not to the snapshot.
    """
    old = dict(_state(network))
    new: dict[str, Tensor] = {}
    for name, tensor in then.tensors.items():
        copy = tensor.clone()
        new[name] = (
            nn.Parameter(copy, old[name].requires_grad) if isinstance(old[name], nn.Parameter) else copy
        )
    _replace(network, old, new)
    names = {id(old[name]): name for name in new}
    for group in optimizer.param_groups:
        group["params"] = [new[names[id(p)]] for p in group["params"]]
    optimizer.state.clear()
    for name, state in then.optimizer.items():
        optimizer.state[new[name]] = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    modules = dict(network.named_modules())
    for name, attributes in then.attributes.items():
        for attribute, value in attributes.items():
            setattr(modules[name], attribute, value)
    return then.graph
