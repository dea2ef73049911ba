"""What the rules share: keeping a layout, tying layouts together, parting them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .call import Call, Pass
from .wiring import Layout, Wiring


def keep(call: Call) -> Layout | None:
    """Element by element, over space, or a view that leaves the first two dimensions alone."""
    layout, out = call.layout, call.out
    return layout if layout is not None and out.ndim > 1 and out.shape[1] == len(layout) else None


def tie_within(wiring: Wiring, layouts: Sequence[Layout], groups: int) -> None:
    """Unite all atoms that fall into the same of `groups` equal parts."""
    for part in zip(*(np.split(layout, groups) for layout in layouts), strict=True):
        atoms = np.concatenate(part)
        wiring.unite(atoms[1:], np.full(len(atoms) - 1, atoms[0]))


def tied(run: Pass, tensors: Sequence[Tensor]) -> Layout | None:
    """Unite the layouts of tensors that meet position by position; one that was not followed freezes all."""
    first, *others = [run.layout_or_frozen(tensor) for tensor in tensors]
    if any(len(layout) != len(first) for layout in others):
        return None
    for layout in others:
        run.wiring.unite(first, layout)
    return first


def equal_parts(wiring: Wiring, layout: Layout, parts: int) -> list[Layout]:
    """The parts, with what lies at the same position of each tied."""
    pieces = np.split(layout, parts)
    for piece in pieces[1:]:
        wiring.unite(pieces[0], piece)
    return pieces
