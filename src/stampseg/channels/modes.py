"""Modes of a network for a while: evaluation, without compilation."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn


def set_mode(network: nn.Module, training: bool) -> None:
    """As `network.train(training)`; module by module where a `train` is another thing, as a training loop."""
    own = {m for m in network.modules() if type(m).train is not nn.Module.train or "train" in vars(m)}
    if all("mode" in inspect.signature(module.train).parameters for module in own):
        network.train(training)
    else:
        for module in network.modules():
            module.training = training


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode; afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in network.modules()]
    set_mode(network, False)
    try:
        yield network
    finally:
        for module, training in modes:
            module.training = training


def uncompiled() -> AbstractContextManager[object]:
    """What `torch.compile` wraps runs as it is written: each pass at another width would be compiled anew."""
    compiler = "torch._dynamo" in sys.modules  # nothing is compiled without it, and it takes long to import
    return torch.compiler.set_stance("force_eager") if compiler else nullcontext()
