"""Operations that join, part, turn or reshape tensors."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from .call import Call, Rule, flat_integers
from .shared_rules import equal_parts, keep, tie_within, tied
from .wiring import Layout


def expansion(call: Call) -> Layout | None:
    """expand without a new dimension."""
    return keep(call) if call.input.ndim == call.out.ndim else None


def expansion_as(call: Call) -> Layout | None:
    """expand_as: as `expansion`; channels that are as many as the other's take their number from it."""
    layout, other = expansion(call), call.argument(1, "other")
    if layout is None or len(layout) == 1:
        return layout
    return tied(call.run, [call.input, other])


def concatenation(call: Call) -> Layout | None:
    """cat: joins layouts along dimension 1, ties them along any other."""
    tensors, dim = call.argument(0, "tensors"), call.argument(1, "dim", 0)
    tensors = [t for t in tensors if t.ndim == call.out.ndim]  # empty ones of one axis count for nothing
    if dim % call.out.ndim == 1:
        return np.concatenate([call.run.layout_or_frozen(t) for t in tensors])
    return tied(call.run, tensors)


def splitting(call: Call) -> list[Layout] | None:
    """split, chunk, tensor_split: parts along dimension 1, copies along any other.

    Only equal parts given by their number are still right after a cut, when each loses the same
    positions; sizes are written in the network's code, where a cut cannot reach them.
    """
    layout, count = call.layout, len(call.out)
    if layout is None:
        return None
    if call.argument(2, "dim", 0) % call.input.ndim != 1:
        return [layout] * count
    parts = call.argument(1, "chunks", call.kwargs.get("sections"))
    if not isinstance(parts, int) or parts != count or len(layout) % parts:
        return None
    return equal_parts(call.run.wiring, layout, parts)


def splitting_by_size(call: Call) -> list[Layout] | None:
    """split along any dimension but 1; its sizes are fixed numbers."""
    layout, dim = call.layout, call.argument(2, "dim", 0)
    return None if layout is None or dim % call.input.ndim == 1 else [layout] * len(call.out)


def indexing(call: Call) -> Layout | None:
    """x[:, :, ...]: anything over space, new axes behind it. A slice of the channels is in fixed numbers."""
    x, index = call.args[0], call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if call.layout is None or any(isinstance(i, Tensor | list) for i in index):
        return None
    if any(i is Ellipsis for i in index):
        at = next(position for position, i in enumerate(index) if i is Ellipsis)
        named = sum(i is not None for i in index) - 1
        index = (*index[:at], *[slice(None)] * (x.ndim - named), *index[at + 1 :])
    whole = [isinstance(i, slice) and i == slice(None) for i in index[:2]]
    if len(index) < 2 or not all(whole):
        return None
    return keep(call) if isinstance(call.out, Tensor) else None


def flattening(call: Call) -> Layout | None:
    """view, reshape, flatten: keeps (B, C, ...), or merges space into the channels."""
    x, out, layout = call.input, call.out, call.layout
    if layout is None or out.ndim < 2 or out.shape[0] != x.shape[0]:
        return None
    if out.shape[1] == x.shape[1]:
        return layout
    space = math.prod(x.shape[2:])
    return np.repeat(layout, space) if out.ndim == 2 and out.shape[1] == x.shape[1] * space else None


def permutation(call: Call) -> Layout | None:
    """permute that leaves batch and channels in place."""
    order = [dim % call.input.ndim for dim in call.integers(1, "dims")]
    return call.layout if order[:2] == [0, 1] else None


def transposition(call: Call) -> Layout | None:
    """transpose of two spatial dimensions."""
    swapped = [dim % call.input.ndim for dim in flat_integers(call.args[1:])]
    return call.layout if len(swapped) == 2 and min(swapped) > 1 else None


def padding(call: Call) -> Layout | None:
    """pad over space only."""
    return keep(call) if len(call.argument(1, "pad")) <= 2 * (call.out.ndim - 2) else None


def stacking(call: Call) -> str:
    """stack, as of the maps of deep supervision: the channels move to another dimension."""
    return "stacked along a new dimension"


def repetition(call: Call) -> Layout | None:
    """repeat along any dimension that exists; along dimension 1 the layout follows again and again."""
    layout, times = call.layout, call.integers(1, "repeats")
    return None if layout is None or len(times) != call.input.ndim else np.tile(layout, times[1])


def turning(first: int) -> Rule:
    """flip and roll over space only; `dims` is their argument number `first`."""

    def rule(call: Call) -> Layout | None:
        dims = {dim % call.input.ndim for dim in call.integers(first, "dims")}
        return call.layout if dims and not dims & {0, 1} else None

    return rule


def pixel_shuffle(call: Call) -> Layout | None:
    """Each output channel is made of r^2 neighbouring input channels, which go together."""
    layout, count = call.layout, call.out.shape[1]
    if layout is None:
        return None
    tie_within(call.run.wiring, [layout], count)
    return layout.reshape(count, -1)[:, 0]


def pixel_unshuffle(call: Call) -> Layout | None:
    """Each channel becomes r^2 neighbouring ones."""
    layout = call.layout
    return None if layout is None else np.repeat(layout, call.out.shape[1] // len(layout))
