"""Operations that join, part, turn or reshape tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from .call import Pass, Rule, argument, data_input
from .shared_rules import equal_parts, flat_ints, keep, tie_within, tied
from .wiring import Layout


def expansion(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """expand without a new dimension."""
    return keep(run, args, kwargs, out) if data_input(args, kwargs).ndim == out.ndim else None


def concatenation(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """cat: joins layouts along dimension 1, ties them along any other."""
    tensors = argument(args, kwargs, 0, "tensors")
    dim = argument(args, kwargs, 1, "dim", 0)
    if dim % out.ndim == 1:
        return np.concatenate([run.layout_or_frozen(t) for t in tensors])
    return tied(run, list(tensors))


def splitting(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> list[Layout] | None:
    """split, chunk, tensor_split: parts along dimension 1, copies along any other.

    Only equal parts given by their number are still right after a cut, when each loses the same
    positions; sizes are written in the network's code, where a cut cannot reach them.
    """
    x, parts = data_input(args, kwargs), args[1] if len(args) > 1 else None
    dim = argument(args, kwargs, 2, "dim", 0)
    layout = run.layout(x)
    if layout is None:
        return None
    if dim % x.ndim != 1:
        return [layout] * len(out)
    parts = parts if parts is not None else kwargs.get("chunks", kwargs.get("sections"))
    if not isinstance(parts, int) or parts != len(out) or len(layout) % parts:
        return None
    return equal_parts(run, layout, parts)


def splitting_by_size(
    run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> list[Layout] | None:
    """split along any dimension but 1; its sizes are fixed numbers."""
    layout, dim = run.layout(args[0] if args else None), argument(args, kwargs, 2, "dim", 0)
    return None if layout is None or dim % args[0].ndim == 1 else [layout] * len(out)


def indexing(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """x[:, :, ...]: anything over space, new axes behind it. A slice of the channels is in fixed numbers."""
    x, index = args[0], args[1] if isinstance(args[1], tuple) else (args[1],)
    layout = run.layout(x)
    if layout is None or any(isinstance(i, Tensor | list) for i in index):
        return None
    if any(i is Ellipsis for i in index):
        at = next(position for position, i in enumerate(index) if i is Ellipsis)
        named = sum(i is not None for i in index) - 1
        index = (*index[:at], *[slice(None)] * (x.ndim - named), *index[at + 1 :])
    whole = [isinstance(i, slice) and i == slice(None) for i in index[:2]]
    if len(index) < 2 or not all(whole):
        return None
    return layout if isinstance(out, Tensor) and out.ndim > 1 and out.shape[1] == len(layout) else None


def flattening(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """view, reshape, flatten: keeps (B, C, ...), or merges space into the channels."""
    x = data_input(args, kwargs)
    layout = run.layout(x)
    if layout is None or out.ndim < 2 or out.shape[0] != x.shape[0]:
        return None
    if out.shape[1] == x.shape[1]:
        return layout
    space = math.prod(x.shape[2:])
    return np.repeat(layout, space) if out.ndim == 2 and out.shape[1] == x.shape[1] * space else None


def permutation(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """permute that leaves batch and channels in place."""
    x = data_input(args, kwargs)
    order = [dim % x.ndim for dim in flat_ints(args[1:] or kwargs.get("dims", ()))]
    return run.layout(x) if order[:2] == [0, 1] else None


def transposition(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """transpose of two spatial dimensions."""
    x = data_input(args, kwargs)
    swapped = [dim % x.ndim for dim in flat_ints(args[1:])]
    return run.layout(x) if len(swapped) == 2 and min(swapped) > 1 else None


def padding(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """pad over space only."""
    return (
        keep(run, args, kwargs, out) if len(argument(args, kwargs, 1, "pad")) <= 2 * (out.ndim - 2) else None
    )


def stacking(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> str:
    """stack, as of the maps of deep supervision: the channels move to another dimension."""
    return "stacked along a new dimension"


def repetition(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """repeat along any dimension that exists; along dimension 1 the layout follows again and again."""
    x, times = data_input(args, kwargs), flat_ints(args[1:] or kwargs.get("repeats", ()))
    layout = run.layout(x)
    return None if layout is None or len(times) != x.ndim else np.tile(layout, times[1])


def turning(first: int) -> Rule:
    """flip and roll over space only; `dims` is their argument number `first`."""

    def rule(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
        x = data_input(args, kwargs)
        dims = {dim % x.ndim for dim in flat_ints([args[first:] or kwargs.get("dims", ())])}
        return run.layout(x) if dims and not dims & {0, 1} else None

    return rule


def pixel_shuffle(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Each output channel is made of r^2 neighbouring input channels, which go together."""
    layout = run.layout(data_input(args, kwargs))
    if layout is None:
        return None
    tie_within(run, [layout], out.shape[1])
    return layout.reshape(out.shape[1], -1)[:, 0]


def pixel_unshuffle(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Each channel becomes r^2 neighbouring ones."""
    layout = run.layout(data_input(args, kwargs))
    return None if layout is None else np.repeat(layout, out.shape[1] // len(layout))
