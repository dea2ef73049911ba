"""A network and what trains it at one moment, to go back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from .dropout import TargetedDropout
from .graph import ChannelGraph
from .module_kinds import COUNTED
from .surgery import Copy, plain_copy, replace_tensors, state_of, successor

_ATTRIBUTES = (*COUNTED, "groups", "num_groups")


@dataclass(frozen=True)
class Snapshot:
    """A network, its optimiser and its copies at one moment, to go back to after a cut that did not heal."""

    graph: ChannelGraph
    tensors: tuple[Mapping[str, Tensor], ...]  # of the network, then of each copy
    attributes: Mapping[str, Mapping[str, Any]]
    optimizer: Mapping[str, Mapping[str, Any]]


def snapshot(
    network: nn.Module, graph: ChannelGraph, optimizer: Optimizer, copies: Sequence[Copy] = ()
) -> Snapshot:
    """Copy everything that training and cuts change."""
    names = {id(p): name for name, p in network.named_parameters()}
    modules = dict(network.named_modules())
    return Snapshot(
        graph=graph,
        tensors=tuple(
            {name: tensor.detach().clone() for name, tensor in state_of(plain_copy(twin)).items()}
            for twin in (network, *copies)
        ),
        attributes={
            sized.module: {
                a: getattr(modules[sized.module], a) for a in _ATTRIBUTES if hasattr(modules[sized.module], a)
            }
            for sized in graph.sizes
        },
        optimizer={
            names[id(p)]: {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
            for p, state in optimizer.state.items()
            if id(p) in names
        },
    )


def restore(
    network: nn.Module, optimizer: Optimizer, then: Snapshot, copies: Sequence[Copy] = ()
) -> ChannelGraph:
    """Put a network, its optimiser and its copies back to a snapshot, whatever was cut since.

    Learning rates stay as they are now: they belong to the schedule, not to the snapshot.
    """
    old = state_of(network)
    new: dict[str, Tensor] = {}
    for twin, tensors in zip((network, *copies), then.tensors, strict=True):
        plain = plain_copy(twin)
        successors = _successors(state_of(plain), tensors)
        new = new or successors  # the network's own come first
        replace_tensors(plain, state_of(plain), successors)
        if isinstance(plain, nn.Module):
            _set_attributes(plain, then.attributes)
    for module in network.modules():  # the copies drop nothing
        if isinstance(module, TargetedDropout):
            module.look()
    names = {id(old[name]): name for name in new}
    for group in optimizer.param_groups:
        group["params"][:] = [new[names[id(p)]] if id(p) in names else p for p in group["params"]]
    for parameter in [p for p in optimizer.state if id(p) in names]:
        del optimizer.state[parameter]
    for name, state in then.optimizer.items():
        optimizer.state[new[name]] = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    return then.graph


def _successors(old: Mapping[str, Tensor], then: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the tensors of a snapshot, parameters where there are parameters now."""
    return {
        name: successor(previous, tensor.clone())
        if isinstance(previous := old[name], nn.Parameter)
        else tensor.clone()
        for name, tensor in then.items()
    }


def _set_attributes(network: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    modules = dict(network.named_modules())
    for name, values in attributes.items():
        for attribute, value in values.items():
            setattr(modules[name], attribute, value)
