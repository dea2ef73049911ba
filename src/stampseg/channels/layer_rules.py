"""Layers: convolutions, linear layers and norms, which own the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from .call import Call
from .graph import LayerCall, Role
from .shared_rules import tie_within
from .wiring import Layout


def convolution(call: Call) -> Layout | None:
    """conv1d to conv3d: weight (out, in / groups, *kernel)."""
    return _layer(call, call.argument(6, "groups", 1), out_dim=0)


def transposed_convolution(call: Call) -> Layout | None:
    """conv_transpose1d to 3d: weight (in, out / groups, *kernel)."""
    return _layer(call, 1, out_dim=1) if call.argument(6, "groups", 1) == 1 else None


def linear(call: Call) -> Layout | None:
    """Linear on (B, features)."""
    return _layer(call, 1, out_dim=0) if call.input.ndim == 2 else None


def _layer(call: Call, groups: int, *, out_dim: int) -> Layout | None:
    """A layer of (input, weight, bias); the output channels lie along `out_dim` of its weight."""
    x, run, count = call.input, call.run, call.out.shape[1]
    weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
    name = run.state_name(weight)
    incoming = run.layout_or_frozen(x)
    if name is None or x.ndim != weight.ndim or (bias is not None and run.state_name(bias) is None):
        return None
    if groups > 1 and not run.inside(nn.modules.conv._ConvNd):
        return None  # the number of groups is written where a cut cannot reach it
    wiring = run.wiring
    known = wiring.places.get((name, out_dim))
    if groups > 1 and groups == x.shape[1]:  # depthwise: each channel is filtered by itself
        outgoing = np.repeat(incoming, count // groups)
    elif known is not None:
        outgoing = known[0]
    else:
        outgoing = wiring.new_block(name.removesuffix(".weight"), count, layer=True, transposed=out_dim == 1)
    if groups > 1:  # the channels of one convolution group, in and out, go together
        tie_within(wiring, [incoming, outgoing], groups)
    wiring.bind(name, out_dim, outgoing, "out")
    if groups == 1:
        wiring.bind(name, 1 - out_dim, incoming, "in")
    if bias is not None:
        run.bind_state(bias, outgoing)
    is_linear = x.ndim == 2 and weight.ndim == 2
    run.count_module("in_features" if is_linear else "in_channels", incoming)
    run.count_module("out_features" if is_linear else "out_channels", outgoing)
    return outgoing


def layer_call(call: Call, weight: str, places: int, transposed: bool) -> LayerCall:
    """What a call of a convolution or linear layer is, for its cost."""
    x, w = call.input, call.argument(1, "weight")
    if w.ndim <= 2 or x.ndim != w.ndim:
        return LayerCall(weight, places, places)
    axes, kernel = x.ndim - 2, w.shape[2:]
    dilation = _per_axis(call.argument(7 if transposed else 5, "dilation", 1), axes)
    padding = call.argument(4, "padding", 0)
    if padding == "same":
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    stride = _per_axis(call.argument(3, "stride", 1), axes)
    return LayerCall(
        weight,
        places,
        voxels=call.out.shape[2:].numel(),
        size=tuple(x.shape[2:]),
        options=(stride, _per_axis(0 if padding == "valid" else padding, axes), dilation),
        transposed=transposed,
    )


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def normalisation(call: Call) -> Layout | None:
    """batch_norm and instance_norm: (input, running_mean, running_var, weight, bias)."""
    layout = call.layout
    if layout is None or not _bind_vectors(call, layout, "running_mean", "running_var", "weight", "bias"):
        return None
    call.run.count_module("num_features", layout)
    return layout


def group_normalisation(call: Call) -> Layout | None:
    """group_norm(input, num_groups, weight, bias): cut by whole norm-groups."""
    layout = call.layout
    if layout is None or not call.run.inside(nn.GroupNorm):
        return None
    tie_within(call.run.wiring, [layout], call.argument(1, "num_groups"))
    if not _bind_vectors(call, layout, "weight", "bias", first=2):
        return None
    call.run.count_module("num_channels", layout)
    return layout


def _bind_vectors(call: Call, layout: Layout, *names: str, first: int = 1) -> bool:
    """Bind a norm's vectors, arguments from number `first` on; False where one is not the network's own."""
    for index, name in enumerate(names, start=first):
        tensor = call.argument(index, name)
        role: Role = "norm-weight" if name == "weight" else "other"
        if tensor is not None and not call.run.bind_state(tensor, layout, role):
            return False
    return True


def layer_normalisation(call: Call) -> Layout | str | None:
    """layer_norm(input, normalized_shape): channels pass only where the statistics are over space."""
    if len(call.argument(1, "normalized_shape")) > call.input.ndim - 2:
        return "a layer norm takes its statistics over the channels"
    return call.layout


def dropped(call: Call) -> Layout | None:
    """Targeted dropout: a rate per channel."""
    layout, rate = call.layout, call.argument(1, "rate")
    return layout if layout is not None and call.run.bind_state(rate, layout, "rate") else None


def per_channel(call: Call) -> Layout | None:
    """PReLU: a second argument with one number, or one per channel."""
    layout, tensor = call.layout, call.argument(1, "weight")
    if layout is None:
        return None
    if tensor.numel() == len(layout):
        if not call.run.bind_state(tensor, layout):
            return None
        call.run.count_module("num_parameters", layout)
    return layout if tensor.numel() in (1, len(layout)) else None
