"""How well the network of a run does on windows of its training scans, looked at again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from torch import Tensor, nn

from ..channels.graph import ChannelGraph, Cut
from ..channels.silence import silenced
from ..core.prune_options import PruneOptions
from ..data.loaders import TrainingBatches
from ..data.plan import Plan
from ..train.round import Fit
from ..train.trainer import Trainer
from ..train.validation import agreement, training_fit
from .task import Task

LOOK = 0.02  # of the training of a round
MOST_WINDOWS = 16  # that are kept in memory for it
COMPARED = 2  # windows that a teacher and its student are compared on


class TrainingLook:
    """Loss and Dice of each label on a few windows; these are kept, so that large scans are not read anew.

    Args:
        trainer: of the network.
        batches: where the windows come from.
        plan: how they are prepared.
        prune: without its guard, the batches that channels are scored on are looked at.
        count: windows.
    """

    def __init__(
        self, trainer: Trainer, batches: TrainingBatches, plan: Plan, prune: PruneOptions, count: int
    ) -> None:
        self.trainer, self.batches, self.plan, self.prune = trainer, batches, plan, prune
        self.count = count
        self._kept: dict[int, list[dict[str, Tensor]]] = {}

    @property
    def trained(self) -> nn.Module:
        """What becomes the model: the network, or an average of it."""
        return self.trainer.objective.trained(self.trainer.network)

    def fit(self) -> Fit:
        """Of what becomes the model; where that is an average, beside the network's own."""
        trained, network = self.trained, self.trainer.network
        found = self._of(trained, self.count)
        if trained is network:
            return found
        return replace(
            found,
            student=self._of(network, COMPARED).per_label,
            agreement=agreement(trained, network, self._unlabelled, self.plan.out_channels),
        )

    def foresee(self, graph: ChannelGraph, cut: Cut) -> Fit:
        """With the channels of a cut silenced."""
        with silenced(self.trained, graph, cut):
            return self._of(self.trained, self.count)

    def _of(self, network: nn.Module, count: int) -> Fit:
        names, criterion = self.plan.label_names[1:], self.trainer.objective.criterion
        return training_fit(network, self._windows(count), names, criterion, self.plan.regions)

    def _windows(self, count: int) -> Iterable[Mapping[str, Tensor]]:
        if not self.prune.guard:
            return self.trainer.scoring_batches(self.prune.score_batches)
        if count not in self._kept:
            self._kept[count] = [self.trainer.to_device(b) for b in self.batches.watch_batches(count)]
        return self._kept[count]

    @cached_property
    def _unlabelled(self) -> list[Tensor]:
        found = self.batches.watch_unlabelled(COMPARED)
        return [self.trainer.to_device({"image": window})["image"] for window in found]


def window_count(task: Task) -> int:
    """Training windows that the guard looks at, so that all looks of a round cost `LOOK` of its training.

    Training on a window takes three times the forward pass; a teacher adds one for each of its own. The guard
    looks twice at each of its windows, before a cut and after it; a teacher and its student are compared on
    `COMPARED` with labels and as many without. There are two windows at the least, and more where there are
    more labels.
    """
    train, prune, teacher = task.config.train, task.config.prune, task.config.teacher
    unlabelled = (teacher.batch_size or train.batch_size) if task.taught else 0
    passes = 3 * (train.batch_size + unlabelled) + unlabelled
    steps = prune.recovery_steps or train.steps * (1 - sum(prune.shares)) / prune.rounds
    windows = int((LOOK * steps * passes - (3 * COMPARED if unlabelled else 0)) / 2)
    return min(MOST_WINDOWS, max(2, windows))
