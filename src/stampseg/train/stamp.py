"""STAMP: a network learns while whole channels are taken from it.

Dinsdale, Jenkinson, Namburete, "STAMP: Simultaneous Training and Model Pruning for low data
regimes in medical image segmentation", Medical Image Analysis 81:102583 (2022), algorithm 1.

    train a little                                         warm_up
    repeat until small enough:                             prune, by the plan of schedule.py
        score      every channel on the training set       section 3.2: channels/importance.py, criteria.py
        choose     the lowest of the whole network         next_cut: channels/choice.py
        cut        them out; the optimiser lives on        channels/surgery.py
        dropout    more for layers that rank low, the +    section 3.3: channels/dropout.py
        recover    by training on                          recover
    train to the end                                       finish

Ours, beside it: the network is looked at with the chosen channels silenced, and those that hurt a structure
are spared (guard.py); a cut that does not heal is undone (undo, learn_more); after the last cut there is no
dropout. What else
the defaults do otherwise, and what the preset `published` sets back: docs/explanation/algorithm.md.

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
from .guard import ForeseenCut
from .learner import Learner, as_given
from .round import Event, Round
from .schedule import Schedule, make_schedule
from .training_run import BeforeCut, TrainingRun

LOOKS = 20  # a network that has not learnt enough is looked at again after one part in so many of the steps
START_BY = 0.5  # share of the steps after which pruning starts, ready or not
START_BY_IF_BLIND = 0.75  # the same where next to nothing of some label is found by then
FINISH_KEPT = 0.5  # share of the finish that rounds beyond those that were planned must leave
UNIFORM_DROPOUT_UNTIL = 0.6  # share of the steps: where STAMP+'s own dropout ends, by its default final_share


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
    if run.can_rank():
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
    piece = max(1, run.total // LOOKS)
    while run.unready():
        if run.steps + piece > run.total * (START_BY_IF_BLIND if run.blind() else START_BY):
            break
        yield run.turn("warm-up", piece)


def prune(
    run: TrainingRun, options: PruneOptions, bounds: Bounds, schedule: Schedule, dropout: bool
) -> Iterator[Round]:
    """Cut in rounds until the network is small enough; a cut that does not heal is undone."""
    target, number, undone = bounds.limit, 0, Undone()
    droppable = bounds.groups & dropped_groups(run.learner.network, run.graph) if dropout else frozenset()
    if run.size(target.kind) > target.amount and run.left and run.learner.before_first_cut is not None:
        run.learner.before_first_cut()
    while run.size(target.kind) > target.amount and not out_of_steps(run, schedule, number, undone):
        before = run.moment()
        scores = run.score()
        seen = next_cut(run, scores, options, bounds, schedule, number, undone)
        if seen is None:
            break  # every layer is at its minimum width
        run.cut(seen.cut)
        if droppable:
            run.target_dropout(scores, seen.cut, droppable)
        turn = yield from recover(run, seen, scores, schedule.recovery(number))
        if run.hurt(turn):
            yield from undo(run, before, turn, seen.cut, undone)
            if undone.count > options.rollbacks:
                yield from learn_more(run, undone, schedule, number)
            continue  # other channels instead
        run.remember(turn.validation, turn.fit)
        yield turn
        number += 1


def out_of_steps(run: TrainingRun, schedule: Schedule, number: int, undone: Undone) -> bool:
    """Whether what is left belongs to the finish.

    Rounds beyond the plan, of cuts that were made smaller because they hurt, may take their share of the
    finish; where too many cuts were undone they may not.
    """
    if undone.too_many and run.left <= schedule.finish:
        return True
    return not run.left or (number >= schedule.rounds and run.left <= schedule.finish * FINISH_KEPT)


def next_cut(
    run: TrainingRun,
    scores: Scores,
    options: PruneOptions,
    bounds: Bounds,
    schedule: Schedule,
    number: int,
    undone: Undone,
) -> ForeseenCut | None:
    """The channels of least score that a cut takes, after a look at what goes with them.

    Args:
        run: the network as it is now.
        scores: of its channels, by group.
        options: how they are chosen.
        bounds: which groups may lose channels, down to what.
        schedule: how much a cut takes.
        number: of the cut, from 0; cuts that were undone do not count.
        undone: the channels that are spared, as their cut did not heal.

    Returns:
        None where no channel is left that may go.
    """
    learner, (target, groups, least) = run.learner, bounds
    rankable = removable(run.graph, options.minimum_width, groups, least)
    most, limit = schedule.amount(number, rankable, target)
    pick = partial(
        learner.choose, learner.network, run.graph, scores,
        limit=run.counted(limit), most=most, minimum_width=options.minimum_width, least=least,
        groups=groups, cost=options.cost if CRITERIA[options.criterion].normalised else None,
        times=learner.times,
    )  # fmt: skip
    seen = run.choose(pick, undone.spared)
    return seen if seen.cut.removed or limit.amount > target.amount else None


def recover(run: TrainingRun, seen: ForeseenCut, scores: Scores, steps: int) -> Generator[Round, None, Round]:
    """Train on after a cut, and once more before giving up; returns the last turn, not yielded yet."""
    steps = min(steps, run.left)
    turn = run.turn("cut", steps, seen, scores)
    if run.hurt(turn) and run.left > steps:
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


def undo(run: TrainingRun, before: BeforeCut, turn: Round, cut: Cut, undone: Undone) -> Iterator[Round]:
    """Go back to before a cut; `turn` is the round that showed that it has not healed."""
    run.restore(before)
    yield run.rolled_back(turn, cut)
    undone.add(cut, run.graph)


def learn_more(run: TrainingRun, undone: Undone, schedule: Schedule, number: int) -> Iterator[Round]:
    """Where too many cuts did not heal: train on, then rank all channels anew.

    Where no steps are left for it, nothing more is cut.
    """
    undone.too_many = True
    steps = min(schedule.recovery(number), run.left - schedule.finish)
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
    last = steps - round(steps * UNIFORM_DROPOUT_UNTIL)
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
