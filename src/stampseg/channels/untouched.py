"""A network as it was, whatever forward passes and cuts did to it meanwhile."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .call import tensors_in

_LRU = type(lru_cache(len))  # what remembers the results of a function
REGISTRIES = frozenset(vars(nn.Module()))

DEEPEST = 3  # containers in containers, where a network may keep tensors
LARGEST = 1000  # entries of such a container; lists of files and the like are longer
_NO_CACHES = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, nn.Module, Tensor)


@contextmanager
def untouched(network: nn.Module, real: bool) -> Iterator[None]:
    """Put back afterwards what a forward pass or a cut may change: in modules, caches, random states.

    Args:
        network: with its parameters and buffers, attributes and modes.
        real: whether the pass computes with the network's own buffers, whose values are put back too.
    """
    before = [(m, _held(m), dict(m._parameters), dict(m._buffers)) for m in network.modules()]
    caches = _caches(network)
    values = [(buffer, buffer.detach().clone()) for buffer in network.buffers()] if real else []
    cuda = sorted({p.device.index for p in network.parameters() if p.device.type == "cuda"})
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for cache in caches:
            cache()
        for module, held, parameters, buffers in before:
            _put_back(module, held)
            both: Any = ((module._parameters, parameters), (module._buffers, buffers))
            for registry, tensors in both:
                if isinstance(registry, dict):  # in TorchScript they are out of reach
                    registry.clear()
                    registry.update(tensors)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


@contextmanager
def stand_ins(network: nn.Module, make: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Other tensors in place of all parameters and buffers for a while; cuts meanwhile are undone.

    Unlike a copy that is possible with every network, and code that holds on to the network meets them.

    Args:
        network: afterwards as it was.
        make: what stands in for a tensor, of any device and type; a shared one stays shared.
    """
    new: dict[int, Tensor] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        made = make(tensor.detach())
        parameter = isinstance(tensor, nn.Parameter)
        new[id(tensor)] = nn.Parameter(made, tensor.requires_grad) if parameter else made
    with untouched(network, real=False):
        for module in network.modules():
            held = vars(module)  # registries, attributes, and lists and dictionaries among them
            for place in (held, *(value for value in held.values() if isinstance(value, list | dict))):
                for key, value in list(place.items() if isinstance(place, dict) else enumerate(place)):
                    if isinstance(value, Tensor) and id(value) in new:
                        place[key] = new[id(value)]
        yield


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


def _caches(network: nn.Module) -> list[Callable[[], None]]:
    """For each place beyond attributes where code may keep tensors: what takes out those that are new."""
    classes = {c for m in network.modules() for c in type(m).__mro__ if c.__module__.split(".")[0] != "torch"}
    around = [vars(sys.modules[name]) for name in {c.__module__ for c in classes} if name in sys.modules]
    waiting = [
        (value, DEEPEST)
        for held in (*map(vars, network.modules()), *map(vars, classes), *around)
        for name, value in held.items()
        if name not in REGISTRIES
    ]
    found = {id(names): _takes_out(names) for names in around}
    while waiting:
        value, depth = waiting.pop()
        kind = type(value)  # isinstance would ask objects that only stand for others
        if kind is _LRU:
            found[id(value)] = _clears(value)
            continue
        if not issubclass(kind, dict | list | deque):
            if issubclass(kind, _NO_CACHES) or not kind.__dictoffset__:
                continue
            value = vars(value)
        if depth and id(value) not in found and len(value) <= LARGEST:
            found[id(value)] = _takes_out(value)
            inside = value.values() if isinstance(value, dict) else value
            waiting += [(item, depth - 1) for item in inside]
    return list(found.values())


def _takes_out(cache: Any) -> Callable[[], None]:
    before = cache.copy()

    def take_out() -> None:
        if isinstance(cache, dict):
            for key in [k for k, v in cache.items() if v is not before.get(k) and tensors_in(v)]:
                if key in before:
                    cache[key] = before[key]
                else:
                    del cache[key]
        elif any(tensors_in(item) for item in cache if not any(item is old for old in before)):
            cache.clear()
            cache.extend(before)

    return take_out


def _clears(cached: Any) -> Callable[[], None]:
    misses = cached.cache_info().misses

    def clear() -> None:
        if cached.cache_info().misses != misses:
            cached.cache_clear()

    return clear
