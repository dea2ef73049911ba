"""One whole run: data -> plan -> network -> rounds -> chosen model, all of it in the run folder."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from . import __version__
from .allotment import Allotment, allot
from .channels.choice import rankable_groups, smallest
from .channels.cost import Tally
from .channels.graph import ChannelGraph, Scores
from .channels.importance import importance
from .channels.trace import trace
from .config import Config, dump_config
from .data.cases import Dataset
from .data.fingerprint import Fingerprint, fingerprint
from .data.labels import LabelTable, label_table
from .data.loaders import CaseCache, TrainingBatches, ValidationCases
from .data.plan import Plan
from .data.planning import make_plan
from .denormals import start_flushing_workers
from .errors import ConfigError
from .modelfile import Description, save_model
from .networks.planned import count, flat_spec, network_spec
from .networks.registry import NetworkSpec
from .runs import RunFolder
from .selection import select, smallest_within
from .stamp import Learner, Round, stamp, train_only
from .training import Trainer, lay_out, resolve_device, seed_everything
from .validation import training_dice, validate

USELESS_DICE = 0.1


class Reporter(Protocol):
    """Whoever watches a run."""

    def note(self, text: str) -> None:
        """A decision, in words."""
        ...

    def step(self, done: int, total: int, loss: float) -> None:
        """An optimiser step was taken."""
        ...

    def round(self, turn: Round) -> None:
        """A round has ended."""
        ...


@dataclass(frozen=True)
class Survey:
    """What is there, who trains, and how every case is prepared."""

    dataset: Dataset
    table: LabelTable
    allotment: Allotment
    fingerprint: Fingerprint
    plan: Plan


def survey(dataset: Dataset, config: Config) -> Survey:
    """Look at the data and plan the run; the plan sees the training cases only."""
    allotment = allot(dataset.cases, config)
    # Cases that were not drawn stay unread: their labels cost time, and may be broken.
    table = label_table((*allotment.training, *allotment.validation), dataset.label_names)
    seen = fingerprint(allotment.training, table, dataset.channel_names)
    plan = make_plan(seen, table, config.data, config.network.poolings)
    return Survey(dataset, table, allotment, seen, plan)


def run_training(dataset: Dataset, folder: RunFolder, config: Config, reporter: Reporter) -> dict[str, Any]:
    """Train (and prune) as configured; everything is written to `folder`.

    Returns:
        What result.json holds.
    """
    start = time.perf_counter()
    start_flushing_workers()
    seed_everything(config.seed)
    device = resolve_device(config.device)
    seen = survey(dataset, config)
    config = _settle(config, seen, reporter)
    _write_inputs(folder, seen, config)
    for text in (*dataset.warnings, *seen.table.notes, *seen.plan.notes, seen.allotment.note):
        reporter.note(text)
    dense = network_spec(seen.plan, config)
    spec = flat_spec(dense, config.prune) if config.method == "flat" else dense
    network = lay_out(spec.build(), seen.plan.spatial_dims, torch.device("cpu"))
    graph = trace(network, torch.zeros(spec.example_shape))
    first = Tally(network, graph)
    goal = _goal(network, graph, config)
    reporter.note(
        f"{config.method}: a network of {first.parameters:,} parameters, {config.train.steps} steps{goal}"
    )

    cases = seen.allotment
    rounds: list[Round] = []
    cache = CaseCache(seen.plan, config.data.cache_megabytes)
    with TrainingBatches(
        cases.training, seen.plan, config.train, config.data, config.seed, cache=cache
    ) as batches:
        trainer = Trainer(
            network, batches, config.train, config.train.steps, device,
            lambda done, loss: reporter.step(done, config.train.steps, loss),
        )  # fmt: skip
        held_out = ValidationCases(cases.validation, cache)
        learner = _learner(trainer, held_out, seen.plan, config, device)
        for turn in _rounds(learner, graph, config):
            rounds.append(turn)
            save_model(folder.round_model(turn.number), network, _describe(spec, seen.plan, config, turn))
            folder.append_round(turn)
            reporter.round(turn)
    before = {"parameters": first.parameters, "flops": first.flops}
    result = _conclude(folder, rounds, before, count(dense), seen, config, time.perf_counter() - start)
    for text in result["remarks"]:
        reporter.note(text)
    return result


def _goal(network: nn.Module, graph: ChannelGraph, config: Config) -> str:
    """The target in words; a size that no cut can reach is refused."""
    prune = config.prune
    if config.method not in ("stamp", "stamp+"):
        return ""
    if prune.target.floor is not None:
        return f", target: {prune.target}"
    kind = "flops" if prune.target.kind == "flops" else "parameters"
    limit = prune.target.limit(getattr(Tally(network, graph), kind))
    groups = {group.name for group in rankable_groups(graph, prune.rankable)}
    least = getattr(smallest(network, graph, prune.minimum_width, groups), kind)
    if limit < least:
        hint = f"; did you mean {prune.target.amount}%?" if (prune.target.amount or 101) <= 100 else ""
        raise ConfigError(
            f"target {limit:,} {kind}: the smallest network that is left has {least:,}; ask for more{hint}"
        )
    return f", target: {limit:,} {kind}"


def _settle(config: Config, seen: Survey, reporter: Reporter) -> Config:
    """Options that only the data can decide, and combinations it rules out."""
    changes: dict[str, Any] = {}
    if config.prune.criterion == "l1-std" and len(seen.allotment.training) == 1:
        reporter.note("l1-std needs two cases and there is one: l1 is used")
        changes["prune"] = {"criterion": "l1"}
    if config.prune.target.floor is not None and not seen.allotment.validation:
        raise ConfigError(
            "a Dice floor as --target needs validation cases; give --validation, or a size such as 15%"
        )
    settled = config.merged(changes)
    batch = settled.train.batch_size
    if len(seen.allotment.training) < batch:
        reporter.note(
            f"{len(seen.allotment.training)} case(s) are fewer than a batch of {batch}: "
            "each is drawn several times"
        )
    return settled


def _write_inputs(folder: RunFolder, seen: Survey, config: Config) -> None:
    folder.write_text("config.yaml", dump_config(config))
    folder.write_json("plan.json", seen.plan.model_dump(mode="json"))
    folder.write_json(
        "splits.json",
        {
            part: [
                {"id": c.id, "group": c.group, "label": str(c.label)} for c in getattr(seen.allotment, part)
            ]
            for part in ("training", "validation")
        },
    )


def _learner(
    trainer: Trainer, held_out: ValidationCases, plan: Plan, config: Config, device: torch.device
) -> Learner:
    randomness = np.random.default_rng(config.seed)

    def score(graph: ChannelGraph) -> Scores:
        return importance(
            trainer.network, graph, trainer.scoring_batches(config.prune.score_batches), trainer.loss,
            criterion=config.prune.criterion, normalizer=config.prune.normalizer, generator=randomness,
        )  # fmt: skip

    return Learner(
        network=trainer.network,
        optimizer=trainer.optimizer,
        train=trainer.train,
        score=score,
        validate=lambda: validate(trainer.network, held_out, plan, device),
        fit=lambda: training_dice(
            trainer.network, trainer.scoring_batches(config.prune.score_batches), plan.out_channels
        ),
    )


def _rounds(learner: Learner, graph: ChannelGraph, config: Config) -> Iterator[Round]:
    """Rounds of the configured method."""
    steps, patience = config.train.steps, config.train.patience
    stages = max(1, round(steps / config.train.validate_every)) if config.train.validate_every else 10
    if config.method in ("dense", "flat"):
        yield from train_only(learner, graph, steps, patience=patience, stages=stages)
    else:
        yield from stamp(
            learner, graph, config.prune, steps,
            dropout=config.method == "stamp+", patience=patience, stages=max(1, stages // 2),
        )  # fmt: skip


def _describe(spec: NetworkSpec, plan: Plan, config: Config, turn: Round) -> Description:
    return Description(
        network=spec,
        kept=dict(turn.graph.kept) if turn.graph else {},
        plan=plan,
        provenance={
            "stampseg": __version__,
            "method": config.method,
            "seed": config.seed,
            "round": turn.number,
            "steps": turn.steps,
            "validation_dice": turn.validation.dice if turn.validation else None,
        },
    )


def _conclude(
    folder: RunFolder,
    rounds: list[Round],
    before: dict[str, int],
    dense: tuple[int, int],
    seen: Survey,
    config: Config,
    seconds: float,
) -> dict[str, Any]:
    """Choose the model and write result.json."""
    start = Round(-1, "train", {}, before["parameters"], before["flops"], 0, 0.0, None)
    pruned = config.method in ("stamp", "stamp+")
    choice = select(rounds, config.prune, start, pruned)
    chosen = rounds[choice.number]
    folder.choose(choice.number)
    validation = chosen.validation
    result = {
        "method": config.method,
        "seed": config.seed,
        "parameters_before": before["parameters"],
        "parameters_after": chosen.parameters,
        "flops_before": before["flops"],
        "flops_after": chosen.flops,
        "parameters_dense": dense[0],
        "flops_dense": dense[1],
        "validation_dice": validation.dice if validation else None,
        "validation_dice_per_label": dict(validation.per_label) if validation else None,
        "rounds": len(rounds),
        "steps": rounds[-1].steps,
        "seconds": round(seconds, 1),
        "training_cases": len(seen.allotment.training),
        "validation_cases": len(seen.allotment.validation),
        "target": str(config.prune.target) if config.method != "dense" else None,
        "target_reached": choice.target_reached,
        "chosen_round": choice.number,
        "rule": choice.rule,
        "remarks": _remarks(rounds, chosen, choice.target_reached, config, pruned),
        "widths": dict(chosen.widths),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "stampseg": __version__,
        },
    }
    folder.write_json("result.json", result)
    return result


def _remarks(rounds: list[Round], chosen: Round, reached: bool, config: Config, pruned: bool) -> list[str]:
    """What a reader should know about the choice."""
    remarks = []
    if chosen.validation and chosen.validation.dice < USELESS_DICE:
        remarks.append(
            f"WARNING: validation Dice is {chosen.validation.dice:.3f}: this network has learnt next to "
            "nothing; give it more --steps, and look at the masks with `stampseg check`"
        )
    if pruned and not reached:
        remarks.append(
            f"the target ({config.prune.target}) was not reached: "
            f"the network has {chosen.parameters:,} parameters"
        )
    undone = sum(turn.event == "rolled back" for turn in rounds)
    if undone:
        remarks.append(
            f"{undone} cut(s) did not heal (prune.max_drop {config.prune.max_drop:g}) and were rolled back; "
            "their channels were spared"
        )
    best = max((t.validation.dice for t in rounds if t.validation), default=None)
    if best is not None and chosen.validation and chosen.validation.dice < best - config.prune.tolerance:
        other = smallest_within(rounds, config.prune.tolerance)
        if other is not None:
            remarks.append(
                f"round {other.number} ({other.parameters:,} parameters) had validation Dice {best:.3f}, "
                f"the chosen one {chosen.validation.dice:.3f}; "
                f"its network is rounds/{other.number:03d}.safetensors"
            )
    return remarks
