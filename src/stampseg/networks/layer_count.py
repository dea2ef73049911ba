"""A bound on how many layers a constructor makes, whatever its arguments ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from ..core.errors import ConfigError


@contextmanager
def at_most_layers(limit: int) -> Iterator[None]:
    """Within it, the layer after the last one allowed is refused.

    Raises:
        ConfigError: more than `limit` layers are put into others.
    """
    made = 0

    def count(parent: nn.Module, name: str, layer: Any) -> None:
        nonlocal made
        made += 1
        if made > limit:
            raise ConfigError(f"its arguments make more than {limit:,} layers")

    handle = register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
