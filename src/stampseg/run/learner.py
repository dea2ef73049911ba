"""What the loop of a run is given: batches, objective, functions that train, score, validate, measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..channels.criteria import CRITERIA
from ..channels.graph import ChannelGraph, Scores
from ..channels.importance import Gathering, importance
from ..core.config import Config
from ..data.loaders import CaseCache, TrainingBatches, ValidationCases
from ..data.plan import Plan
from ..networks.denormals import flushing_denormals
from ..networks.narrow_layers import narrow_layers
from ..timing.latency import network_latency
from ..timing.layer_table import LayerTable
from ..train.loss import make_loss
from ..train.mean_teacher import MeanTeacher
from ..train.objective import Objective, Supervised
from ..train.stamp import Learner
from ..train.trainer import Trainer
from ..train.validation import training_dice, training_dice_per_label, validate
from .survey import Survey


@dataclass(frozen=True)
class Task:
    """What a run knows before it has a network: the data as surveyed, the settled options, the device."""

    seen: Survey
    config: Config
    device: torch.device

    @property
    def plan(self) -> Plan:
        """How every case is prepared."""
        return self.seen.plan


def training_batches(task: Task, cache: CaseCache | None = None) -> TrainingBatches:
    """Batches of the cases that train, labelled or not."""
    config, split = task.config, task.seen.split
    return TrainingBatches(
        split.training, task.plan, config.train, config.data, config.seed,
        cache=cache, unlabelled=split.unlabelled, teacher=config.teacher,
    )  # fmt: skip


def objective_of(network: nn.Module, task: Task) -> Objective:
    """The training method: with a teacher where there are scans without labels."""
    config = task.config
    criterion = make_loss(config.train, some_unknown=task.plan.ignored_value is not None)
    if not task.seen.split.unlabelled:
        return Supervised(criterion)
    on_device = network.to(task.device)
    return MeanTeacher(on_device, criterion, config.teacher, task.plan.out_channels, config.seed)


def gathering_of(trainer: Trainer, graph: ChannelGraph, task: Task) -> Gathering | None:
    """Whoever collects scores from training steps, where the options allow it."""
    config, prune = task.config, task.config.prune
    gathers = (
        config.traits.prunes and prune.scoring == "training" and CRITERIA[prune.criterion].while_training
    )
    if not gathers or config.train.compile:  # hooks of compiled code are not called
        return None
    once = math.ceil(len(task.seen.split.training) / config.train.batch_size)
    batches = prune.score_batches or (config.train.steps if prune.score_round else once)
    trainer.watcher = gathering = Gathering(trainer.network, graph, prune.criterion, batches)
    return gathering


def learner_of(
    trainer: Trainer,
    held_out: ValidationCases,
    task: Task,
    randomness: np.random.Generator,
    gathering: Gathering | None,
) -> Learner:
    """The learner of a run; latency is measured only where the options ask for it."""
    plan, prune = task.plan, task.config.prune
    wanted = task.config.traits.prunes and "latency" in (prune.scaling, prune.target.kind)
    times = LayerTable(prune.runtime) if wanted else None

    def score(graph: ChannelGraph) -> Scores:
        with narrow_layers(), flushing_denormals():
            return importance(
                trainer.network, graph, trainer.scoring_batches(prune.score_batches),
                trainer.objective.criterion,
                criterion=prune.criterion, normalizer=prune.scaling, generator=randomness, times=times,
                gathered=gathering.raw(graph) if gathering is not None else None,
            )  # fmt: skip

    def trained() -> nn.Module:
        return trainer.objective.trained(trainer.network)

    def latency() -> float:
        example = torch.zeros((1, plan.in_channels, *plan.patch_size))
        taken = network_latency(trainer.network, plan.spatial_dims, example, prune.runtime)
        if times is not None:
            times.save()
        return taken.median

    return Learner(
        network=trainer.network,
        optimizer=trainer.optimizer,
        train=trainer.train,
        score=score,
        validate=lambda: validate(trained(), held_out, plan, task.device),
        fit=lambda: training_dice(trained(), trainer.scoring_batches(prune.score_batches), plan.out_channels),
        copies=trainer.objective.copies,
        before_first_cut=trainer.objective.before_first_cut,
        times=times,
        latency=latency if times is not None else None,
    )


def dice_on_training(network: nn.Module, task: Task) -> Mapping[str, float]:
    """Dice of each label over the training cases without augmentation; nan where none holds it."""
    with training_batches(task) as batches:
        layout = ({n: t.to(task.device) for n, t in batch.items()} for batch in batches.scoring_batches())
        return training_dice_per_label(network, layout, task.plan.label_names[1:])
