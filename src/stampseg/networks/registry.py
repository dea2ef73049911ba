"""Networks by name with arguments: what a model file stores instead of code."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..config import Options
from ..errors import ConfigError
from .unet import UNet

_BUILDERS: dict[str, type[nn.Module]] = {"unet": UNet}


class NetworkSpec(Options):
    """A network that can be built again: its name, its arguments, an input it accepts."""

    name: str
    arguments: dict[str, Any]
    example_shape: tuple[int, ...]  # (1, C, *S)

    def build(self) -> nn.Module:
        """Construct it, with fresh weights, on the current default device.

        Raises:
            ConfigError: the name is unknown or the arguments do not fit.
        """
        builder = _BUILDERS.get(self.name)
        if builder is None:
            raise ConfigError(f"network {self.name!r} is not known; known are {', '.join(sorted(_BUILDERS))}")
        try:
            return builder(**self.arguments)
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            raise ConfigError(f"network {self.name!r} does not take these arguments: {error}") from None
