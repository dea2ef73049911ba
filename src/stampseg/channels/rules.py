"""What each torch operation does to the layout of channels along dimension 1.

A layout is an integer array: the atom at every position of dimension 1. A rule gets the
tracer and the call, and returns the layout of the output, or None when the operation is not
understood; the tracer then freezes what went in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

if TYPE_CHECKING:
    from .trace import Tracer

Layout = np.ndarray
Rule = Callable[["Tracer", tuple[Any, ...], dict[str, Any], Any], Layout | list[Layout] | None]


def _argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str, default: Any = None
) -> Any:
    return args[index] if len(args) > index else kwargs.get(name, default)


def _input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _argument(args, kwargs, 0, "input")


def keep(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Element by element, over space, or a view that leaves the first two dimensions alone."""
    layout = tracer.layout(_input(args, kwargs))
    return layout if layout is not None and out.ndim > 1 and out.shape[1] == len(layout) else None


def keep_alone(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """pow, clamp: as `keep`, unless a second tensor brings values of its own for each channel."""
    others = [a for a in (*args[1:], *kwargs.values()) if isinstance(a, Tensor) and a.numel() > 1]
    return None if others else keep(tracer, args, kwargs, out)


def over_space(dims: int) -> Rule:
    """Pooling and dropout that know their number of axes: an input of one axis fewer is unbatched."""

    def rule(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
        return keep(tracer, args, kwargs, out) if _input(args, kwargs).ndim == dims + 2 else None

    return rule


def expansion(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """expand without a new dimension."""
    return keep(tracer, args, kwargs, out) if _input(args, kwargs).ndim == out.ndim else None


def convolution(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """conv1d to conv3d: weight (out, in / groups, *kernel)."""
    x, weight, bias = (
        _input(args, kwargs),
        _argument(args, kwargs, 1, "weight"),
        _argument(args, kwargs, 2, "bias"),
    )
    groups = _argument(args, kwargs, 6, "groups", 1)
    return _layer(tracer, x, weight, bias, groups, out, out_dim=0, places=math.prod(out.shape[2:]))


def transposed_convolution(
    tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> Layout | None:
    """conv_transpose1d to 3d: weight (in, out / groups, *kernel)."""
    x, weight, bias = (
        _input(args, kwargs),
        _argument(args, kwargs, 1, "weight"),
        _argument(args, kwargs, 2, "bias"),
    )
    groups = _argument(args, kwargs, 6, "groups", 1)
    if groups != 1:
        return None
    return _layer(tracer, x, weight, bias, groups, out, out_dim=1, places=math.prod(x.shape[2:]))


def linear(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Linear on (B, features)."""
    x, weight, bias = (
        _input(args, kwargs),
        _argument(args, kwargs, 1, "weight"),
        _argument(args, kwargs, 2, "bias"),
    )
    return _layer(tracer, x, weight, bias, 1, out, out_dim=0, places=1) if x.ndim == 2 else None


def _layer(
    tracer: Tracer,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    out: Tensor,
    *,
    out_dim: int,
    places: int,
) -> Layout | None:
    name = tracer.state_name(weight)
    incoming = tracer.layout_or_frozen(x)
    if name is None or x.ndim != weight.ndim or (bias is not None and tracer.state_name(bias) is None):
        return None
    if groups > 1 and not tracer.runs(nn.modules.conv._ConvNd):
        return None  # the number of groups is written where a cut cannot reach it
    wiring, count = tracer.wiring, out.shape[1]
    known = wiring.places.get((name, out_dim))
    if groups > 1 and groups == x.shape[1]:  # depthwise: each channel is filtered by itself
        outgoing = np.repeat(incoming, count // groups)
    elif known is not None:
        outgoing = known[0]
    else:
        outgoing = wiring.new_block(name.removesuffix(".weight"), count, layer=True, transposed=out_dim == 1)
    if groups > 1:  # the channels of one convolution group, in and out, go together
        _tie_within(tracer, [incoming, outgoing], groups)
    wiring.bind(name, out_dim, outgoing, "out")
    if groups == 1:
        wiring.bind(name, 1 - out_dim, incoming, "in")
    if bias is not None:
        wiring.bind(tracer.state_name(bias) or "", 0, outgoing)
    is_linear = x.ndim == 2 and weight.ndim == 2
    tracer.count_module("in_features" if is_linear else "in_channels", incoming)
    tracer.count_module("out_features" if is_linear else "out_channels", outgoing)
    tracer.place(name, places)
    return outgoing


def _tie_within(tracer: Tracer, layouts: Sequence[Layout], groups: int) -> None:
    """Unite all atoms that fall into the same of `groups` equal parts."""
    for part in zip(*(np.split(layout, groups) for layout in layouts), strict=True):
        atoms = np.concatenate(part)
        tracer.wiring.unite(atoms[1:], np.full(len(atoms) - 1, atoms[0]))


def normalisation(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """batch_norm and instance_norm: (input, running_mean, running_var, weight, bias)."""
    layout = tracer.layout(_input(args, kwargs))
    if layout is None:
        return None
    names = ("running_mean", "running_var", "weight", "bias")
    for index, name in enumerate(names, start=1):
        tensor = _argument(args, kwargs, index, name)
        if tensor is not None and not tracer.bind_state(
            tensor, layout, "norm-weight" if name == "weight" else "other"
        ):
            return None
    tracer.count_module("num_features", layout)
    return layout


def group_normalisation(
    tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> Layout | None:
    """group_norm(input, num_groups, weight, bias): cut by whole norm-groups."""
    layout, groups = tracer.layout(_input(args, kwargs)), _argument(args, kwargs, 1, "num_groups")
    if layout is None or not tracer.runs(nn.GroupNorm):
        return None
    _tie_within(tracer, [layout], groups)
    for index, name in ((2, "weight"), (3, "bias")):
        tensor = _argument(args, kwargs, index, name)
        if tensor is not None and not tracer.bind_state(
            tensor, layout, "norm-weight" if index == 2 else "other"
        ):
            return None
    tracer.count_module("num_channels", layout)
    return layout


def per_channel(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """PReLU and targeted dropout: a second argument with one number, or one per channel."""
    layout, tensor = tracer.layout(_input(args, kwargs)), _argument(args, kwargs, 1, "weight")
    if layout is None:
        return None
    if tensor.numel() == len(layout):
        if not tracer.bind_state(tensor, layout):
            return None
        tracer.count_module("num_parameters", layout)
    return layout if tensor.numel() in (1, len(layout)) else None


def concatenation(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """cat: joins layouts along dimension 1, ties them along any other."""
    tensors = _argument(args, kwargs, 0, "tensors")
    dim = _argument(args, kwargs, 1, "dim", 0)
    if dim % out.ndim == 1:
        return np.concatenate([tracer.layout_or_frozen(t) for t in tensors])
    return _tied(tracer, list(tensors))


def arithmetic(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """add, mul, ...: two tensors of the same channels are tied; one value for all channels passes."""
    operands = [a for a in (*args[:2], kwargs.get("input"), kwargs.get("other")) if isinstance(a, Tensor)]
    wide = [t for t in operands if _channel_dim(t, out) is not None]
    layouts = [tracer.layout(t) for t in wide if tracer.state_name(t) is None]
    if not layouts or any(layout is None for layout in layouts) or out.ndim < 2:
        return None
    if any(_misplaced(t, tracer.layout(t), out) for t in operands):
        return None
    result = _tied(tracer, [t for t in wide if tracer.state_name(t) is None])
    for tensor in wide:
        name, dim = tracer.state_name(tensor), _channel_dim(tensor, out)
        if name is not None and dim is not None and result is not None:
            tracer.wiring.bind(name, dim, result)
    for tensor in operands:  # a gate of one channel for all: it stays
        layout = tracer.layout(tensor)
        if layout is not None and len(layout) == 1 and out.shape[1] > 1:
            tracer.wiring.freeze(layout, "one channel that scales all others")
    return result


def _channel_dim(tensor: Tensor, out: Tensor) -> int | None:
    """The dimension of an operand that meets the output's channels, if it has one entry for each."""
    dim = tensor.ndim - out.ndim + 1
    return dim if dim >= 0 and tensor.shape[dim] == out.shape[1] else None


def _misplaced(tensor: Tensor, layout: Layout | None, out: Tensor) -> bool:
    """Whether broadcasting moves the operand's channels away from dimension 1."""
    return layout is not None and len(layout) > 1 and _channel_dim(tensor, out) != 1


def _tied(tracer: Tracer, tensors: Sequence[Tensor]) -> Layout | None:
    layouts = [tracer.layout(t) for t in tensors]
    first = layouts[0]
    if first is None or any(layout is None or len(layout) != len(first) for layout in layouts):
        return None
    for layout in layouts[1:]:
        if layout is not None:
            tracer.wiring.unite(first, layout)
    return first


def splitting(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> list[Layout] | None:
    """split, chunk, tensor_split: parts along dimension 1, copies along any other.

    Only equal parts given by their number are still right after a cut, when each loses the same
    positions; sizes are written in the network's code, where a cut cannot reach them.
    """
    x, parts = _input(args, kwargs), args[1] if len(args) > 1 else None
    dim = _argument(args, kwargs, 2, "dim", 0)
    layout = tracer.layout(x)
    if layout is None:
        return None
    if dim % x.ndim != 1:
        return [layout] * len(out)
    parts = parts if parts is not None else kwargs.get("chunks", kwargs.get("sections"))
    if not isinstance(parts, int) or parts != len(out) or len(layout) % parts:
        return None
    return _equal_parts(tracer, layout, parts)


def splitting_by_size(
    tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> list[Layout] | None:
    """split along any dimension but 1; its sizes are fixed numbers."""
    layout, dim = tracer.layout(args[0] if args else None), _argument(args, kwargs, 2, "dim", 0)
    return None if layout is None or dim % args[0].ndim == 1 else [layout] * len(out)


def _equal_parts(tracer: Tracer, layout: Layout, parts: int) -> list[Layout]:
    """The parts, with what lies at the same position of each tied."""
    pieces = np.split(layout, parts)
    for piece in pieces[1:]:
        tracer.wiring.unite(pieces[0], piece)
    return pieces


def indexing(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """x[:, :, ...]: anything over space. A slice of the channels is written in fixed numbers."""
    layout, index = tracer.layout(args[0]), args[1]
    index = index if isinstance(index, tuple) else (index,)
    whole = [isinstance(i, slice) and i == slice(None) for i in index[:2]]
    if layout is None or len(index) < 2 or not all(whole) or any(i is None for i in index):
        return None
    return layout if isinstance(out, Tensor) and out.ndim > 1 and out.shape[1] == len(layout) else None


def flattening(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """view, reshape, flatten: keeps (B, C, ...), or merges space into the channels."""
    x = _input(args, kwargs)
    layout = tracer.layout(x)
    if layout is None or out.ndim < 2 or out.shape[0] != x.shape[0]:
        return None
    if out.shape[1] == x.shape[1]:
        return layout
    space = math.prod(x.shape[2:])
    return np.repeat(layout, space) if out.ndim == 2 and out.shape[1] == x.shape[1] * space else None


def permutation(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """permute that leaves batch and channels in place."""
    x = _input(args, kwargs)
    order = [dim % x.ndim for dim in _flat_ints(args[1:] or kwargs.get("dims", ()))]
    return tracer.layout(x) if order[:2] == [0, 1] else None


def transposition(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """transpose of two spatial dimensions."""
    x = _input(args, kwargs)
    swapped = [dim % x.ndim for dim in _flat_ints(args[1:])]
    return tracer.layout(x) if len(swapped) == 2 and min(swapped) > 1 else None


def _flat_ints(values: Sequence[Any]) -> list[int]:
    return [n for v in values for n in (_flat_ints(v) if isinstance(v, tuple | list) else [int(v)])]


def reduction(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """mean, sum, amax over space only."""
    x, dims = _input(args, kwargs), _argument(args, kwargs, 1, "dim")
    if dims is None or tracer.layout(x) is None or not isinstance(out, Tensor):
        return None
    reduced = {d % x.ndim for d in _flat_ints([dims])}
    return tracer.layout(x) if not reduced & {0, 1} else None


def padding(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """pad over space only."""
    return (
        keep(tracer, args, kwargs, out)
        if len(_argument(args, kwargs, 1, "pad")) <= 2 * (out.ndim - 2)
        else None
    )


def pixel_shuffle(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Each output channel is made of r^2 neighbouring input channels, which go together."""
    layout = tracer.layout(_input(args, kwargs))
    if layout is None:
        return None
    _tie_within(tracer, [layout], out.shape[1])
    return layout.reshape(out.shape[1], -1)[:, 0]


_ELEMENTWISE = """relu leaky_relu rrelu elu selu celu gelu silu mish hardswish hardtanh relu6
sigmoid logsigmoid hardsigmoid tanh softplus softsign tanhshrink threshold abs neg exp sqrt rsqrt
square dropout alpha_dropout feature_alpha_dropout clone contiguous detach to float double half
bfloat16 type type_as cpu cuda interpolate upsample upsample_nearest upsample_bilinear"""

_OVER_SPACE = "max_pool avg_pool lp_pool adaptive_avg_pool adaptive_max_pool dropout"

_ARITHMETIC = """add sub mul div true_divide maximum minimum
radd rsub rmul rdiv iadd isub imul itruediv truediv"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), keep),
    **{f"{name}{dims}d": over_space(dims) for name in _OVER_SPACE.split() for dims in (1, 2, 3)},
    **dict.fromkeys(("pow", "clamp", "clip"), keep_alone),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution),
    "linear": linear,
    **dict.fromkeys(("batch_norm", "instance_norm"), normalisation),
    "group_norm": group_normalisation,
    **dict.fromkeys(("prelu", "channel_dropout"), per_channel),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenation),
    **dict.fromkeys(_ARITHMETIC.split(), arithmetic),
    **dict.fromkeys(("chunk", "tensor_split"), splitting),
    "split": splitting_by_size,
    "getitem": indexing,
    **dict.fromkeys(("view", "reshape", "flatten", "squeeze", "unsqueeze"), flattening),
    "expand": expansion,
    "permute": permutation,
    **dict.fromkeys(("transpose", "swapaxes"), transposition),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "std", "var"), reduction),
    "pad": padding,
    "pixel_shuffle": pixel_shuffle,
}

# Convolution-like modules and norms whose attributes repeat a size that a cut changes.
COUNTED = {
    "in_channels": (nn.modules.conv._ConvNd,),
    "out_channels": (nn.modules.conv._ConvNd,),
    "in_features": (nn.Linear,),
    "out_features": (nn.Linear,),
    "num_features": (nn.modules.batchnorm._NormBase,),
    "num_channels": (nn.GroupNorm,),
    "num_parameters": (nn.PReLU,),
}


def rule_name(func: Any) -> str:
    """The operation's plain name: `add` for torch.add, Tensor.add_ and Tensor.__add__."""
    return getattr(func, "__name__", str(func)).strip("_")


_ACTIVATIONS = """ReLU LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Hardswish ReLU6 Softplus
Sigmoid Tanh"""
ACTIVATIONS = tuple(getattr(nn, name) for name in _ACTIVATIONS.split())
