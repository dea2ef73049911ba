"""Networks without memory: built on the meta device, with the small constants that they need real.

Layers make their parameters with `torch.empty`; on the meta device these take no memory. What a
constructor computes (a table of positions, a ramp of rates, a constant kernel) it makes with
`arange`, `linspace`, `zeros` and the like: on the meta device its values would be lost, and a
constructor that looks at one fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.overrides import TorchFunctionMode

from ..core.errors import ConfigError

MOST_VALUES = 2**26  # of all constants of a network: 256 MiB as float32

# Those that make values, rather than room for them as torch.empty does.
_FACTORIES = frozenset(
    (torch.arange, torch.eye, torch.full, torch.linspace, torch.logspace, torch.ones, torch.zeros,
     torch.rand, torch.randint, torch.randn, torch.randperm, torch.scalar_tensor, torch.tensor,
     torch.tril_indices, torch.triu_indices, torch.hann_window, torch.hamming_window)
)  # fmt: skip


class _ConstantsOnCpu(TorchFunctionMode):
    """Every factory of values makes them on the CPU unless it is told where, up to a number of values."""

    def __init__(self) -> None:
        super().__init__()
        self.left = MOST_VALUES

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _FACTORIES and kwargs.get("device") is None:
            self._allow(func, args, kwargs)
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)

    def _allow(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Count the values on the meta device first, where they take no memory."""
        try:
            self.left -= func(*args, **{**kwargs, "device": "meta"}).numel()
        except (NotImplementedError, TypeError, RuntimeError):
            return  # what has no form there, or fails here as there
        if self.left < 0:
            raise ConfigError(f"its arguments ask for constants of more than {MOST_VALUES:,} values")


@contextmanager
def real_constants() -> Iterator[None]:
    """Within `torch.device("meta")`: constants keep their values; the random state is left as it was."""
    with torch.random.fork_rng(devices=[]), _ConstantsOnCpu():
        yield


@contextmanager
def on_meta() -> Iterator[None]:
    """Build any module here: its parameters take no memory, its constants are real.

    Afterwards every parameter that a layer made is on the meta device. Buffers, and tensors held as
    plain attributes, are on the CPU with the values that the constructor gave them, so that nothing
    is lost of what no file stores; made by `torch.empty` alone, they are on the meta device.
    """
    with torch.device("meta"), real_constants():
        yield


def building_on_meta() -> bool:
    """Whether tensors are made on the meta device at the moment."""
    return torch.empty(0).device.type == "meta"  # torch.get_default_device() does not see through other modes


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
