"""What each torch operation does to the layout of channels: one table, by the operation's name."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .call import Call, Rule, flat_integers
from .graph import Role
from .layer_rules import (
    convolution,
    dropped,
    group_normalisation,
    layer_normalisation,
    linear,
    normalisation,
    per_channel,
    transposed_convolution,
)
from .shape_rules import (
    concatenation,
    expansion,
    expansion_as,
    flattening,
    indexing,
    padding,
    permutation,
    pixel_shuffle,
    pixel_unshuffle,
    repetition,
    splitting,
    splitting_by_size,
    stacking,
    transposition,
    turning,
)
from .shared_rules import keep, tied
from .wiring import Layout


def keep_alone(call: Call) -> Layout | None:
    """pow, clamp: as `keep`, unless a second tensor brings values of its own for each channel."""
    rest = (*call.args[1:], *call.kwargs.values())
    return None if any(isinstance(a, Tensor) and a.numel() > 1 for a in rest) else keep(call)


def over_space(dims: int) -> Rule:
    """Pooling and dropout that know their number of axes: an input of one axis fewer is unbatched."""

    def rule(call: Call) -> Layout | None:
        return keep(call) if call.input.ndim == dims + 2 else None

    return rule


def division(call: Call) -> Layout | None:
    """As `arithmetic`; a divisor is not to be zero, not even where its channel is."""
    divisor = call.argument(1, "other")
    return arithmetic(call, "divisor" if call.run.state_name(divisor) is not None else "other")


def arithmetic(call: Call, role: Role = "other") -> Layout | None:
    """add, mul, ...: two tensors of the same channels are tied; one value for all channels passes."""
    run, out = call.run, call.out
    given = (*call.args[:2], call.kwargs.get("input"), call.kwargs.get("other"))
    operands = [a for a in given if isinstance(a, Tensor)]
    wide = [t for t in operands if _channel_dim(t, out) is not None]
    maps = [t for t in wide if run.state_name(t) is None]
    if not any(run.layout(t) is not None for t in maps) or out.ndim < 2:
        return None
    if any(_misplaced(t, run.layout(t), out) for t in operands) or any(
        _channel_dim(t, out) != 1 for t in maps
    ):
        return None
    result = tied(run, maps)
    for tensor in wide:
        name, dim = run.state_name(tensor), _channel_dim(tensor, out)
        if name is not None and dim is not None and result is not None:
            run.wiring.bind(name, dim, result, role)
    for tensor in operands:  # a gate of one channel for all: it stays
        layout = run.layout(tensor)
        if layout is not None and len(layout) == 1 and out.shape[1] > 1:
            run.wiring.freeze(layout, "one channel that scales all others")
    return result


def _channel_dim(tensor: Tensor, out: Tensor) -> int | None:
    """The dimension of an operand that meets the output's channels, if it has one entry for each."""
    dim = tensor.ndim - out.ndim + 1
    return dim if dim >= 0 and tensor.shape[dim] == out.shape[1] else None


def _misplaced(tensor: Tensor, layout: Layout | None, out: Tensor) -> bool:
    """Whether broadcasting moves the operand's channels away from dimension 1."""
    return layout is not None and len(layout) > 1 and _channel_dim(tensor, out) != 1


def reduction(call: Call) -> Layout | None:
    """mean, sum, amax over space only."""
    layout, dims = call.layout, call.argument(1, "dim")
    if dims is None or layout is None or not isinstance(call.out, Tensor):
        return None
    reduced = {d % call.input.ndim for d in flat_integers([dims])}
    return layout if not reduced & {0, 1} else None


_ELEMENTWISE = """relu leaky_relu rrelu elu selu celu gelu silu mish hardswish hardtanh relu6
sigmoid logsigmoid hardsigmoid tanh softplus softsign tanhshrink threshold abs neg exp sqrt rsqrt
square dropout alpha_dropout feature_alpha_dropout clone contiguous detach to float double half
bfloat16 type type_as cpu cuda zeros_like ones_like rand_like randn_like interpolate
upsample upsample_nearest upsample_bilinear"""

_OVER_SPACE = "max_pool avg_pool lp_pool adaptive_avg_pool adaptive_max_pool dropout"

_ARITHMETIC = "add sub mul maximum minimum radd rsub rmul rdiv iadd isub imul"

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), keep),
    **{f"{name}{dims}d": over_space(dims) for name in _OVER_SPACE.split() for dims in (1, 2, 3)},
    **dict.fromkeys(("pow", "clamp", "clip"), keep_alone),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution),
    "linear": linear,
    **dict.fromkeys(("batch_norm", "instance_norm"), normalisation),
    "group_norm": group_normalisation,
    "layer_norm": layer_normalisation,
    "prelu": per_channel,
    "channel_dropout": dropped,
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenation),
    **dict.fromkeys(_ARITHMETIC.split(), arithmetic),
    **dict.fromkeys(("div", "true_divide", "itruediv", "truediv"), division),
    **dict.fromkeys(("chunk", "tensor_split"), splitting),
    "split": splitting_by_size,
    "getitem": indexing,
    **dict.fromkeys(("view", "reshape", "flatten", "squeeze", "unsqueeze"), flattening),
    "expand": expansion,
    "expand_as": expansion_as,
    "permute": permutation,
    **dict.fromkeys(("transpose", "swapaxes"), transposition),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "std", "var"), reduction),
    "pad": padding,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "stack": stacking,
    "repeat": repetition,
    "flip": turning(1),
    "roll": turning(2),
    "data": keep,
}


def rule_name(func: Any) -> str:
    """The operation's plain name: `add` for torch.add, Tensor.add_ and Tensor.__add__, `data` for x.data."""
    name = getattr(func, "__name__", str(func))
    return getattr(func.__self__, "__name__", name) if name == "__get__" else name.strip("_")
