"""Batch norm folded into the convolution before it: one layer less to wait for, the same numbers.

In evaluation a batch norm multiplies and shifts each channel by fixed values, which the weights and
bias of the convolution can hold instead. Which norm belongs to which convolution is read from a
symbolic trace; where a network's own code cannot be traced, its parts are. Norms of instances,
groups and layers depend on the image and stay.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized

from .outputs import main_map

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
_TOLERANCE = 1e-4  # of the largest score; rounding is far below it, a wrong fold far above


def fold_norms(network: nn.Module, spatial_dims: int, example: Tensor) -> nn.Module:
    """A network for prediction only, whose batch norms are in its convolutions where that is exact.

    Args:
        network: in evaluation mode; it is not changed.
        spatial_dims: 2 or 3.
        example: (B, C, *S) input the network accepts; the folded network must agree with the given one on it,
            as uses of a weight beside its layer cannot all be seen.

    Returns:
        A copy with the norms folded, or `network` itself where none can be or the two disagree.
    """
    if not any(isinstance(module, _NORMS) for module in network.modules()):
        return network
    folded = copy.deepcopy(network).requires_grad_(False).eval()
    graphs = list(_graphs(folded, ""))
    pairs = sorted(set(_pairs(folded, graphs)))
    modules = dict(folded.named_modules())
    able = [(conv, norm) for conv, norm in pairs if _exact(modules[conv], modules[norm])]
    if not able:
        return network
    for conv, norm in able:
        _fold(modules[conv], modules[norm])
        folded.set_submodule(norm, nn.Identity())
    return folded if _agree(network, folded, example, spatial_dims) else network


def _fold(conv: Any, norm: Any) -> None:
    """Put the norm's factors into the convolution, in place."""
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
        transpose=conv.transposed,
    )  # fmt: skip


def _exact(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether the norm has fixed statistics and the convolution can hold them: weights that are computed from
    others, as by `spectral_norm`, cannot be replaced.
    """
    if any(is_parametrized(each) or each._forward_pre_hooks or each._forward_hooks for each in (conv, norm)):
        return False
    one_to_one = not (getattr(conv, "transposed", False) and getattr(conv, "groups", 1) > 1)
    return isinstance(norm, _NORMS) and norm.running_var is not None and one_to_one


def _pairs(network: nn.Module, graphs: Iterable[tuple[str, fx.Graph]]) -> Iterator[tuple[str, str]]:
    """Names of convolutions and of the norm that alone takes what each gives."""
    once = _used_once(network)
    for prefix, graph in graphs:
        called = [node for node in graph.nodes if node.op == "call_module"]
        kinds = {node: network.get_submodule(_join(prefix, str(node.target))) for node in called}
        calls = Counter(str(node.target) for node in called)
        for node in called:
            before = node.args[0] if node.args else None
            if not isinstance(before, fx.Node) or before not in kinds or len(before.users) > 1:
                continue
            conv, norm = str(before.target), str(node.target)
            names = _join(prefix, conv), _join(prefix, norm)
            alone = calls[conv] == calls[norm] == 1 and once.issuperset(names)
            if alone and isinstance(kinds[before], _CONVOLUTIONS) and isinstance(kinds[node], _NORMS):
                yield names


def _graphs(module: nn.Module, prefix: str) -> Iterator[tuple[str, fx.Graph]]:
    """The module's operations, or those of its parts where its own code asks for values or sizes."""
    try:
        yield prefix, fx.Tracer().trace(module)
    except Exception:  # whatever the network's code does with a stand-in for a tensor
        for name, child in module.named_children():
            if next(child.children(), None) is not None:
                yield from _graphs(child, _join(prefix, name))


def _used_once(network: nn.Module) -> set[str]:
    """Names of modules that stand at one place and share no parameter with another module."""
    places: dict[int, list[str]] = {}
    owners: dict[int, set[int]] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        places.setdefault(id(module), []).append(name)
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    shared = {owner for some in owners.values() if len(some) > 1 for owner in some}
    return {names[0] for key, names in places.items() if len(names) == 1 and key not in shared}


def _agree(network: nn.Module, folded: nn.Module, example: Tensor, spatial_dims: int) -> bool:
    exact = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    with torch.no_grad(), exact:
        expected, scores = (main_map(module(example), spatial_dims) for module in (network, folded))
    largest = float(expected.abs().max().clamp(min=1.0))
    return bool((scores - expected).abs().max() <= _TOLERANCE * largest)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
