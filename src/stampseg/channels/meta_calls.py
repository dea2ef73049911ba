"""Calls on the meta device without torch's decomposition of them.

That of norms takes most of a trace's time, and that of others imports a second's worth of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def call_on_meta(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """What a norm, a convolution, a max pooling or `cat` would give, without values; None where torch has to.

    Raises:
        RuntimeError: a parameter or statistic is of another number of channels, as torch would say.
    """
    shortcut = _SHORTCUTS.get(func)
    return None if shortcut is None else shortcut(*args, **kwargs)


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
    return _empty_like(input)


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
    return _empty_like(input)


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor | None:
    """None for all but images of the channels that the weight takes, with as many numbers as axes."""
    if not _is_plain(input, weight.ndim) or input.dtype != weight.dtype or weight.shape[0] % groups:
        return None
    if input.shape[1] != weight.shape[1] * groups or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return _windows(input, weight.shape[0], tuple(weight.shape[2:]), stride, padding, dilation)


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor | None:
    """As a convolution; None where it does not step by whole windows, which is what networks do."""
    axes = weight.ndim - 2
    if not _is_plain(input, weight.ndim) or input.dtype != weight.dtype or input.shape[1] != weight.shape[0]:
        return None
    usual = [_each(value, axes) for value in (padding, output_padding, dilation)] == [(0,) * axes] * 2 + [
        (1,) * axes
    ]
    steps, channels = _each(stride, axes), weight.shape[1] * groups
    if not usual or steps is None or (bias is not None and bias.shape != (channels,)):
        return None
    kernel = weight.shape[2:]
    sizes = [
        (size - 1) * step + width for size, step, width in zip(input.shape[2:], steps, kernel, strict=True)
    ]
    return torch.empty((input.shape[0], channels, *sizes), dtype=input.dtype, device="meta")


def _max_pool(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    kernel = _each(kernel_size, input.ndim - 2)
    if kernel is None or ceil_mode or return_indices or padding not in (0, (0,) * len(kernel)):
        return None
    if not _is_plain(input, input.ndim) or input.ndim < 3:
        return None
    return _windows(
        input, input.shape[1], kernel, kernel_size if stride is None else stride, padding, dilation
    )


def _is_plain(input: Tensor, axes: int) -> bool:
    return input.is_meta and input.is_contiguous() and input.ndim == axes


def _windows(
    input: Tensor,
    channels: int,
    kernel: tuple[int, ...],
    stride: int | Sequence[int],
    padding: str | int | Sequence[int],
    dilation: int | Sequence[int],
) -> Tensor | None:
    """What windows that slide over (B, C, *S) give; None where they do not fit."""
    axes = len(kernel)
    steps, padded, apart = (_each(value, axes) for value in (stride, padding, dilation))
    if steps is None or padded is None or apart is None:
        return None
    each = zip(input.shape[2:], kernel, steps, padded, apart, strict=True)
    sizes = [(size + 2 * pad - gap * (width - 1) - 1) // step + 1 for size, width, step, pad, gap in each]
    if min(sizes) < 1:
        return None
    return torch.empty((input.shape[0], channels, *sizes), dtype=input.dtype, device="meta")


def _each(value: str | int | Sequence[int], axes: int) -> tuple[int, ...] | None:
    if isinstance(value, int):
        return (value,) * axes
    return tuple(value) if not isinstance(value, str) and len(value) == axes else None


def _cat(tensors: Sequence[Tensor], dim: int = 0, **others: Any) -> Tensor | None:
    """None for all but tensors of one type, whose other axes agree."""
    first, *more = tensors
    if others or not isinstance(dim, int):
        return None
    axis = dim + first.ndim if dim < 0 else dim
    if not 0 <= axis < first.ndim or not all(_is_plain(tensor, first.ndim) for tensor in tensors):
        return None
    around = [(*tensor.shape[:axis], *tensor.shape[axis + 1 :]) for tensor in tensors]
    if any(tensor.dtype != first.dtype for tensor in more) or len(set(around)) > 1:
        return None
    length = sum(tensor.shape[axis] for tensor in tensors)
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return torch.empty(shape, dtype=first.dtype, device="meta")


def _empty_like(input: Tensor) -> Tensor:
    if not input.is_contiguous():
        return torch.empty_like(input)
    return torch.empty(input.shape, dtype=input.dtype, device="meta")


def _check(input: Tensor, **per_channel: Tensor | None) -> None:
    for name, tensor in per_channel.items():
        if tensor is not None and tensor.numel() != input.shape[1]:
            raise RuntimeError(f"{name} should contain {input.shape[1]} elements not {tensor.numel()}")


_SHORTCUTS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
    torch.cat: _cat,
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed),
    **dict.fromkeys((F.max_pool1d, F.max_pool2d, F.max_pool3d), _max_pool),
}
