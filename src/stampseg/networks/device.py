"""Where a network lives: device, seeds, memory format."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

from ..core.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigError: the name is unknown, or the machine has no such device.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"`device` {name}: not usable here ({reason}); use cpu, cuda or mps") from None
    return device


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
