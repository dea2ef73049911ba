"""Layers that look at a whole batch, where several processes pass a share of it each.

The statistics of a batch norm are those of all rows, forwards and backwards; dropout draws for all rows, and
each process takes what was drawn for its own: so the numbers, and the states of the generators, are those of
one process. The network keeps its modules: calls are changed on their way, as in `networks/narrow_layers.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from ..channels.dropout import channel_dropout
from ..core.errors import ConfigError, WiringError
from ..networks.narrow_layers import narrow_layers
from ..networks.registry import NetworkSpec
from .team import Team

UNET = "unet"
ROUNDING = 1e-3  # of the largest value

_DRAWING = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    channel_dropout,
)  # fmt: skip


def shared_layers(team: Team, rows: int) -> AbstractContextManager[object]:
    """Within it layers that look at a whole batch do so, of which `rows` there are in all processes."""
    return nullcontext() if team.size == 1 else _SharedLayers(team, rows)


class _SharedLayers(TorchFunctionMode):
    """Within it a forward pass of some rows of a batch does what it would do within the pass of all.

    Args:
        team: the processes.
        rows: of the whole batch.
    """

    def __init__(self, team: Team, rows: int) -> None:
        super().__init__()
        self.team, self.total = team, rows
        self.place = team.share.rows(rows)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func in _DRAWING:
            return self._drawn(func, *args, **kwargs)
        return func(*args, **kwargs)

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        y, mean, variance, count = _BatchNorm.apply(x, weight, bias, eps, self.team)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                unbiased = variance * (count / (count - 1).clamp(min=1))
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
        return y

    def _drawn(self, func: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """A dropout of all rows, of which those of this process hold its values."""
        if not kwargs.get("training", kwargs.get("active", args[1] if len(args) > 1 else True)):
            return func(x, *args, **kwargs)
        own = self.place.stop - self.place.start
        if len(x) % own:
            raise WiringError(
                f"the network drops parts of a tensor of shape {tuple(x.shape)} whose first axis is not that "
                f"of the batch ({own} here), which cannot be shared out; leave out `devices`"
            )
        each = len(x) // own  # windows of one example, in networks that cut it up
        first = self.place.start * each
        x = x.contiguous(memory_format=_layout(x))
        # as one process would hold it: draws are made in the order of memory
        shape, strides = (self.total * each, *x.shape[1:]), (x[0].numel(), *x.stride()[1:])
        whole = torch.empty_strided(shape, strides, dtype=x.dtype, device=x.device).zero_()
        whole[first : first + len(x)] = x
        return func(whole, *args, **kwargs)[first : first + len(x)]


def prove_shared(network: nn.Module, spec: NetworkSpec, team: Team) -> None:
    """See that the rows of a batch, passed apart, are what they are in a pass of all, with the same chance.

    Of our own network the tests know it.

    Args:
        network: on the CPU, as it will be trained; left as it is.
        spec: of it.
        team: the processes, all of which call this at the same time.

    Raises:
        ConfigError: they are not: some layer looks at a batch in a way of its own.
    """
    if team.size == 1 or spec.name == UNET:
        return
    images = torch.randn((team.size, *spec.example_shape[1:]), generator=torch.Generator().manual_seed(0))
    chance = torch.get_rng_state()
    apart, at_once = (copy.deepcopy(network).train() for _ in range(2))
    with torch.no_grad(), narrow_layers():
        with shared_layers(team, team.size):
            output = apart(team.part(images))
        found = _plain(team.output(output, team.size), apart)
        torch.set_rng_state(chance)
        alike = team.answer(lambda: _alike(found, _plain(at_once(images), at_once)))
    torch.set_rng_state(chance)
    if not alike:
        raise ConfigError(
            f"`devices` {team.size}: {spec.name} looks at the images of a batch together, or draws at "
            "random, in a layer that is not known to share that out; leave out `devices`"
        )


def _plain(output: Any, network: nn.Module) -> list[Tensor]:
    """What a pass leaves: maps, statistics, and the state of chance."""
    buffers = [buffer.double() for buffer in network.buffers()]
    return [*_tensors(output), *buffers, torch.get_rng_state().double()]


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output.double()]
    values = output.values() if isinstance(output, Mapping) else output
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, Iterable) else []


def _alike(found: list[Tensor], expected: list[Tensor]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all((a - b).abs().max() <= ROUNDING * b.abs().max() for a, b in pairs if b.numel())


def _layout(x: Tensor) -> torch.memory_format:
    for ndim, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if x.ndim == ndim and x.is_contiguous(memory_format=layout):
            return layout
    return torch.contiguous_format


class _BatchNorm(torch.autograd.Function):
    """The batch norm of training over the rows of all processes: (B, C, *S) -> (B, C, *S), mean, variance (C)
    and number (C) of all values. Gradients of weight and bias are those of the rows of this process."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, team: Team
    ) -> tuple[Tensor, ...]:
        axes = [0, *range(2, x.ndim)]
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean = wide.mean(axes)
        spread = (wide - _along(mean, x)).square().sum(axes)
        own = torch.stack([torch.full_like(mean, x.numel() // x.shape[1]), mean, spread]).double()
        numbers, means, spreads = team.each(own).unbind(1)
        count = numbers.sum(0)
        both = (numbers * means).sum(0) / count
        variance = (spreads + numbers * (means - both).square()).sum(0) / count
        mean, inverse = both.to(wide.dtype), (variance + eps).rsqrt().to(wide.dtype)
        factor = inverse if weight is None else inverse * weight
        y = (wide - _along(mean, x)) * _along(factor, x)
        if bias is not None:
            y = y + _along(bias, x)
        ctx.save_for_backward(x, weight, mean, inverse, count.to(wide.dtype))
        ctx.team, ctx.has_bias = team, bias is not None
        ctx.mark_non_differentiable(both, variance, count)
        return y.to(x.dtype), both, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        axes = [0, *range(2, x.ndim)]
        gradient = gradients[0].to(mean.dtype)
        normal = (x - _along(mean, x)) * _along(inverse, x)
        own = torch.stack([gradient.sum(axes), (gradient * normal).sum(axes)])
        shift, slope = ctx.team.add(own.clone()) / count
        factor = inverse if weight is None else inverse * weight
        back = (gradient - _along(shift, x) - normal * _along(slope, x)) * _along(factor, x)
        return (
            back.to(x.dtype),
            own[1].to(weight.dtype) if weight is not None else None,
            own[0] if ctx.has_bias else None,
            None,
            None,
        )


def _along(values: Tensor, x: Tensor) -> Tensor:
    """(C,) in the shape of the channels of x."""
    return values.view(1, -1, *[1] * (x.ndim - 2))
