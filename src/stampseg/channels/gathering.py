"""Importance gathered while the network trains: no extra pass over the training set.

The criteria of activations (see `importance.py`) are taken from the passes that training makes
anyway: with its augmentation, its batch statistics and its dropout. A channel that dropout has
zeroed for an example has no gradient there, and the others are scaled up, so that the mean stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Criterion
from .graph import ChannelGraph
from .importance import GRADIENT, reduce_map, sum_probes

GATHERED: tuple[Criterion, ...] = ("taylor", "taylor-abs", "l1", "l2")


class Gathering:
    """Collects raw scores from training steps.

    Args:
        network: trained and cut meanwhile; a cut keeps its modules.
        graph: its channels, for where to look.
        criterion: one of `GATHERED`.
        steps: to collect from: the last ones of every stretch of training.
    """

    def __init__(self, network: nn.Module, graph: ChannelGraph, criterion: Criterion, steps: int) -> None:
        if criterion not in GATHERED:
            raise ValueError(f"{criterion} cannot be gathered; expected one of {', '.join(GATHERED)}")
        self.network, self.probes, self.criterion, self.steps = network, graph.probes, criterion, steps
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[int, np.ndarray] = {}
        self.batches = 0
        self._spoiled = False
        self._left = 0

    def raw(self, graph: ChannelGraph) -> np.ndarray | None:
        """One raw score per channel of the graph as it is now; None where the network was cut since."""
        if not self.batches or self._spoiled:
            return None
        totals = [self._sums.get(i, np.zeros(len(p.channels))) for i, p in enumerate(graph.probes)]
        if any(len(t) != len(p.channels) for t, p in zip(totals, graph.probes, strict=True)):
            return None
        return sum_probes(graph, totals)

    def state(self) -> tuple[dict[int, np.ndarray], dict[str, int]]:
        """What was collected so far: sums by probe, and counts."""
        counts = {"batches": self.batches, "spoiled": int(self._spoiled), "left": self._left}
        return dict(self._sums), counts

    def set_state(self, sums: Mapping[int, np.ndarray], counts: Mapping[str, int]) -> None:
        """Go on collecting from where `state` was taken."""
        self._sums = dict(sums)
        self.batches, self._left = counts["batches"], counts["left"]
        self._spoiled = bool(counts["spoiled"])

    @contextmanager
    def step(self, left: int = 1) -> Iterator[None]:
        """Around the forward and backward pass of an optimiser step.

        Args:
            left: steps left in this stretch of training, this one included; what was collected before the
                last ones is forgotten.
        """
        if left > self.steps or left >= self._left:  # another stretch has begun
            self._clear()
        self._left = left
        if left > self.steps:
            yield
            return
        calls: dict[str, int] = {}
        wanted: dict[str, dict[int, int]] = {}
        for index, probe in enumerate(self.probes):
            wanted.setdefault(probe.module, {})[probe.call] = index
        modules = dict(self.network.named_modules())
        hooks = [modules[n].register_forward_hook(partial(self._watch, wanted[n], calls, n)) for n in wanted]
        try:
            yield
            self.batches += 1
        finally:
            for hook in hooks:
                hook.remove()

    def _watch(
        self,
        wanted: dict[int, int],
        calls: dict[str, int],
        name: str,
        module: nn.Module,
        args: Any,
        a: Tensor,
    ) -> None:
        call = calls.get(name, 0)
        calls[name] = call + 1
        index = wanted.get(call)
        if index is None:
            return
        if self.criterion not in GRADIENT:
            self._add(index, a.detach(), None)
        elif a.requires_grad:
            a.register_hook(partial(self._from_gradient, index, a.detach(), a._version))

    def _from_gradient(self, index: int, a: Tensor, version: int, gradient: Tensor) -> None:
        if a._version != version:  # an operation in place has changed the map since
            self._spoiled = True
            return
        self._add(index, a, gradient)

    def _add(self, index: int, a: Tensor, gradient: Tensor | None) -> None:
        with torch.no_grad():
            values = reduce_map(a, gradient, self.criterion).double().mean(dim=0).cpu().numpy()
        self._sums[index] = self._sums.get(index, 0.0) + values
