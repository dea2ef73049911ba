"""What the loop of a run is given: batches, objective, functions that train, score, validate, measure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..channels.criteria import CRITERIA
from ..channels.graph import ChannelGraph, LayerCall, Scores
from ..channels.importance import Gathering, importance
from ..core.prune_options import PruneOptions
from ..data.loaders import CaseCache, TrainingBatches, ValidationCases
from ..data.share import WHOLE, Share
from ..networks.denormals import flushing_denormals
from ..networks.narrow_layers import narrow_layers
from ..timing.latency import network_latency
from ..timing.layer_table import LayerTable
from ..train.distillation import Distillation
from ..train.learner import Learner
from ..train.loss import class_weights, make_loss
from ..train.mean_teacher import MeanTeacher
from ..train.objective import Objective, Supervised
from ..train.round import Fit
from ..train.state import take_training
from ..train.trainer import Trainer
from ..train.validation import training_fit, validate
from .task import Task
from .watched_windows import TrainingLook, window_count

T = TypeVar("T")
VETOED = 2  # labelled scans up to which a teacher may run wild


def training_batches(task: Task, cache: CaseCache | None = None, share: Share = WHOLE) -> TrainingBatches:
    """Batches of the cases that train, labelled or not."""
    config, split = task.config, task.seen.split
    return TrainingBatches(
        split.training, task.plan, config.train, config.data, config.seed,
        cache=cache, unlabelled=task.taught, teacher=config.teacher, share=share,
    )  # fmt: skip


def objective_of(network: nn.Module, task: Task) -> Objective:
    """The training method: with a teacher where there are scans without labels."""
    config = task.config
    criterion = _criterion(task)
    if not task.taught:
        return Supervised(criterion, config.train.mixing, config.seed)
    on_device, split = network.to(task.device), task.seen.split
    if task.teachers:
        found = Distillation(on_device, criterion, config.teacher, task.plan.out_channels, config.seed)
        return found.taught_by(task.teachers)
    voxels = task.seen.fingerprint.class_voxels
    # the share is known of whole scans, all of whose voxels are labelled
    known = task.plan.ignored_value is None and task.plan.crop == "none"
    few = known and len(split.training) <= VETOED
    return MeanTeacher(
        on_device, criterion, config.teacher, task.plan.out_channels, config.seed,
        foreground=1 - voxels[0] / sum(voxels) if few else None,
    )  # fmt: skip


def _criterion(task: Task) -> nn.Module:
    train = task.config.train
    weights = class_weights(train, task.seen.fingerprint.class_voxels)
    plan = task.plan
    return make_loss(train, weights=weights, regions=plan.regions).to(task.device)


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
    trainer.watcher = gathering = Gathering(
        trainer.network, graph, prune.criterion, batches, trainer.team.total
    )
    return gathering


def learner_of(
    trainer: Trainer,
    held_out: ValidationCases,
    task: Task,
    randomness: np.random.Generator,
    gathering: Gathering | None,
    batches: TrainingBatches,
) -> Learner:
    """The learner of a run; latency is measured only where the options ask for it."""
    prune, prunes, objective = task.config.prune, task.config.traits.prunes, trainer.objective
    wanted = prunes and "latency" in (prune.scaling, prune.target.kind)
    times = LayerTable(prune.runtime) if wanted else None
    look = TrainingLook(trainer, batches, task.plan, prune, window_count(task))
    return Learner(
        network=trainer.network,
        optimizer=trainer.optimizer,
        train=trainer.train,
        score=partial(_scores, trainer, prune, randomness, gathering, times),
        validate=lambda: validate(look.trained, held_out, task.plan, task.device),
        fit=look.fit if prunes or prune.guard else None,
        foresee=look.foresee if prunes and prune.guard else None,
        copies=objective.copies,
        before_first_cut=objective.before_first_cut,
        end_if_done=trainer.end_if_done,
        end=None if look.trained is trainer.network else trainer.end,
        times=times,
        latency=partial(_latency, trainer, task, times) if times is not None else None,
    )


def _scores(
    trainer: Trainer,
    prune: PruneOptions,
    randomness: np.random.Generator,
    gathering: Gathering | None,
    times: LayerTable | None,
    graph: ChannelGraph,
) -> Scores:
    """Importance of every channel, gathered while the network trained or measured by a pass."""
    with narrow_layers(), flushing_denormals():
        return importance(
            trainer.network, graph, trainer.scoring_batches(prune.score_batches),
            trainer.objective.criterion,
            criterion=prune.criterion, normalizer=prune.scaling, generator=randomness, times=times,
            gathered=gathering.raw(graph) if gathering is not None else None,
        )  # fmt: skip


def _latency(trainer: Trainer, task: Task, times: LayerTable) -> float:
    """Milliseconds of one window, measured; the times of the layers are kept beside it."""
    plan = task.plan
    example = torch.zeros((1, plan.in_channels, *plan.patch_size))
    taken = network_latency(trainer.network, plan.spatial_dims, example, task.config.prune.runtime)
    times.save()
    return taken.median


def together(live: Learner, trainer: Trainer) -> Learner:
    """The learner of a process of a team: all take the steps; what else is asked, the first one answers."""
    team = trainer.team
    if team.size == 1:
        return live

    def train(steps: int) -> float:
        loss = live.train(steps)
        team.check_alike(_everything(trainer))
        return loss

    def of_first(work: Callable[..., T]) -> Callable[..., T]:
        return lambda *given, **named: team.answer(lambda: work(*given, **named))

    return replace(
        live,
        train=train,
        score=of_first(live.score),
        choose=of_first(live.choose),
        validate=of_first(live.validate),
        fit=of_first(live.fit) if live.fit is not None else None,
        foresee=of_first(live.foresee) if live.foresee is not None else None,
        latency=of_first(live.latency) if live.latency is not None else None,
        times=live.times if team.first or live.times is None else _Unmeasured(),
    )


class _Unmeasured:
    """Times of layers where another process measures, and chooses by them."""

    def milliseconds(
        self, call: LayerCall, kernel: tuple[int, ...], in_channels: int, out_channels: int
    ) -> float:
        """Nothing."""
        return 0.0


def _everything(trainer: Trainer) -> dict[str, Tensor]:
    """All that steps change and depend on."""
    device, chance = trainer.device, {"chance": torch.get_rng_state()}
    if device.type == "cuda":
        chance["chance on the device"] = torch.cuda.get_rng_state(device)
    beside = {f"beside/{name}": tensor for name, tensor in trainer.objective.state().tensors.items()}
    return {**take_training(trainer.network, trainer.optimizer).tensors, **beside, **chance}


def fit_on_training(network: nn.Module, task: Task) -> Fit:
    """Loss, and Dice of each label, over windows of all training cases, each label in the middle of one."""
    with training_batches(task) as batches:
        layout = ({n: t.to(task.device) for n, t in batch.items()} for batch in batches.watch_batches())
        plan = task.plan
        return training_fit(network, layout, plan.label_names[1:], _criterion(task), plan.regions)
