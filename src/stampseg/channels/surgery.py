"""Remove channels from a living network: parameters, buffers, sizes and optimiser state.

Everything is computed first and put in place afterwards, so a refused cut changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.swa_utils import AveragedModel

from ..core.errors import WiringError
from .graph import ChannelGraph, Cut, survives

Copy = nn.Module | MutableMapping[str, Tensor]


def apply_cut(
    network: nn.Module,
    graph: ChannelGraph,
    cut: Cut,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    copies: Sequence[Copy] = (),
) -> ChannelGraph:
    """Remove the channels of `cut` from `network` in place.

    Batch-norm statistics, the columns of every consumer and gradients are cut alike. In the
    optimiser each old parameter is replaced by its successor, and every state tensor shaped
    like the parameter is cut like it; other state (step counters) is kept. The parameter groups
    stay the same objects, so schedulers and gradient scalers keep working.

    Args:
        network: cut in place.
        graph: its channels as they are now.
        cut: what to remove.
        optimizer: of the network's parameters, or several.
        copies: averages of the network's weights, cut like it: an `AveragedModel` or another
            module of the same layers, or a dictionary of tensors by the network's names.

    Returns:
        The graph of the smaller network.

    Raises:
        WiringError: the cut names an unknown or frozen group, an index out of range or twice,
            or a whole layer; the graph or a copy does not fit the network; or the optimiser
            holds a state that cannot be cut. Everything is left untouched.
    """
    graph.check(cut)
    check_fit(network, graph)
    if not cut.removed:
        return graph
    everything = [network, *(plain_copy(copy) for copy in copies)]
    for copy in everything[1:]:
        check_fit(copy, graph, "the copy's ")
    states = [state_of(twin) for twin in everything]
    selections = [_selections(state, graph, cut) for state in states]
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or ())
    for opt in optimizers:
        check_optimizer(opt, states[0], selections[0])
    fresh = [
        {name: _select(state[name], where) for name, where in chosen.items()}
        for state, chosen in zip(states, selections, strict=True)
    ]
    smaller = graph.without(cut)
    carried = [_carried(opt, states[0], fresh[0], selections[0]) for opt in optimizers]
    sizes = [_sizes(twin, smaller) if isinstance(twin, nn.Module) else [] for twin in everything]
    aliases = _aliases(network)
    # from here on there are assignments only
    for opt, (groups, memory) in zip(optimizers, carried, strict=True):
        for group, parameters in zip(opt.param_groups, groups, strict=True):
            group["params"][:] = parameters  # in place: others may hold the same list
        for name, tensor in fresh[0].items():
            opt.state.pop(states[0][name], None)
            if name in memory:
                opt.state[tensor] = memory[name]
    for copied, old, new, counts in zip(everything, states, fresh, sizes, strict=True):
        replace_tensors(copied, old, new, aliases)
        for module, attribute, count in counts:
            setattr(module, attribute, count)
    return smaller


def check_fit(network: Copy, graph: ChannelGraph, whose: str = "") -> None:
    """Check that every tensor the graph names is there, as long as the graph says.

    Raises:
        WiringError: a tensor is missing or has another length.
    """
    state = state_of(network)
    for binding in graph.bindings:
        shape = tuple(state[binding.tensor].shape) if binding.tensor in state else None
        if shape is None and (isinstance(network, MutableMapping) or binding.role == "rate"):
            continue  # averages need no buffers, and a network that has been trained no dropout
        if shape is None or len(shape) <= binding.dim or shape[binding.dim] != len(binding.channels):
            raise WiringError(
                f"{whose}{binding.tensor} has shape {shape}, the graph expects {len(binding.channels)} "
                f"entries along dimension {binding.dim}; use the graph that the last cut of this very "
                "network gave back, and for a copy the averaged network itself (ema.module)"
            )


def plain_copy(copy: Copy) -> Copy:
    """The averaged network inside torch's AveragedModel, whose names have a prefix."""
    return copy.module if isinstance(copy, AveragedModel) else copy


def state_of(network: Copy) -> dict[str, Tensor]:
    """Parameters and buffers by name; a shared one by its first name."""
    if not isinstance(network, nn.Module):
        return dict(network)
    return dict((*network.named_parameters(), *network.named_buffers()))


def _selections(state: Mapping[str, Tensor], graph: ChannelGraph, cut: Cut) -> dict[str, dict[int, Tensor]]:
    """Per tensor that changes: dimension -> the positions that stay."""
    keep = graph.keep_mask(cut)
    selections: dict[str, dict[int, Tensor]] = {}
    for binding in graph.bindings:
        stays = survives(binding.channels, keep)
        if binding.tensor in state and not stays.all():
            index = torch.from_numpy(stays.nonzero()[0]).to(state[binding.tensor].device)
            selections.setdefault(binding.tensor, {})[binding.dim] = index
    return selections


