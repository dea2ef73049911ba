"""Layers: convolutions, linear layers and norms, which own the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from .call import Pass, argument, data_input
from .graph import LayerCall
from .shared_rules import tie_within
from .wiring import Layout


def convolution(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """conv1d to conv3d: weight (out, in / groups, *kernel)."""
    x, weight, bias = (
        data_input(args, kwargs),
        argument(args, kwargs, 1, "weight"),
        argument(args, kwargs, 2, "bias"),
    )
    groups = argument(args, kwargs, 6, "groups", 1)
    return _layer(run, x, weight, bias, groups, out, out_dim=0)


def transposed_convolution(
    run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> Layout | None:
    """conv_transpose1d to 3d: weight (in, out / groups, *kernel)."""
    x, weight, bias = (
        data_input(args, kwargs),
        argument(args, kwargs, 1, "weight"),
        argument(args, kwargs, 2, "bias"),
    )
    groups = argument(args, kwargs, 6, "groups", 1)
    if groups != 1:
        return None
    return _layer(run, x, weight, bias, groups, out, out_dim=1)


def linear(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Linear on (B, features)."""
    x, weight, bias = (
        data_input(args, kwargs),
        argument(args, kwargs, 1, "weight"),
        argument(args, kwargs, 2, "bias"),
    )
    return _layer(run, x, weight, bias, 1, out, out_dim=0) if x.ndim == 2 else None


def _layer(
    run: Pass,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    out: Tensor,
    *,
    out_dim: int,
) -> Layout | None:
    name = run.state_name(weight)
    incoming = run.layout_or_frozen(x)
    if name is None or x.ndim != weight.ndim or (bias is not None and run.state_name(bias) is None):
        return None
    if groups > 1 and not run.runs(nn.modules.conv._ConvNd):
        return None  # the number of groups is written where a cut cannot reach it
    wiring, count = run.wiring, out.shape[1]
    known = wiring.places.get((name, out_dim))
    if groups > 1 and groups == x.shape[1]:  # depthwise: each channel is filtered by itself
        outgoing = np.repeat(incoming, count // groups)
    elif known is not None:
        outgoing = known[0]
    else:
        outgoing = wiring.new_block(name.removesuffix(".weight"), count, layer=True, transposed=out_dim == 1)
    if groups > 1:  # the channels of one convolution group, in and out, go together
        tie_within(run, [incoming, outgoing], groups)
    wiring.bind(name, out_dim, outgoing, "out")
    if groups == 1:
        wiring.bind(name, 1 - out_dim, incoming, "in")
    if bias is not None:
        wiring.bind(run.state_name(bias) or "", 0, outgoing)
    is_linear = x.ndim == 2 and weight.ndim == 2
    run.count_module("in_features" if is_linear else "in_channels", incoming)
    run.count_module("out_features" if is_linear else "out_channels", outgoing)
    return outgoing


def layer_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor, weight: str, places: int, transposed: bool
) -> LayerCall:
    """What a call of a convolution or linear layer is, for its cost."""
    x, w = data_input(args, kwargs), argument(args, kwargs, 1, "weight")
    if w.ndim <= 2 or x.ndim != w.ndim:
        return LayerCall(weight, places, places)
    axes, kernel = x.ndim - 2, w.shape[2:]
    dilation = _per_axis(argument(args, kwargs, 7 if transposed else 5, "dilation", 1), axes)
    padding = argument(args, kwargs, 4, "padding", 0)
    if padding == "same":
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    stride = _per_axis(argument(args, kwargs, 3, "stride", 1), axes)
    return LayerCall(
        weight,
        places,
        voxels=out.shape[2:].numel(),
        size=tuple(x.shape[2:]),
        options=(stride, _per_axis(0 if padding == "valid" else padding, axes), dilation),
        transposed=transposed,
    )


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def normalisation(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """batch_norm and instance_norm: (input, running_mean, running_var, weight, bias)."""
    layout = run.layout(data_input(args, kwargs))
    if layout is None:
        return None
    names = ("running_mean", "running_var", "weight", "bias")
    for index, name in enumerate(names, start=1):
        tensor = argument(args, kwargs, index, name)
        if tensor is not None and not run.bind_state(
            tensor, layout, "norm-weight" if name == "weight" else "other"
        ):
            return None
    run.count_module("num_features", layout)
    return layout


def group_normalisation(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """group_norm(input, num_groups, weight, bias): cut by whole norm-groups."""
    layout, groups = run.layout(data_input(args, kwargs)), argument(args, kwargs, 1, "num_groups")
    if layout is None or not run.runs(nn.GroupNorm):
        return None
    tie_within(run, [layout], groups)
    for index, name in ((2, "weight"), (3, "bias")):
        tensor = argument(args, kwargs, index, name)
        if tensor is not None and not run.bind_state(
            tensor, layout, "norm-weight" if index == 2 else "other"
        ):
            return None
    run.count_module("num_channels", layout)
    return layout


def layer_normalisation(
    run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> Layout | str | None:
    """layer_norm(input, normalized_shape): channels pass only where the statistics are over space."""
    x, shape = data_input(args, kwargs), argument(args, kwargs, 1, "normalized_shape")
    if len(shape) > x.ndim - 2:
        return "a layer norm takes its statistics over the channels"
    return run.layout(x)


def dropped(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Targeted dropout: a rate per channel."""
    layout, rate = run.layout(data_input(args, kwargs)), argument(args, kwargs, 1, "rate")
    return layout if layout is not None and run.bind_state(rate, layout, "rate") else None


def per_channel(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """PReLU: a second argument with one number, or one per channel."""
    layout, tensor = run.layout(data_input(args, kwargs)), argument(args, kwargs, 1, "weight")
    if layout is None:
        return None
    if tensor.numel() == len(layout):
        if not run.bind_state(tensor, layout):
            return None
        run.count_module("num_parameters", layout)
    return layout if tensor.numel() in (1, len(layout)) else None
