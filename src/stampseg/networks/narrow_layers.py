"""Layers of few channels, several times faster on CPU than torch runs them by itself.

Norms: torch's kernels for the channels-last layout run along the channels, so a layer of 2 to 7, or
of 12, spends more time in its norm than in its convolution. Here rows of several voxels are taken
as one long row, so that every pass runs at the speed of memory.

Convolutions: torch gives one example of few channels (fewer than 20,480 rows of the last axis) to a
plain matrix product instead of oneDNN, at a tenth of the speed. Here oneDNN gets it.

The numbers are the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

WIDEST = 16  # from here on torch's own kernels are as fast
ROW = 128  # values that a row has at least


@contextmanager
def narrow_layers() -> Iterator[None]:
    """Norms and convolutions called inside run fast where they are narrow; all others are torch's own."""
    with _NarrowLayers():
        yield


class _NarrowLayers(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        if func is F.instance_norm:
            return _instance_norm(*args, **kwargs)
        if func in _CONVOLUTIONS:
            return _convolution(func, *args, **kwargs)
        if func in _UP_CONVOLUTIONS:
            return _up_convolution(func, *args, **kwargs)
        return func(*args, **kwargs)


_CONVOLUTIONS = (F.conv2d, F.conv3d)
_UP_CONVOLUTIONS = (F.conv_transpose2d, F.conv_transpose3d)


def _convolution(
    plain: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    axes = input.ndim - 2
    if not (_suits_onednn(input, weight) and isinstance(padding, int | tuple) and weight.ndim == input.ndim):
        return plain(input, weight, bias, stride, padding, dilation, groups)
    given = (padding, stride, dilation)
    per_axis = [(value,) * axes if isinstance(value, int) else tuple(value) for value in given]
    return torch.mkldnn_convolution(input, weight, bias, *per_axis, groups)  # type: ignore[arg-type, call-arg]


def _suits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether torch would keep a channels-last input from oneDNN, and should not."""
    if not _on_cpu_channels_last(x) or not torch.backends.mkldnn.is_available():
        return False
    small = x.shape[0] == 1 and x[0, ..., 0].numel() <= 20480
    pointwise = weight[0, 0].numel() == 1
    if pointwise and x.shape[1] == 1:
        return False
    return small or (pointwise and torch.get_num_threads() == 1)


def _up_convolution(
    plain: Callable[..., Tensor],
    input: Tensor,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """In the layout it was given, which torch loses for one example of few channels."""
    y = plain(input, *args, **kwargs)
    if not _on_cpu_channels_last(input):
        return y
    return y.contiguous(memory_format=torch.channels_last if y.ndim == 4 else torch.channels_last_3d)


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not is_narrow(x):
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training and running_mean is not None and running_var is not None:
        return _affine(x, running_mean, torch.rsqrt(running_var + eps), weight, bias)
    y, mean, variance = _Norm.apply(x, weight, bias, eps, False)
    if running_mean is not None and running_var is not None:
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean[0], momentum)
            running_var.lerp_(variance[0] * (count / max(1, count - 1)), momentum)
    return y


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats or running_mean is not None or not is_narrow(x):
        return F.instance_norm(x, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    return _Norm.apply(x, weight, bias, eps, True)[0]


def _affine(x: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """The norm of fixed statistics, as one pass over the rows."""
    factor = inverse if weight is None else inverse * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    rows = _rows(x, False)
    y = torch.addcmul(_along(shift[None], rows), rows, _along(factor[None], rows))
    return y.view(x.shape[0], *x.shape[2:], x.shape[1]).movedim(-1, 1)


def is_narrow(x: Tensor) -> bool:
    """Whether a norm of (B, C, *S) is narrow, float32, on the CPU and laid out channels last."""
    narrow = x.ndim > 2 and 1 < x.shape[1] < WIDEST and x.shape[1] != 8
    return narrow and x[0, 0].numel() > 1 and _on_cpu_channels_last(x)


def _on_cpu_channels_last(x: Tensor) -> bool:
    if x.ndim not in (4, 5) or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return x.is_contiguous(memory_format=layout)


def _rows(x: Tensor, each: bool) -> Tensor:
    """(B, C, *S) channels last -> a view (G, rows, k C); G is B with `each`, else 1."""
    groups, channels = x.shape[0] if each else 1, x.shape[1]
    voxels = x.numel() // (groups * channels)
    k = 1
    while k * channels < ROW and voxels % (2 * k) == 0:
        k *= 2
    return x.movedim(1, -1).reshape(groups, voxels // k, k * channels)


def _per_channel(sums: Tensor, channels: int) -> Tensor:
    """(G, k C) -> (G, C)."""
    return sums.view(len(sums), -1, channels).sum(1)


def _along(values: Tensor, rows: Tensor) -> Tensor:
    """(G, C) -> (G, 1, k C)."""
    return values.repeat(1, rows.shape[-1] // values.shape[-1])[:, None]


class _Norm(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias over a batch, or over each example."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, each: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        channels, rows = x.shape[1], _rows(x, each)
        count = rows.shape[1] * rows.shape[2] // channels
        mean = _per_channel(rows.sum(1), channels) / count
        out = torch.empty_like(x)  # not a view, so that an activation may work in place
        y = torch.sub(rows, _along(mean, rows), out=_rows(out, each))
        variance = _per_channel((y * y).sum(1), channels) / count
        inverse = torch.rsqrt(variance + eps)
        factor = inverse if weight is None else inverse * weight
        y.mul_(_along(factor, rows))
        if bias is not None:
            y.add_(_along(bias[None].expand_as(mean), rows))
        ctx.save_for_backward(x, mean, inverse, weight)
        ctx.each, ctx.count, ctx.has_bias = each, count, bias is not None
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, mean, inverse, weight = ctx.saved_tensors
        channels, rows = x.shape[1], _rows(x, ctx.each)
        layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        g = _rows(gradient.contiguous(memory_format=layout), ctx.each)
        of_bias = _per_channel(g.sum(1), channels)
        out = torch.empty_like(x)
        y = torch.sub(rows, _along(mean, rows), out=_rows(out, ctx.each))
        of_weight = _per_channel((y * g).sum(1), channels) * inverse
        factor = inverse if weight is None else inverse * weight
        slope = -factor * inverse * of_weight / ctx.count
        y.mul_(_along(slope, rows)).sub_(_along(factor * of_bias / ctx.count, rows))
        y.addcmul_(g, _along(factor, rows))
        return (
            out,
            None if weight is None else of_weight.sum(0),
            of_bias.sum(0) if ctx.has_bias else None,
            None,
            None,
        )
