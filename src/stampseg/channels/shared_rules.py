"""What the rules share: keeping a layout, tying layouts together, parting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .call import Pass, data_input
from .wiring import Layout


def keep(run: Pass, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Layout | None:
    """Element by element, over space, or a view that leaves the first two dimensions alone."""
    layout = run.layout(data_input(args, kwargs))
    return layout if layout is not None and out.ndim > 1 and out.shape[1] == len(layout) else None


def tie_within(run: Pass, layouts: Sequence[Layout], groups: int) -> None:
    """Unite all atoms that fall into the same of `groups` equal parts."""
    for part in zip(*(np.split(layout, groups) for layout in layouts), strict=True):
        atoms = np.concatenate(part)
        run.wiring.unite(atoms[1:], np.full(len(atoms) - 1, atoms[0]))


def tied(run: Pass, tensors: Sequence[Tensor]) -> Layout | None:
    """Unite the layouts of tensors that meet position by position; one that was not followed freezes all."""
    first, *others = [run.layout_or_frozen(tensor) for tensor in tensors]
    if any(len(layout) != len(first) for layout in others):
        return None
    for layout in others:
        run.wiring.unite(first, layout)
    return first


def equal_parts(run: Pass, layout: Layout, parts: int) -> list[Layout]:
    """The parts, with what lies at the same position of each tied."""
    pieces = np.split(layout, parts)
    for piece in pieces[1:]:
        run.wiring.unite(pieces[0], piece)
    return pieces


def flat_ints(values: Sequence[Any]) -> list[int]:
    return [n for v in values for n in (flat_ints(v) if isinstance(v, tuple | list) else [int(v)])]
