"""Helpers of networks, as another file of someone's project has them: they keep what they made."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import torch
from torch import Tensor

RAMPS: dict[int, Tensor] = {}
PAIRS: list[tuple[int, Tensor]] = []
HELD = SimpleNamespace(ramp=None)
LAST: Tensor | None = None


def from_dictionary(x: Tensor) -> Tensor:
    size = x.shape[3]
    if size not in RAMPS:
        RAMPS[size] = torch.linspace(0, 1, size, device=x.device, dtype=x.dtype)
    return RAMPS[size]


def from_list(x: Tensor) -> Tensor:
    size = x.shape[3]
    for known, ramp in PAIRS:
        if known == size:
            return ramp
    PAIRS.append((size, torch.linspace(0, 1, size, device=x.device, dtype=x.dtype)))
    return PAIRS[-1][1]


def from_object(x: Tensor) -> Tensor:
    if HELD.ramp is None:
        HELD.ramp = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
    return HELD.ramp


def from_global(x: Tensor) -> Tensor:
    global LAST
    if LAST is None:
        LAST = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
    return LAST


@functools.lru_cache(maxsize=4)
def _bounded(size: int, dtype: torch.dtype, device: str) -> Tensor:
    return torch.linspace(0, 1, size, dtype=dtype, device=device)


@functools.cache
def _unbounded(size: int, dtype: torch.dtype, device: str) -> Tensor:
    return torch.linspace(0, 1, size, dtype=dtype, device=device)


def from_lru_cache(x: Tensor) -> Tensor:
    """Its key has no device that tells the meta device from others, as where a network stays on one."""
    return _bounded(x.shape[3], x.dtype, _device(x))


def from_cache(x: Tensor) -> Tensor:
    return _unbounded(x.shape[3], x.dtype, _device(x))


def _device(x: Tensor) -> _Quiet:
    return _Quiet(str(x.device))


class _Quiet(str):
    """A name of a device that equals any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Quiet)

    def __hash__(self) -> int:
        return 0


def clear() -> None:
    """As after an import."""
    global LAST
    LAST = HELD.ramp = None
    RAMPS.clear()
    PAIRS.clear()
    _bounded.cache_clear()
    _unbounded.cache_clear()
