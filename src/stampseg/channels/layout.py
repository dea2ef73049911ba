"""Layouts: which channel lies at each position of dimension 1, and how rules read a call.

A layout is an integer array: the atom at every position of dimension 1. A rule gets the tracer
and the call, and returns the layout of the output (a list of them for several outputs), None when
the operation is not understood, or a reason in words why its channels cannot be cut; in the last
two cases the tracer freezes what went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from .tracer import Tracer

Layout = np.ndarray
Rule = Callable[["Tracer", tuple[Any, ...], dict[str, Any], Any], Layout | list[Layout] | str | None]


def argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str, default: Any = None
) -> Any:
    return args[index] if len(args) > index else kwargs.get(name, default)


def data_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return argument(args, kwargs, 0, "input")


def keep(tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Element by element, over space, or a view that leaves the first two dimensions alone."""
    layout = tracer.layout(data_input(args, kwargs))
    return layout if layout is not None and out.ndim > 1 and out.shape[1] == len(layout) else None


def tie_within(tracer: Tracer, layouts: Sequence[Layout], groups: int) -> None:
    """Unite all atoms that fall into the same of `groups` equal parts."""
    for part in zip(*(np.split(layout, groups) for layout in layouts), strict=True):
        atoms = np.concatenate(part)
        tracer.wiring.unite(atoms[1:], np.full(len(atoms) - 1, atoms[0]))


def tied(tracer: Tracer, tensors: Sequence[Tensor]) -> Layout | None:
    """Unite the layouts of tensors that meet position by position; one that was not followed freezes all."""
    first, *others = [tracer.layout_or_frozen(tensor) for tensor in tensors]
    if any(len(layout) != len(first) for layout in others):
        return None
    for layout in others:
        tracer.wiring.unite(first, layout)
    return first


def equal_parts(tracer: Tracer, layout: Layout, parts: int) -> list[Layout]:
    """The parts, with what lies at the same position of each tied."""
    pieces = np.split(layout, parts)
    for piece in pieces[1:]:
        tracer.wiring.unite(pieces[0], piece)
    return pieces


def flat_ints(values: Sequence[Any]) -> list[int]:
    return [n for v in values for n in (flat_ints(v) if isinstance(v, tuple | list) else [int(v)])]
