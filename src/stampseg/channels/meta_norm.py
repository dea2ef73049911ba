"""Norms on the meta device without torch's decomposition of them, which takes most of a trace's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def norm_on_meta(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """What `F.batch_norm` or `F.instance_norm` would give, without values; None where torch has to.

    Raises:
        RuntimeError: a parameter or statistic is of another number of channels, as torch would say.
    """
    if func is F.batch_norm:
        return _batch_norm(*args, **kwargs)
    if func is F.instance_norm:
        return _instance_norm(*args, **kwargs)
    return None


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if not input.is_meta or training or running_mean is None or running_var is None:
        return None
    _check(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    return torch.empty_like(input)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if not input.is_meta or not use_input_stats or input.ndim < 3 or input.shape[2:].numel() < 2:
        return None
    _check(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    return torch.empty_like(input)


def _check(input: Tensor, **per_channel: Tensor | None) -> None:
    for name, tensor in per_channel.items():
        if tensor is not None and tensor.numel() != input.shape[1]:
            raise RuntimeError(f"{name} should contain {input.shape[1]} elements not {tensor.numel()}")
