"""One whole run: data -> plan -> network -> rounds -> chosen model, all of it in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..channels.cost import Tally
from ..channels.dropout import attach_dropout
from ..channels.graph import ChannelGraph
from ..channels.surgery import apply_cut
from ..channels.trace import trace
from ..core.config import Config
from ..core.errors import WiringError
from ..core.level import Level
from ..core.memory import keeping_freed_memory
from ..core.text import counted
from ..core.version import __version__
from ..data.cases import Dataset
from ..data.loaders import CaseCache, ValidationCases
from ..data.splits.known import FILES, VOXELS, digests_in
from ..networks.denormals import start_flushing_workers
from ..networks.device import devices_of, lay_out, resolve_device, seed_everything
from ..networks.factory import count, network_spec, sized_spec
from ..networks.inherited import cut_and_redraw, kept_of
from ..networks.model_file import Description, load_model, save_model
from ..networks.outputs import check_outputs
from ..networks.pretrained.source import fill, open_source
from ..networks.pretrained.trained_network import Source
from ..networks.registry import NetworkSpec
from ..train.learner import Learner, as_given
from ..train.round import Fit, Round
from ..train.schedule import reachable_target
from ..train.shared_layers import prove_shared
from ..train.stamp import stamp, train_only
from ..train.team import Team
from ..train.trainer import Trainer
from .calibration import calibrate_by_validation
from .checkpoint import Checkpointer
from .folder import RunFolder
from .interruption import between_steps
from .learner import (
    fit_on_training,
    gathering_of,
    learner_of,
    objective_of,
    together,
    training_batches,
)
from .processes import working_together
from .records import Result
from .reporters import Reporter, Reporters
from .result import Trained, write_result
from .task import Task, task_of, taught_by


def run_training(
    dataset: Dataset,
    folder: RunFolder,
    config: Config,
    reporter: Reporter,
    source: Source | None = None,
    trusted: Collection[str] = (),
    teachers: Sequence[Path] = (),
) -> Result:
    """Train (and prune) as configured; everything is written to `folder`.

    Args:
        dataset: the labelled cases.
        folder: a new run folder, or that of a stopped run with the same data and options.
        config: options.
        reporter: is told of decisions, steps and rounds.
        source: a trained network to start from; None: a fresh one.
        trusted: `package.module:Class` names whose code the source may use.
        teachers: model files of networks that teach it, of the plan in `folder`.

    Returns:
        What result.json holds.
    """
    checkpointer = Checkpointer(folder.path, config.train.checkpoint_minutes)
    folder.keep_rounds(checkpointer.rounds_saved)
    start_flushing_workers()
    seed_everything(config.seed)
    places = devices_of(resolve_device(config.device), config.devices)
    if folder.config() is not None and not checkpointer.resumed:
        reporter.note(
            "resumed: it was stopped before anything was kept of its steps, and begins at the first"
        )
    bare = task_of(dataset, folder, config, reporter, source, places[0])
    with working_together(
        places, lambda text: reporter.note(text, Level.ERROR),
        follow, folder.path, bare, source and source.path, tuple(trusted), tuple(teachers),
    ) as team:  # fmt: skip
        team.draw_alike()
        task = taught_by(bare, teachers)
        network, graph, spec = _begin(task, source, trusted)
        _announce(network, graph, task, reporter, team, source is not None)
        prove_shared(network, spec, team)
        with between_steps():
            kept = _Kept(folder, checkpointer, reporter, lambda turn: _describe(spec, task, turn, source))
            trained = _train(network, graph, task, kept, team, source is not None)

    def trained_fit(number: int) -> Fit:
        chosen = load_model(folder.round_model(number), task.device, trusted=(*trusted, spec.name)).network
        return fit_on_training(lay_out(chosen, task.plan.spatial_dims, task.device), task)

    dense = count(network_spec(task.plan, task.config) if task.config.traits.sized else spec)
    result = write_result(
        folder, task, trained, dense, checkpointer.seconds, trained_fit,
        lambda model: calibrate_by_validation(model, task, (*trusted, spec.name)),
    )  # fmt: skip
    for text in result.warnings:
        reporter.note(text, Level.WARNING)
    for text in result.remarks:
        reporter.note(text)
    return result


def follow(
    team: Team,
    device: torch.device,
    path: Path,
    task: Task,
    given: Path | None,
    trusted: Collection[str],
    teachers: Sequence[Path],
) -> None:
    """The run in a process that is not the first of its team: the same steps and cuts; nothing is written."""
    checkpointer = Checkpointer(path, task.config.train.checkpoint_minutes, writes=False)
    start_flushing_workers()
    seed_everything(task.config.seed)
    source = open_source(given, trusted=trusted) if given is not None else None
    team.draw_alike()
    task = taught_by(replace(task, device=device), teachers)
    network, graph, spec = _begin(task, source, trusted)
    prove_shared(network, spec, team)
    _train(network, graph, task, _Kept(None, checkpointer, Reporters([])), team, source is not None)


@dataclass(frozen=True)
class _Kept:
    """Where a run goes on from and what becomes of its rounds; nothing in a process that is not the first."""

    folder: RunFolder | None
    checkpointer: Checkpointer
    reporter: Reporter
    describe: Callable[[Round], Description] | None = None

    def round(self, turn: Round, model: nn.Module) -> None:
        """Write a round that has ended."""
        if self.folder is not None and self.describe is not None:
            save_model(self.folder.round_model(turn.number), model, self.describe(turn))
            self.folder.append_round(turn)
        self.checkpointer.keep()
        self.reporter.round(turn)


def _announce(
    network: nn.Module, graph: ChannelGraph, task: Task, reporter: Reporter, team: Team, given: bool
) -> None:
    what = "the trained network" if given else f"{task.config.method}: a network"
    size, goal = f"{Tally(network, graph).parameters:,} parameters", _goal(network, graph, task.config)
    reporter.note(f"{what} of {size}, {task.config.train.steps} steps{goal}")
    if team.size > 1:
        reporter.note(f"{team.size} processes ({task.device.type}), each with its share of every batch")
    if task.teachers:
        reporter.note(f"{len(task.teachers)} networks teach it, on all {len(task.taught)} scans")
    if task.taught:
        teacher = task.config.teacher
        reporter.note(
            f"the loss rises while what the teacher says comes in, from {teacher.start:.0%} to "
            f"{teacher.full:.0%} of the steps"
        )


@keeping_freed_memory()
def _train(
    network: nn.Module, graph: ChannelGraph, task: Task, kept: _Kept, team: Team, is_given: bool
) -> Trained:
    """What came of all rounds, each of which is kept in the folder."""
    config, rounds = task.config, list[Round]()
    checkpointer, reporter = kept.checkpointer, kept.reporter
    cache = CaseCache(task.plan, config.data.cache_megabytes)
    with training_batches(task, cache, team.share) as batches:
        trainer = Trainer(
            network, batches, config.train, config.train.steps, task.device,
            objective=objective_of(network, task),
            on_step=lambda done, loss: _stepped(done, config.train.steps, loss, reporter, checkpointer),
            warn=lambda text: reporter.note(text, Level.WARNING), team=team,
        )  # fmt: skip
        gathering, randomness = gathering_of(trainer, graph, task), np.random.default_rng(config.seed)
        checkpointer.follow(trainer, gathering, randomness)
        held_out = ValidationCases(task.seen.split.validation, cache)
        live = learner_of(trainer, held_out, task, randomness, gathering, batches)
        learner = checkpointer.learner(together(live, trainer))
        if checkpointer.resumed:
            ended = counted(checkpointer.rounds_saved, "round")
            reporter.note(
                f"resumed: goes on after step {checkpointer.steps_saved:,} of {config.train.steps:,}, "
                f"with {ended} done"
            )
        given = learner.validate() if is_given else None
        if given is not None:
            reporter.note(f"as given: validation Dice {given.dice:.3f}")
        before = as_given(learner, graph, given)
        for turn in _rounds(learner, graph, config, before):
            if turn.event == "cut" and (said := _unready(rounds, config)):
                reporter.note(said, Level.WARNING)
            rounds.append(turn)
            if checkpointer.passed():
                continue
            kept.round(turn, trainer.objective.trained(network))
        remarks = trainer.objective.remarks()
    return Trained(before, rounds, remarks)


def _unready(rounds: list[Round], config: Config) -> str:
    """Before the first cut: what is said where it comes although some label is hardly found; else nothing."""
    fit = rounds[-1].fit if rounds else None
    if fit is None or rounds[-1].event == "cut" or any(turn.event == "cut" for turn in rounds):
        return ""
    late = [f"{name} {dice:.2f}" for name, dice in fit.per_label.items() if dice < config.prune.ready_dice]
    if not late:
        return ""
    return (
        f"cutting begins although some labels are hardly found (Dice on training windows: {', '.join(late)}; "
        f"`prune.ready_dice` is {config.prune.ready_dice:g}); give it more `train.steps`"
    )


def _stepped(done: int, steps: int, loss: float, reporter: Reporter, checkpointer: Checkpointer) -> None:
    reporter.step(done, steps, loss)
    checkpointer.step()


def _begin(
    task: Task, source: Source | None, trusted: Collection[str]
) -> tuple[nn.Module, ChannelGraph, NetworkSpec]:
    """The network to train, on the CPU, its channels and its description."""
    plan, config = task.plan, task.config
    spec = source.spec if source is not None else None
    if spec is None:
        spec = network_spec(plan, config)
        trusted = (*trusted, spec.name)  # the options name it
    if config.traits.sized:
        spec = sized_spec(spec, config)
    # a network that was described elsewhere is traced for the patch it is now trained on
    spec = spec.model_copy(update={"example_shape": (1, plan.in_channels, *plan.patch_size)})
    network = spec.build(trusted)
    example = torch.zeros(spec.example_shape)
    graph = trace(network, example)
    if config.traits.targets_dropout or (config.train.channel_dropout and not config.traits.prunes):
        # while it is whole: cut to one channel, a depthwise convolution is traced as a plain one
        graph = attach_dropout(network, graph, example)
    if source is not None:
        if source.kept is not None:
            graph = apply_cut(network, graph, graph.cut_to(source.kept))
        fill(network, source)
    elif config.network.widths_of is not None:
        kept = kept_of(config.network.widths_of, spec)
        graph = cut_and_redraw(network, graph, kept, spec.build(trusted))
    try:
        check_outputs(network, example, plan.out_channels)
    except WiringError as error:
        if source is None:
            raise
        raise WiringError(
            f"{source.path}: {error}; give masks of all the classes it was trained on"
        ) from None
    return lay_out(network, plan.spatial_dims, torch.device("cpu")), graph, spec


def _goal(network: nn.Module, graph: ChannelGraph, config: Config) -> str:
    """The target in words; a size that no cut can reach is refused."""
    prune = config.prune
    if not config.traits.prunes:
        return ""
    limit = reachable_target(network, graph, prune)
    return f", target: {limit or prune.target}"


def _rounds(learner: Learner, graph: ChannelGraph, config: Config, before: Round) -> Iterator[Round]:
    """Rounds of the configured method."""
    steps, patience, every = config.train.steps, config.train.patience, config.train.validate_every
    if not config.traits.prunes:
        yield from train_only(
            learner, graph, steps, patience=patience, every=every, before=before,
            dropout=config.train.channel_dropout,
        )  # fmt: skip
    else:
        yield from stamp(
            learner, graph, config.prune, steps, dropout=config.traits.targets_dropout,
            patience=patience, every=every, before=before,
        )  # fmt: skip


def _describe(spec: NetworkSpec, task: Task, turn: Round, source: Source | None) -> Description:
    goes_on = source is not None and not task.config.traits.prunes
    before = source.provenance if source is not None else {}
    origin = "went_on_from" if goes_on else "pruned_from"
    return Description(
        network=spec,
        kept=dict(turn.graph.kept) if turn.graph else {},
        plan=task.plan,
        provenance={
            "stampseg": __version__,
            "method": task.config.method,
            origin: f"{source.kind} {source.path.name}" if source is not None else None,
            "seed": task.config.seed,
            "round": turn.number,
            "steps": turn.steps,
            "unlabelled_cases": len(task.seen.split.unlabelled),
            FILES: sorted({*task.learnt_from, *digests_in(before, FILES)}),
            VOXELS: sorted({*task.seen.fingerprint.contents, *digests_in(before, VOXELS)} - {""}),
            "validation_dice": turn.validation.dice if turn.validation else None,
        },
    )
