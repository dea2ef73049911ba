"""STAMP: a network learns while whole channels are taken from it.

Dinsdale, Jenkinson, Namburete, "STAMP: Simultaneous Training and Model Pruning for low data
regimes in medical image segmentation", Medical Image Analysis 81:102583 (2022), algorithm 1.

    train a little
    repeat until small enough:
        score      every channel on the training set                   section 3.2
        choose     the lowest of the whole network
        cut        them out; optimiser and statistics live on
        dropout    more for layers that rank low (the + of STAMP+)     section 3.3
        recover    by training on
    train to the end

Nothing is pretrained. This file knows no files, no printing and no data: it is given functions
that train, score and validate, and yields one `Round` per turn.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..channels.choice import Bounds, bounds_of, rankable_groups, removable
from ..channels.criteria import CRITERIA
from ..channels.dropout import dropped_groups, set_uniform_rate
from ..channels.graph import ChannelGraph, Cut, Scores
from ..core.prune_options import PruneOptions
from .learner import Learner, as_given
from .round import Event, Round
from .schedule import Schedule, make_schedule
from .training_run import TrainingRun

WITHOUT_DROPOUT = 0.4  # share of the steps at the end, where dropout is uniform
PIECE = 20  # a network that has not learnt enough is looked at again after one part in so many of the steps
LATEST_START = 0.5  # share of the steps after which pruning starts, ready or not
LEAST_FINISH = 0.5  # of the finish, that is kept from rounds beyond those that were planned
LAST_START = 0.75  # the same where next to nothing of some label is found by then


def stamp(
    learner: Learner,
    graph: ChannelGraph,
    options: PruneOptions,
    steps: int,
    *,
    dropout: bool = True,
    patience: int | None = None,
    every: int | None = None,
    before: Round | None = None,
) -> Iterator[Round]:
    """Train and prune `learner.network` for `steps` optimiser steps; yields after every round.

    Args:
        learner: network, optimiser, and the functions that train, score and validate.
        graph: the network's channels, from `trace`.
        options: criterion, amounts, target.
        steps: optimiser steps of the whole run, recovery and finish included.
        dropout: True for STAMP+, False for STAMP.
        patience: stages of the finish without a better Dice after which it ends early.
        every: steps of such a stage, at whose end the network is validated; None: a fifth of the finish.
        before: what `as_given` says of the network, if it has been asked already; its Dice is what the cuts
            are measured by, its latency what the target is a share of.
    """
    run = TrainingRun(learner, graph, steps, before or as_given(learner, graph), options)
    ranked = rankable_groups(graph, options.scope)
    bounds = bounds_of(ranked, options.target, run.size, options.evenness)
    schedule = partial(
        make_schedule, options, steps, run.size(bounds.limit.kind), bounds.limit.amount,
        sum(group.size for group in ranked),
    )  # fmt: skip
    if dropout:
        set_uniform_rate(learner.network, options.dropout_initial)
    yield from warm_up(run, options, schedule())
    # of a network that finds nothing, no channel can be told from another: nothing is cut
    if not (options.ready_dice and run.blind()):
        yield from prune(run, options, bounds, schedule(spent=run.steps), dropout)
    if dropout and not options.dropout_in_finish:
        run.rates = {}
        set_uniform_rate(learner.network, 0.0)
    yield from finish(run, run.left, _stages(run.left, every, 5), patience)


def warm_up(run: TrainingRun, options: PruneOptions, schedule: Schedule) -> Iterator[Round]:
    """Train a little: as planned, then on to the Dice floor, if any, and until all labels are found."""
    if schedule.warmup:
        yield run.turn("warm-up", schedule.warmup)
    floor = options.target.floor
    while floor is not None and run.below(floor) and run.left > schedule.finish:
        yield run.turn("warm-up", min(schedule.recovery(0), run.left - schedule.finish))
    piece = max(1, run.total // PIECE)
    while run.unready(options):
        if run.steps + piece > run.total * (LAST_START if run.blind() else LATEST_START):
            break
        yield run.turn("warm-up", piece)


def prune(
    run: TrainingRun, options: PruneOptions, bounds: Bounds, schedule: Schedule, dropout: bool
) -> Iterator[Round]:
    """Cut in rounds until the network is small enough; a cut that does not heal is undone."""
    learner, (target, groups, least) = run.learner, bounds
    cost = options.cost if CRITERIA[options.criterion].normalised else None
    number, undone = 0, Undone()
    if run.size(target.kind) > target.amount and run.left and learner.before_first_cut is not None:
        learner.before_first_cut()
    while run.size(target.kind) > target.amount and run.left:
        if undone.too_many and run.left <= schedule.finish:
            break  # what is left is for the finish
        if number >= schedule.rounds and run.left <= schedule.finish * LEAST_FINISH:
            break  # cuts that were made smaller, for they hurt, have taken their share of the finish
        rankable = removable(run.graph, options.minimum_width, groups, least)
        most, limit = schedule.amount(number, rankable, target)
        before = run.moment()
        scores = run.score()
        pick = partial(
            learner.choose, learner.network, run.graph, scores,
            limit=run.counted(limit), most=most, minimum_width=options.minimum_width, least=least,
            groups=groups, cost=cost, times=learner.times,
        )  # fmt: skip
        cut = run.choose(pick, undone.spared)
        if not cut.removed and limit.amount <= target.amount:
            break  # every layer is at its minimum width
        run.cut(cut)
        if dropout and (able := groups & dropped_groups(learner.network, run.graph)):
            run.target_dropout({name: scores[name] for name in scores if name in able}, cut, options)
        steps = min(schedule.recovery(number), run.left)
        turn = yield from recover(run, cut, scores, steps, options)
        if run.hurt(turn, options):
            run.restore(before)
            yield run.rolled_back(turn, cut)
            undone.add(cut, run.graph)
            if undone.count > options.rollbacks:
                steps = min(schedule.recovery(number), run.left - schedule.finish)
                yield from learn_more(run, undone, steps)
            continue  # other channels instead
        run.remember(turn.validation, turn.fit)
        yield turn
        number += 1


def recover(
    run: TrainingRun, cut: Cut, scores: Scores, steps: int, options: PruneOptions
) -> Generator[Round, None, Round]:
    """Train on after a cut, and once more before giving up; returns the last turn, not yielded yet."""
    turn = run.turn("cut", steps, cut, scores)
    if run.hurt(turn, options) and run.left > steps:
        yield turn
        turn = run.turn("recover", steps)
    return turn


@dataclass
class Undone:
    """The cuts that did not heal, since all channels were last ranked."""

    spared: set[tuple[str, int]] = field(default_factory=set)  # group, index in the network as first traced
    count: int = 0
    too_many: bool = False  # at some time in the run

    def add(self, cut: Cut, graph: ChannelGraph) -> None:
        """Spare the channels of `cut`, which the network of `graph` has again."""
        self.spared |= {(name, graph.kept[name][i]) for name, gone in cut.removed.items() for i in gone}
        self.count += 1


def learn_more(run: TrainingRun, undone: Undone, steps: int) -> Iterator[Round]:
    """Where too many cuts did not heal: train on, then rank all channels anew."""
    undone.too_many = True
    if steps > 0:
        undone.spared, undone.count = set(), 0
        turn = run.turn("recover", steps)
        run.remember(turn.validation, turn.fit)
        yield turn


def train_only(
    learner: Learner,
    graph: ChannelGraph,
    steps: int,
    *,
    patience: int | None = None,
    every: int | None = None,
    before: Round | None = None,
    dropout: float = 0.0,
) -> Iterator[Round]:
    """The control: the same network, trained for the same steps, never cut.

    Args:
        every: steps between validations; None: a tenth of them.
        dropout: of every channel alike, and none in the last steps, as where dropout is targeted.
    """
    run = TrainingRun(learner, graph, steps, before or as_given(learner, graph))
    if not dropout:
        yield from finish(run, steps, _stages(steps, every, 10), patience, event="train")
        return
    set_uniform_rate(learner.network, dropout)
    last = round(steps * WITHOUT_DROPOUT)
    yield from finish(run, steps - last, _stages(steps - last, every, 5), None, event="train")
    set_uniform_rate(learner.network, 0.0)
    yield from finish(run, last, _stages(last, every, 5), patience, event="train")


def _stages(steps: int, every: int | None, usual: int) -> int:
    return usual if every is None else max(1, round(steps / every))


def finish(
    run: TrainingRun, steps: int, stages: int, patience: int | None, event: Event = "finish"
) -> Iterator[Round]:
    """Train `steps` in equal stages with a validation after each; stop early by `patience`.

    Where something belongs to the end of a run, an early end has one more round, without a step.
    """
    best, waited, last = -1.0, 0, run.steps + steps  # best by what a round is chosen by
    for share in np.diff(np.linspace(0, steps, min(stages, max(steps, 1)) + 1).round().astype(int)):
        if not share:
            continue
        turn = run.turn(event, int(share))
        yield turn
        if turn.validation is not None:
            judged = turn.validation.judged
            best, waited = (judged, 0) if judged > best else (best, waited + 1)
        if patience is not None and waited >= patience and run.steps < last:
            if run.learner.end is not None:
                yield run.ended(turn)
            return
