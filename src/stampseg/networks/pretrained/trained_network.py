"""What is known of a trained network, whatever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ...data.plan import Plan
from ..registry import NetworkSpec


@dataclass(frozen=True)
class Source:
    """A trained network to start from.

    Attributes:
        kind: "stampseg model", "nnU-Net results", "MONAI bundle" or "state dict".
        path: as it was given.
        weights: tensors by name, as stored.
        spec: the dense network; None: built from the options and the plan.
        plan: how its cases are prepared; None: planned from the data.
        data: changes to `DataOptions` where the source states them.
        overrides: changes to the planned `Plan`, where the source states what no option says.
        kept: surviving channels of a network that was pruned before, or None.
        notes: what was read, and what could not be carried over, one line each.
        provenance: how it was made, as a model file of ours says.
    """

    kind: str
    path: Path
    weights: Mapping[str, Tensor]
    spec: NetworkSpec | None = None
    plan: Plan | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, ...]] | None = None
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