def _select(tensor: Tensor, where: Mapping[int, Tensor]) -> Tensor:
    """The kept entries, in the memory format and kind (parameter or tensor) of the original."""
    selected = tensor.detach()
    for dim, index in where.items():
        selected = selected.index_select(dim, index)
    selected = selected.contiguous(memory_format=_memory_format(tensor))
    if not isinstance(tensor, nn.Parameter):
        return selected
    parameter = successor(tensor, selected)
    if tensor.grad is not None:
        parameter.grad = _select(tensor.grad, where)
    return parameter


def successor(old: nn.Parameter, values: Tensor) -> nn.Parameter:
    """A parameter in place of another: its hooks and what others wrote on it go with it."""
    parameter = nn.Parameter(values, requires_grad=old.requires_grad)
    vars(parameter).update(vars(old))
    for hook in (old._backward_hooks or {}).values():
        parameter.register_hook(hook)
    for hook in (old._post_accumulate_grad_hooks or {}).values():
        parameter.register_post_accumulate_grad_hook(hook)
    return parameter


def _memory_format(tensor: Tensor) -> torch.memory_format:
    if not tensor.is_contiguous():
        for ndim, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.ndim == ndim and tensor.is_contiguous(memory_format=layout):
                return layout
    return torch.contiguous_format


def _aliases(network: nn.Module) -> dict[str, list[str]]:
    """All names of each parameter, by its first."""
    first: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for name, tensor in network.named_parameters(remove_duplicate=False):
        names.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return names


def replace_tensors(
    network: Copy,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Put new tensors wherever the old ones are registered; a shared one stays shared."""
    if not isinstance(network, nn.Module):
        for first, tensor in new.items():
            for name in (aliases or {}).get(first, [first]):
                if name in network:
                    network[name] = tensor
        return
    successors = {id(old[name]): tensor for name, tensor in new.items()}
    for module in network.modules():
        for registry in (module._parameters, module._buffers):
            for key, registered in registry.items():
                if id(registered) in successors:
                    registry[key] = successors[id(registered)]  # type: ignore[assignment]


def check_optimizer(
    optimizer: Optimizer, state: Mapping[str, Tensor], selections: Mapping[str, Mapping[int, Tensor]]
) -> None:
    """Refuse another network's optimiser, and states of which nobody knows what a cut would do to them."""
    if isinstance(optimizer, LBFGS):
        raise WiringError(
            "LBFGS keeps its past steps of all parameters in one row, which cannot be cut with the channels; "
            "use SGD, Adam or AdamW, or make a new LBFGS after the cut"
        )
    own = {id(tensor) for tensor in state.values()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise WiringError(
            f"the {type(optimizer).__name__} holds none of the network's parameters; give the optimiser that "
            "trains this network"
        )
    for name in selections:
        parameter = state[name]
        for key, value in optimizer.state.get(parameter, {}).items():
            plain = not isinstance(value, Tensor | list | tuple | dict) or (
                isinstance(value, Tensor) and (value.shape == parameter.shape or value.numel() <= 1)
            )
            if not plain:
                raise WiringError(
                    f"{type(optimizer).__name__} keeps {key!r} for {name} in a shape of its own, which "
                    "cannot be cut with the channels; use SGD, Adam or AdamW"
                )


def _carried(
    optimizer: Optimizer,
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    selections: Mapping[str, Mapping[int, Tensor]],
) -> tuple[list[list[Tensor]], dict[str, dict[str, Any]]]:
    """The parameters of each group, and the states by the parameter's name, as they will be."""
    names = {id(old[name]): name for name in new}
    groups = [
        [new[names[id(p)]] if id(p) in names else p for p in group["params"]]
        for group in optimizer.param_groups
    ]
    states = {
        name: {
            key: _select(value, selections[name])
            if isinstance(value, Tensor) and value.shape == old[name].shape
            else value
            for key, value in optimizer.state[old[name]].items()
        }
        for name in new
        if old[name] in optimizer.state
    }
    return groups, states


def _sizes(network: nn.Module, graph: ChannelGraph) -> list[tuple[nn.Module, str, int]]:
    """What modules repeat as attributes, as it will be."""
    modules, sizes = dict(network.named_modules()), []
    for sized in graph.sizes:
        module, count = modules[sized.module], len(sized.channels)
        before = getattr(module, sized.attribute)
        if sized.attribute == "out_channels" and getattr(module, "groups", 1) > 1:
            sizes.append((module, "groups", module.groups * count // before))
        if sized.attribute == "num_channels":
            sizes.append((module, "num_groups", module.num_groups * count // before))
        sizes.append((module, sized.attribute, count))
    return sizes
