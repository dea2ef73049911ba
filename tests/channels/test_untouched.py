"""A trace leaves nothing in the places where a network's code keeps tensors."""

from __future__ import annotations

import functools
from collections import deque
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.trace import trace

from .small_networks import Net, build

AROUND: dict[int, Tensor] = {}


class Cached(Net):
    """Multiplies by a ramp that is made once; `cache` gives the dictionary where it is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(12, 12, 3, padding=1)
        self.kept: Any = self.start()

    def start(self) -> Any:
        return None

    def body(self, x: Tensor) -> Tensor:
        return self.one(x) * self.ramp(x)

    def ramp(self, x: Tensor) -> Tensor:
        cache = self.cache()
        if x.shape[3] not in cache:
            cache[x.shape[3]] = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
        return cache[x.shape[3]]

    def cache(self) -> dict[int, Tensor]:
        raise NotImplementedError


class Nested(Cached):
    def start(self) -> Any:
        return {"ramps": [{}]}

    def cache(self) -> dict[int, Tensor]:
        return self.kept["ramps"][0]


class InObject(Cached):
    def start(self) -> Any:
        return SimpleNamespace(ramps={})

    def cache(self) -> dict[int, Tensor]:
        return self.kept.ramps


class InClass(Cached):
    ramps: ClassVar[dict[int, Tensor]] = {}

    def cache(self) -> dict[int, Tensor]:
        return self.ramps


class InFile(Cached):
    def cache(self) -> dict[int, Tensor]:
        return AROUND


class AsAttribute(Cached):
    def start(self) -> Any:
        return SimpleNamespace(ramp=None)

    def ramp(self, x: Tensor) -> Tensor:
        if self.kept.ramp is None:
            self.kept.ramp = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
        return self.kept.ramp


class InQueue(Cached):
    def start(self) -> Any:
        return deque(maxlen=3)

    def ramp(self, x: Tensor) -> Tensor:
        self.kept.append(torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype))
        return sum(self.kept)


class Remembered(Cached):
    @functools.lru_cache(maxsize=4)  # noqa: B019
    def made(self, size: int) -> Tensor:
        return torch.linspace(0, 1, size, device=self.head.weight.device, dtype=self.head.weight.dtype)

    def ramp(self, x: Tensor) -> Tensor:
        return self.made(x.shape[3])


@pytest.mark.parametrize("kind", [Nested, InObject, InClass, InFile, AsAttribute, InQueue, Remembered])
def test_no_cache_keeps_a_tensor_of_the_trace(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    assert graph["stem.0"].frozen is None
    assert not AROUND and torch.isfinite(network(x)).all()
    AROUND.clear()
    InClass.ramps.clear()
