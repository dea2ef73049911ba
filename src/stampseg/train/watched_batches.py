"""Batches of one's own training code on which every label must live through a cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor, nn

from ..channels.graph import ChannelGraph, Cut
from ..channels.importance import Batch, Loss
from ..channels.modes import evaluating
from ..channels.silence import silenced
from ..networks.outputs import main_map
from .round import Fit
from .validation import training_fit

WATCHED = 2  # batches


class Watched:
    """The first few batches, kept, and how well the network does on them, label by label.

    Labels are told apart where they are whole numbers, (B, 1, *S) or (B, *S), for which the network has a
    map; others, as -100 or 255, say that nobody knows what is there.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Callable[[], Iterable[Batch]],
        loss: Loss,
        student: nn.Module | None = None,
    ) -> None:
        """Args:
        network: what becomes the model.
        batches: gone through anew at each call.
        loss: of its output and a label.
        student: the network that `network` is an average of, if it is one.
        """
        self.network, self.batches, self.loss, self.student = network, batches, loss, student
        self.kept: list[Batch] | None = None
        self.names: list[str] = []

    def fit(self) -> Fit:
        """Loss and Dice of each label now; of an average, beside the Dice of the network that it is of."""
        found = self._of(self.network)
        if self.student is None or not found.per_label:
            return found
        return replace(found, student=self._of(self.student).per_label)

    def _of(self, network: nn.Module) -> Fit:
        if self.kept is None:
            self.kept = list(islice(self.batches(), WATCHED))
            self.names = self._names() if all(map(_is_plain, self.kept)) else []
        if not self.names:
            return Fit(math.nan, {})
        batches = [{**batch, "label": _with_channel(batch)} for batch in self.kept]
        flat = any(batch["label"].ndim < batch["image"].ndim for batch in self.kept)
        return training_fit(
            network, batches, self.names,
            lambda output, label: self.loss(output, label[:, 0] if flat else label),
        )  # fmt: skip

    def foresee(self, graph: ChannelGraph, cut: Cut) -> Fit:
        """The same with the channels of a cut silenced."""
        with silenced(self.network, graph, cut):
            return self._of(self.network)

    def _names(self) -> list[str]:
        """Of the labels that the batches hold and the network has a map for."""
        if not self.kept:
            return []
        image = self.kept[0]["image"][:1]
        with evaluating(self.network), torch.no_grad():
            maps = main_map(self.network(image), image.ndim - 2).shape[1]
        labels = (batch["label"] for batch in self.kept)
        known = (int(label[label < maps].max()) for label in labels if (label < maps).any())
        highest = max(known, default=0)
        return [f"label {value}" for value in range(1, highest + 1)]


def _is_plain(batch: Batch) -> bool:
    image, label = batch["image"], batch["label"]
    whole = not label.is_floating_point() or bool((label == label.round()).all())
    return whole and _with_channel(batch).shape == (len(image), 1, *image.shape[2:])


def _with_channel(batch: Batch) -> Tensor:
    """(B, 1, *S) of that or (B, *S)."""
    label = batch["label"]
    return label[:, None] if label.ndim == batch["image"].ndim - 1 else label
