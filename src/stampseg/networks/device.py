"""Where a network lives: device, seeds, memory format."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from ..core.errors import ConfigError

USABLE = "cpu, cuda, cuda:1 or mps"
_KINDS = {"cpu": "processor", "cuda": "NVIDIA or AMD GPU", "mps": "Apple GPU"}
_THERE: Mapping[str, Callable[[], int]] = {  # how many of each kind are there
    "cpu": lambda: 1,
    "cuda": torch.cuda.device_count,
    "mps": lambda: int(torch.backends.mps.is_available()),
}


def resolve_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: the name is unknown, or the machine has no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"`device` {name!r}: no such device; use {USABLE}") from None
    if device.type not in _THERE:
        raise ConfigError(f"`device` {name!r}: not supported; use {USABLE}")
    number = _THERE[device.type]()
    if not number:
        raise ConfigError(
            f"`device` {name}: PyTorch finds no {_KINDS[device.type]} on this machine; leave out `device` to "
            "compute on the processor"
        )
    if (device.index or 0) >= number:
        names = ", ".join(f"{device.type}:{place}" for place in range(number))
        raise ConfigError(f"`device` {name}: not on this machine, which has {names}")
    return device


def devices_of(device: torch.device, count: int) -> list[torch.device]:
    """The devices of several processes: the processor for all, or one GPU for each.

    Raises:
        ConfigError: there are fewer, one of several is named, or their kind does not work together.
    """
    if count == 1:
        return [device]
    if device.type == "cpu":
        return [device] * count
    if device.type != "cuda":
        raise ConfigError(f"`devices` {count}: of cpu or cuda, not of {device.type}; leave out `devices`")
    if str(device) != "cuda":
        raise ConfigError(
            f"`devices` {count} with `device` {device}: one GPU is named; give `device` cuda, or leave out "
            "`devices`"
        )
    there = torch.cuda.device_count()
    if count > there:
        raise ConfigError(f"`devices` {count}: this machine has {there} of kind cuda; give at most as many")
    return [torch.device("cuda", place) for place in range(count)]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def memory_format(spatial_dims: int, device: torch.device) -> torch.memory_format:
    """Channels last: two to four times faster than contiguous in narrow networks on CPU."""
    if device.type == "mps":  # has no 3D channels last
        return torch.contiguous_format
    return torch.channels_last if spatial_dims == 2 else torch.channels_last_3d


def lay_out(network: nn.Module, spatial_dims: int, device: torch.device) -> nn.Module:
    """The network on the device, its convolution weights laid out as `memory_format` says."""
    return network.to(device).to(memory_format=memory_format(spatial_dims, device))  # type: ignore[call-overload]
