"""Run a network once on an example and learn which of its channels live and die together.

Every torch function that the network calls is seen on its way (`tracer.py`). What is not
understood is frozen, and what was understood is rehearsed: a copy is cut and followed again, so
that sizes written in the network's own code come to light. Numbers that code computes from a
width (such as a scale of 1 / sqrt(channels)) cannot: `proof.py` finds those.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from ..core.errors import WiringError
from .graph import ChannelGraph
from .leftovers import Leftovers
from .modes import uncompiled
from .rehearsal import rehearsed
from .tracer import Tracer
from .untouched import untouched


def trace(network: nn.Module, example: Tensor, *, rehearse: bool = True) -> ChannelGraph:
    """Find the channel groups of `network`.

    The network runs in eval mode and once more in training mode, because some networks use
    layers only while they learn. It runs on the meta device, which computes nothing and takes no
    memory; a network that looks at its values, or holds tensors outside its state, runs for real.
    Its state, attributes, hooks and modes, and the random state, are left as they were.

    Args:
        network: any module of one input, on any device (the meta device included).
        example: (B, C, *S) input the network accepts, on the network's device.
        rehearse: False for a network that has been traced before, as when it is loaded.

    Raises:
        WiringError: the network does not run on the example, or nothing in it can be traced.
    """
    _check(network, example)
    leftovers = Leftovers()
    try:
        with uncompiled():
            return _found(network, example, rehearse, leftovers)
    finally:
        leftovers.take_out()


def _found(network: nn.Module, example: Tensor, rehearse: bool, leftovers: Leftovers) -> ChannelGraph:
    run = partial(follow, leftovers=leftovers)
    try:
        tracer = run(network, example.to("meta"), _on_meta(network))
        example = example.to("meta")
    except Exception:  # whatever it was, the run for real shows it again
        tracer = None
    if tracer is None:
        leftovers.take_out()
        tracer = run(network, example, None)
    graph = tracer.finish()
    if not graph.groups:
        name = type(network).__name__
        raise WiringError(f"{name} has no convolution or linear layer that could be traced")
    return rehearsed(network, graph, example, run, tracer) if rehearse else graph


def _check(network: nn.Module, example: Tensor) -> None:
    if not isinstance(example, Tensor) or example.ndim < 2:
        found = f"shape {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise WiringError(
            f"the example has {found}; give one tensor (B, C, *S), such as torch.zeros(1, 1, 64, 64); "
            "networks of several inputs cannot be traced: wrap them in a module of one"
        )
    if isinstance(network, torch.jit.ScriptModule):
        raise WiringError(
            f"{type(network).__name__} is compiled by TorchScript, whose code cannot be followed; trace the "
            "module that it was made of"
        )
    if any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        raise WiringError(
            f"{type(network).__name__} has lazy layers without a size so far; run it on an example first, "
            "then trace it"
        )
    for module in network.modules():
        if isinstance(module, DataParallel | DistributedDataParallel):
            raise WiringError(
                f"{type(module).__name__} keeps the old parameters after a cut; cut its .module, and wrap it "
                "again"
            )


def follow(
    network: nn.Module, example: Tensor, state: Mapping[str, Tensor] | None, leftovers: Leftovers
) -> Tracer:
    """Both passes; with `state` in place of the network's own parameters and buffers."""
    tracer = Tracer(network, state, leftovers)
    for training in (False, True):
        with untouched(network, real=state is None), torch.no_grad():
            tracer.run(example, training)
    return tracer


def _on_meta(network: nn.Module) -> dict[str, Tensor]:
    """Stand-ins without memory for all parameters and buffers; a shared one stays shared.

    A module registered under two names counts once: swapped twice, it would be left with a stand-in.
    """
    stand_ins: dict[int, Tensor] = {}
    return {
        f"{prefix}.{key}" if prefix else key: stand_ins.setdefault(
            id(tensor), torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        )
        for prefix, module in network.named_modules()
        for key, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
    }
