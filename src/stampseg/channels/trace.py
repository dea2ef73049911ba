"""Run a network once on an example and learn which of its channels live and die together.

Every torch function that the network calls is seen on its way (`tracer.py`). What is not
understood is frozen, and what was understood is rehearsed: a copy is cut and followed again, so
that sizes written in the network's own code come to light. Numbers that code computes from a
width (such as a scale of 1 / sqrt(channels)) cannot: `proof.py` finds those.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ..core.errors import WiringError
from .graph import ChannelGraph
from .rehearsal import rehearsed
from .tracer import REGISTRIES, Tracer


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
    try:
        tracer = follow(network, example.to("meta"), _on_meta(network))
        example = example.to("meta")
    except Exception:  # whatever it was, the run for real shows it again
        tracer = follow(network, example, None)
    graph = tracer.finish()
    if not graph.groups:
        raise WiringError(f"{type(network).__name__} has no convolution or linear layer that could be traced")
    return rehearsed(network, graph, example, follow, tracer.output_shapes) if rehearse else graph


def _check(network: nn.Module, example: Tensor) -> None:
    if not isinstance(example, Tensor) or example.ndim < 2:
        found = f"shape {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise WiringError(
            f"the example has {found}; give one tensor (B, C, *S), such as torch.zeros(1, 1, 64, 64); "
            "networks of several inputs cannot be traced: wrap them in a module of one"
        )
    for module in network.modules():
        if isinstance(module, DataParallel | DistributedDataParallel):
            raise WiringError(
                f"{type(module).__name__} keeps the old parameters after a cut; cut its .module, and wrap it "
                "again"
            )


def follow(network: nn.Module, example: Tensor, state: Mapping[str, Tensor] | None) -> Tracer:
    """Both passes; with `state` in place of the network's own parameters and buffers."""
    tracer = Tracer(network, state)
    for training in (False, True):
        with _untouched(network, real=state is None), torch.no_grad():
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


@contextmanager
def _untouched(network: nn.Module, real: bool) -> Iterator[None]:
    """Put back afterwards what a forward pass may change in modules, buffers and random states."""
    before = [(module, _held(module), dict(module._buffers)) for module in network.modules()]
    values = [(buffer, buffer.detach().clone()) for buffer in network.buffers()] if real else []
    cuda = sorted({p.device.index for p in network.parameters() if p.device.type == "cuda"})
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for module, held, buffers in before:
            _put_back(module, held)
            if isinstance(module._buffers, dict):  # in TorchScript they are out of reach
                module._buffers.clear()
                module._buffers.update(buffers)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


def _held(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Attributes, and what is in those that are lists or dictionaries."""
    return {
        name: (value, value.copy() if isinstance(value, list | dict) else None)
        for name, value in vars(module).items()
        if name not in REGISTRIES or name == "training"
    }


def _put_back(module: nn.Module, held: Mapping[str, tuple[Any, Any]]) -> None:
    for name in [name for name in vars(module) if name not in held and name not in REGISTRIES]:
        del vars(module)[name]
    for name, (value, content) in held.items():
        vars(module)[name] = value
        if isinstance(value, list):
            value[:] = content
        elif isinstance(value, dict):
            value.clear()
            value.update(content)
