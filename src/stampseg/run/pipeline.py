"""One whole run: data -> plan -> network -> rounds -> chosen model, all of it in the run folder."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ..channels.choice import rankable_groups, reachable_limit
from ..channels.cost import Tally
from ..channels.criteria import CRITERIA, SIMPLEST
from ..channels.dropout import attach_dropout
from ..channels.graph import ChannelGraph, Scores
from ..channels.importance import Gathering, importance
from ..channels.surgery import apply_cut
from ..channels.trace import trace
from ..core.config import Config, dump_config
from ..core.errors import ConfigError
from ..core.version import __version__
from ..data.cases import Dataset
from ..data.loaders import CaseCache, TrainingBatches, ValidationCases
from ..data.plan import Plan
from ..data.splits import _entry
from ..networks.denormals import flushing_denormals, start_flushing_workers
from ..networks.device import lay_out, resolve_device, seed_everything
from ..networks.factory import count, flat_spec, network_spec
from ..networks.model_file import Description, load_model, save_model
from ..networks.narrow_layers import narrow_layers
from ..networks.outputs import check_outputs
from ..networks.pretrained.source import fill
from ..networks.pretrained.trained_network import Source
from ..networks.registry import NetworkSpec
from ..timing.latency import network_latency
from ..timing.layer_table import LayerTable
from ..train.loss import make_loss
from ..train.mean_teacher import MeanTeacher
from ..train.objective import Objective, Supervised
from ..train.stamp import Learner, Round, as_given, stamp, train_only
from ..train.trainer import Trainer
from ..train.validation import training_dice, training_dice_per_label, validate
from .checkpoint import Checkpointer
from .folder import RunFolder
from .reporters import Reporter
from .result import write_result
from .survey import Survey, survey


def run_training(
    dataset: Dataset,
    folder: RunFolder,
    config: Config,
    reporter: Reporter,
    source: Source | None = None,
    trusted: Collection[str] = (),
) -> dict[str, Any]:
    """Train (and prune) as configured; everything is written to `folder`.

    Args:
        dataset: the labelled cases.
        folder: a new run folder, or that of a stopped run with the same data and options.
        config: options.
        reporter: is told of decisions, steps and rounds.
        source: a trained network to start from; None: a fresh one.
        trusted: `package.module:Class` names whose code the source may use.

    Returns:
        What result.json holds.
    """
    checkpointer = Checkpointer(folder.path, config.train.checkpoint_minutes)
    folder.keep_rounds(checkpointer.rounds_saved)
    start_flushing_workers()
    seed_everything(config.seed)
    device = resolve_device(config.device)
    seen = survey(dataset, config, source)
    config = folder.config() if checkpointer.resumed else _settle(config, seen, reporter)
    _write_inputs(folder, seen, config)
    for text in (*dataset.warnings, *seen.table.notes, *seen.plan.notes, seen.split.note):
        reporter.note(text)
    network, graph, spec = _begin(seen.plan, config, source, trusted)
    times = LayerTable(config.prune.runtime) if _wants_latency(config) else None
    first = Tally(network, graph, times)
    goal = _goal(network, graph, config)
    reporter.note(
        f"{config.method}: a network of {first.parameters:,} parameters, {config.train.steps} steps{goal}"
    )

    cases = seen.split
    rounds: list[Round] = []
    cache = CaseCache(seen.plan, config.data.cache_megabytes)
    with TrainingBatches(
        cases.training,
        seen.plan,
        config.train,
        config.data,
        config.seed,
        cache=cache,
        unlabelled=cases.unlabelled,
        teacher=config.teacher,
    ) as batches:
        trainer = Trainer(
            network, batches, config.train, config.train.steps, device,
            objective=_objective(network, seen, config, device),
            on_step=lambda done, loss: _stepped(done, config.train.steps, loss, reporter, checkpointer),
            warn=reporter.note,
        )  # fmt: skip
        held_out = ValidationCases(cases.validation, cache)
        randomness, gathering = np.random.default_rng(config.seed), _gathering(trainer, graph, seen, config)
        checkpointer.follow(trainer, gathering, randomness)
        learner = checkpointer.learner(
            _learner(trainer, held_out, seen, config, device, times, randomness, gathering)
        )
        if checkpointer.resumed:
            reporter.note(f"resumed after {checkpointer.rounds_saved} round(s)")
        given = learner.validate() if source is not None else None
        if given is not None:
            reporter.note(f"as given: validation Dice {given.dice:.3f}")
        before = as_given(learner, graph, given)
        for turn in _rounds(learner, graph, config, before):
            rounds.append(turn)
            if checkpointer.passed():
                continue
            model = trainer.objective.trained(network)
            description = _describe(spec, seen.plan, config, turn, source)
            save_model(folder.round_model(turn.number), model, description)
            folder.append_round(turn)
            checkpointer.keep()
            reporter.round(turn)
    dense = count(network_spec(seen.plan, config) if config.traits.one_width else spec)

    def trained_dice() -> Mapping[str, float]:
        chosen = load_model(folder.model, device, trusted=(*trusted, spec.name)).network
        chosen = lay_out(chosen, seen.plan.spatial_dims, device)
        return training_dice_per_label(chosen, trainer.scoring_batches(None), seen.plan.label_names[1:])

    result = write_result(folder, rounds, before, dense, seen, config, checkpointer.seconds, trained_dice)
    for text in result["remarks"]:
        reporter.note(text)
    return result


def _objective(network: nn.Module, seen: Survey, config: Config, device: torch.device) -> Objective:
    """The training method: with a teacher where there are scans without labels."""
    criterion = make_loss(config.train)
    if not seen.split.unlabelled:
        return Supervised(criterion)
    return MeanTeacher(network.to(device), criterion, config.teacher, seen.plan.out_channels, config.seed)


def _stepped(done: int, steps: int, loss: float, reporter: Reporter, checkpointer: Checkpointer) -> None:
    reporter.step(done, steps, loss)
    checkpointer.step()


def _begin(
    plan: Plan, config: Config, source: Source | None, trusted: Collection[str]
) -> tuple[nn.Module, ChannelGraph, NetworkSpec]:
    """The network to train, on the CPU, its channels and its description."""
    spec = source.spec if source is not None else None
    if spec is None:
        spec = network_spec(plan, config)
        trusted = (*trusted, spec.name)  # the options name it
    if config.traits.one_width:
        spec = flat_spec(spec, config.prune)
    # a network that was described elsewhere is traced for the patch it is now trained on
    spec = spec.model_copy(update={"example_shape": (1, plan.in_channels, *plan.patch_size)})
    network = spec.build(trusted)
    example = torch.zeros(spec.example_shape)
    graph = trace(network, example)
    if source is not None:
        if source.kept is not None:
            graph = apply_cut(network, graph, graph.cut_to(source.kept))
        fill(network, source)
    check_outputs(network, example, plan.out_channels)
    if config.traits.targets_dropout:
        graph = attach_dropout(network, graph, example)
    return lay_out(network, plan.spatial_dims, torch.device("cpu")), graph, spec


def _wants_latency(config: Config) -> bool:
    """Whether anything in the run asks how long the network takes."""
    return config.traits.prunes and "latency" in (
        config.prune.scaling,
        config.prune.target.kind,
    )


def _goal(network: nn.Module, graph: ChannelGraph, config: Config) -> str:
    """The target in words; a size that no cut can reach is refused."""
    prune = config.prune
    if not config.traits.prunes:
        return ""
    limit = reachable_limit(
        network, graph, prune.target, rankable_groups(graph, prune.scope),
        minimum_width=prune.minimum_width, evenness=prune.evenness,
    )  # fmt: skip
    return f", target: {limit or prune.target}"


def _settle(config: Config, seen: Survey, reporter: Reporter) -> Config:
    """Options that only the data can decide, and combinations it rules out."""
    changes: dict[str, Any] = {}
    criterion = CRITERIA[config.prune.criterion]
    if criterion.deviation and len(seen.split.training) == 1:
        reporter.note(f"{criterion.name} needs two cases and there is one: {SIMPLEST} is used")
        changes["prune"] = {"criterion": SIMPLEST}
    if config.prune.target.floor is not None and not seen.split.validation:
        raise ConfigError(
            "a Dice floor as `prune.target` needs validation cases that hold a label; give "
            "`train.validation`, or a size such as 15%"
        )
    settled = config.merged(changes)
    batch = settled.train.batch_size
    if len(seen.split.training) < batch:
        reporter.note(
            f"{len(seen.split.training)} case(s) are fewer than a batch of {batch}: "
            "each is drawn several times"
        )
    return settled


def _write_inputs(folder: RunFolder, seen: Survey, config: Config) -> None:
    folder.write_text("config.yaml", dump_config(config))
    folder.settle("plan.json", seen.plan.model_dump(mode="json"), "the data, or how they are prepared,")
    folder.write_json("fingerprint.json", seen.fingerprint.model_dump(mode="json"))
    parts = ("training", "validation", *(["unlabelled"] if seen.split.unlabelled else []))
    splits = {part: [_entry(case) for case in getattr(seen.split, part)] for part in parts}
    folder.settle("splits.json", splits, "the cases, or what is in their files,")


def _gathering(trainer: Trainer, graph: ChannelGraph, seen: Survey, config: Config) -> Gathering | None:
    """Whoever collects scores from training steps, where the options allow it."""
    prune = config.prune
    gathers = (
        config.traits.prunes and prune.scoring == "training" and CRITERIA[prune.criterion].while_training
    )
    if not gathers or config.train.compile:  # hooks of compiled code are not called
        return None
    once = math.ceil(len(seen.split.training) / config.train.batch_size)
    batches = config.train.steps if prune.score_round else prune.score_batches or once
    trainer.watcher = gathering = Gathering(trainer.network, graph, prune.criterion, batches)
    return gathering


def _learner(
    trainer: Trainer,
    held_out: ValidationCases,
    seen: Survey,
    config: Config,
    device: torch.device,
    times: LayerTable | None,
    randomness: np.random.Generator,
    gathering: Gathering | None,
) -> Learner:
    plan, prune = seen.plan, config.prune

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
        validate=lambda: validate(trained(), held_out, plan, device),
        fit=lambda: training_dice(trained(), trainer.scoring_batches(prune.score_batches), plan.out_channels),
        copies=trainer.objective.copies,
        before_first_cut=trainer.objective.before_first_cut,
        times=times,
        latency=latency if times is not None else None,
    )


def _rounds(learner: Learner, graph: ChannelGraph, config: Config, before: Round) -> Iterator[Round]:
    """Rounds of the configured method."""
    steps, patience = config.train.steps, config.train.patience
    stages = max(1, round(steps / config.train.validate_every)) if config.train.validate_every else 10
    if not config.traits.prunes:
        yield from train_only(learner, graph, steps, patience=patience, stages=stages, before=before)
    else:
        yield from stamp(
            learner, graph, config.prune, steps, dropout=config.traits.targets_dropout,
            patience=patience, stages=max(1, stages // 2), before=before,
        )  # fmt: skip


def _describe(
    spec: NetworkSpec, plan: Plan, config: Config, turn: Round, source: Source | None
) -> Description:
    return Description(
        network=spec,
        kept=dict(turn.graph.kept) if turn.graph else {},
        plan=plan,
        provenance={
            "stampseg": __version__,
            "method": config.method,
            "pruned_from": f"{source.kind} {source.path.name}" if source is not None else None,
            "seed": config.seed,
            "round": turn.number,
            "steps": turn.steps,
            "validation_dice": turn.validation.dice if turn.validation else None,
        },
    )
