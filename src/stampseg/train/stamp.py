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

import math
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import partial

import numpy as np

from ..channels.choice import Limit, bounds_of, rankable_groups, removable
from ..channels.cost import Tally
from ..channels.criteria import CRITERIA
from ..channels.dropout import dropped_groups, set_rates, set_uniform_rate, targeted_rates
from ..channels.graph import ChannelGraph, Cut, Scores
from ..channels.snapshot import Snapshot, restore, snapshot
from ..channels.surgery import apply_cut
from ..core.prune_options import PruneOptions
from ..core.target import Cost
from .guard import Guard, Look
from .learner import Learner, as_given
from .round import FOUND_DICE, Event, Fit, Round, Validation
from .schedule import make_schedule

WITHOUT_DROPOUT = 0.4  # share of the steps at the end, where dropout is uniform
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
    stages: int = 5,
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
        stages: validations in the warm-up and in the finish, at the most.
        before: what `as_given` says of the network, if it has been asked already; its Dice is what the cuts
            are measured by, its latency what the target is a share of.
    """
    run = _Run(learner, graph, before or as_given(learner, graph), options)
    ranked = rankable_groups(graph, options.scope)
    target, groups, least = bounds_of(ranked, options.target, run.size, options.evenness)
    schedule = make_schedule(
        options, steps, run.size(target.kind), target.amount, channel_count(graph, groups)
    )
    if dropout:
        set_uniform_rate(learner.network, options.dropout_initial)
    if schedule.warmup:
        yield run.turn("warm-up", schedule.warmup)
    floor = options.target.floor
    while floor is not None and run.below(floor) and steps - run.steps > schedule.finish:
        yield run.turn("warm-up", min(schedule.recovery(0), steps - run.steps - schedule.finish))
    piece = max(1, steps // 20)
    while run.unready(options) and run.steps + piece <= steps * (LAST_START if run.blind() else LATEST_START):
        yield run.turn("warm-up", piece)
    blind = bool(options.ready_dice) and run.blind()  # no channel can be told from another: nothing is cut
    schedule = make_schedule(
        options, steps, run.size(target.kind), target.amount, channel_count(graph, groups), spent=run.steps
    )

    cost = options.cost if CRITERIA[options.criterion].normalised else None
    number, spared, failures, paused = 0, set[tuple[str, int]](), 0, False
    pruning = not blind and run.size(target.kind) > target.amount and steps - run.steps > 0
    if pruning and learner.before_first_cut is not None:
        learner.before_first_cut()
    while pruning and run.size(target.kind) > target.amount and steps - run.steps > 0:
        if paused and steps - run.steps <= schedule.finish:
            break  # what is left is for the finish
        if number >= schedule.rounds and steps - run.steps <= schedule.finish * LEAST_FINISH:
            break  # cuts that were made smaller, for they hurt, have taken their share of the finish
        most, limit = schedule.amount(
            number, removable(run.graph, options.minimum_width, groups, least), target
        )
        good, rates = run.snapshot(), run.rates
        scores = run.score()
        pick = partial(
            learner.choose, learner.network, run.graph, scores,
            limit=run.counted(limit), most=most, minimum_width=options.minimum_width, least=least,
            groups=groups, cost=cost, times=learner.times,
        )  # fmt: skip
        cut = run.choose(pick, spared)
        if not cut.removed and limit.amount <= target.amount:
            break  # every layer is at its minimum width
        run.cut(cut)
        if dropout and (able := groups & dropped_groups(learner.network, run.graph)):
            run.target_dropout({name: scores[name] for name in scores if name in able}, cut, options)
        recovery = min(schedule.recovery(number), steps - run.steps)
        turn = run.turn("cut", recovery, cut, scores)
        if run.hurt(turn, options) and steps - run.steps > recovery:
            yield turn
            turn = run.turn("recover", recovery)  # once more, before giving up
        if run.hurt(turn, options):
            run.restore(good, rates)
            yield run.rolled_back(turn, cut)
            spared |= {(name, run.graph.kept[name][i]) for name, gone in cut.removed.items() for i in gone}
            failures += 1
            pause = min(schedule.recovery(number), steps - run.steps - schedule.finish)
            if failures > options.rollbacks and pause > 0:  # learn more, then rank all channels anew
                failures, spared, paused = 0, set(), True
                turn = run.turn("recover", pause)
                run.remember(turn.validation, turn.fit)
                yield turn
            paused = paused or failures > options.rollbacks
            continue  # other channels instead
        run.remember(turn.validation, turn.fit)
        yield turn
        number += 1

    if dropout and not options.dropout_in_finish:
        run.rates = {}
        set_uniform_rate(learner.network, 0.0)
    yield from finish(run, steps - run.steps, stages, patience)


def train_only(
    learner: Learner,
    graph: ChannelGraph,
    steps: int,
    *,
    patience: int | None = None,
    stages: int = 10,
    before: Round | None = None,
    dropout: float = 0.0,
) -> Iterator[Round]:
    """The control: the same network, trained for the same steps, never cut.

    Args:
        dropout: of every channel alike, and none in the last steps, as where dropout is targeted.
    """
    run = _Run(learner, graph, before or as_given(learner, graph))
    if not dropout:
        yield from finish(run, steps, stages, patience, event="train")
        return
    set_uniform_rate(learner.network, dropout)
    last = round(steps * WITHOUT_DROPOUT)
    yield from finish(run, steps - last, max(1, stages // 2), None, event="train")
    set_uniform_rate(learner.network, 0.0)
    yield from finish(run, last, max(1, stages // 2), patience, event="train")


def finish(
    run: _Run, steps: int, stages: int, patience: int | None, event: Event = "finish"
) -> Iterator[Round]:
    """Train `steps` in equal stages with a validation after each; stop early by `patience`.

    Where something belongs to the end of a run, an early end has one more round, without a step.
    """
    best, waited, last = -1.0, 0, run.steps + steps
    for share in np.diff(np.linspace(0, steps, min(stages, max(steps, 1)) + 1).round().astype(int)):
        if not share:
            continue
        turn = run.turn(event, int(share))
        yield turn
        if turn.validation is not None:
            best, waited = (turn.validation.dice, 0) if turn.validation.dice > best else (best, waited + 1)
        if patience is not None and waited >= patience and run.steps < last:
            if run.learner.end is not None:
                yield run.ended(turn)
            return


def channel_count(graph: ChannelGraph, groups: frozenset[str]) -> int:
    """Channels of the named groups."""
    return sum(group.size for group in graph.groups if group.name in groups)


class _Run:
    """The state that the rounds share: graph, counts, steps, best Dice."""

    def __init__(
        self, learner: Learner, graph: ChannelGraph, before: Round, options: PruneOptions | None = None
    ) -> None:
        self.learner, self.graph = learner, graph
        self.tally, self.latency = Tally(learner.network, graph, learner.times), before.latency
        self.steps = self.rounds = 0
        self.best: float | None = None
        self.last: Validation | None = None
        self.watched = options is None or options.guard
        self.guard = Guard(
            options.max_drop if options else math.inf, self._foresee if learner.foresee is not None else None
        )
        self.rates: dict[str, float] = {}
        self.seconds: dict[str, float] = dict(before.seconds)
        self.look = Look(Cut({}))
        self.remember(before.validation, before.fit)

    def _count(self) -> None:
        """What the network costs as it is now; its latency is measured, where it matters."""
        self.tally = Tally(self.learner.network, self.graph, self.learner.times)
        self.latency = None
        if self.learner.latency is not None:
            with self._timed("measure"):
                self.latency = self.learner.latency()

    def size(self, kind: Cost) -> float:
        """What the network costs; latency as it was measured."""
        if kind == "latency" and self.latency is not None:
            return self.latency
        return self.tally.total(kind)

    def counted(self, limit: Limit) -> Limit:
        """The limit in counted terms: the sum over the layers' times is not the time of the whole."""
        if limit.kind != "latency" or self.latency is None:
            return limit
        return Limit(limit.kind, limit.amount * self.tally.latency / self.latency)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def score(self) -> Scores:
        with self._timed("score"):
            return self.learner.score(self.graph)

    def choose(self, pick: Callable[..., Cut], protected: Set[tuple[str, int]]) -> Cut:
        """The channels that go, after a look at what goes with them."""
        self.look = self.guard.choose(pick, self.graph, protected)
        return self.look.cut

    def _foresee(self, graph: ChannelGraph, cut: Cut) -> Fit:
        assert self.learner.foresee is not None
        with self._timed("look"):
            return self.learner.foresee(graph, cut)

    def fit(self) -> Fit | None:
        """How well the training set is learnt, where that is watched."""
        if self.learner.fit is None:
            return None
        with self._timed("look"):
            return self.learner.fit()

    def cut(self, cut: Cut) -> None:
        who = self.learner
        with self._timed("cut"):
            self.graph = apply_cut(who.network, self.graph, cut, who.optimizer, copies=who.copies)
        self._count()

    def snapshot(self) -> Snapshot:
        """Everything as it is before a cut."""
        return snapshot(self.learner.network, self.graph, self.learner.optimizer, self.learner.copies)

    def restore(self, then: Snapshot, rates: dict[str, float]) -> None:
        """Undo a cut and the training since."""
        who = self.learner
        self.graph, self.rates = restore(who.network, who.optimizer, then, who.copies), rates
        if who.settle is not None:
            who.settle()
        self._count()

    def target_dropout(self, scores: Scores, cut: Cut, options: PruneOptions) -> None:
        """Rates from the ranks of the rankable channels that are left; other layers keep theirs."""
        left = {name: np.delete(values, list(cut.removed.get(name, ()))) for name, values in scores.items()}
        rates = targeted_rates(left, options.dropout_base, options.dropout)
        set_rates(self.learner.network, self.graph, rates)
        self.rates = {name: float(rate.mean()) for name, rate in rates.items()}

    def turn(self, event: Event, steps: int, cut: Cut | None = None, scores: Scores | None = None) -> Round:
        """Train, validate, and describe the round."""
        with self._timed("train"):
            loss = self.learner.train(steps)
        self.steps += steps
        with self._timed("validate"):
            self.last = self.learner.validate()
        fit = self.fit() if self.watched else None
        if event not in ("cut", "recover"):
            self.remember(self.last, fit)
        return self._round(event, loss, fit, cut, scores)

    def ended(self, last: Round) -> Round:
        """The last round once more, as the network is when it is told that the run has ended."""
        assert self.learner.end is not None
        with self._timed("validate"):
            self.learner.end()
            self.last = self.learner.validate()
        fit = self.fit() if self.watched else None
        self.remember(self.last, fit)
        return self._round(last.event, last.loss, fit, None, None)

    def _round(
        self, event: Event, loss: float, fit: Fit | None, cut: Cut | None, scores: Scores | None
    ) -> Round:
        turn = Round(
            number=self.rounds,
            event=event,
            widths=self.graph.widths(),
            parameters=self.tally.parameters,
            flops=self.tally.flops,
            memory=self.tally.memory,
            latency=self.latency,
            steps=self.steps,
            loss=loss,
            validation=self.last,
            fit=fit,
            removed=dict(cut.removed) if cut else {},
            foreseen=self.look.fit if event == "cut" else None,
            spared=dict(self.look.spared.removed) if event == "cut" else {},
            dropout=dict(self.rates),
            scores={name: float(values.mean()) for name, values in (scores or {}).items()},
            seconds={name: round(value, 4) for name, value in self.seconds.items()},
            graph=self.graph,
        )
        self.rounds += 1
        self.seconds = {}
        return turn

    def rolled_back(self, failed: Round, cut: Cut) -> Round:
        """The round that takes the place of `failed`, with `cut` undone."""
        self.rounds, self.seconds = failed.number, dict(failed.seconds)
        with self._timed("validate"):
            self.last = self.learner.validate()
        return self._round("rolled back", failed.loss, self.guard.now, cut, None)

    def unready(self, options: PruneOptions) -> bool:
        """Whether the network has not learnt enough of some label for its channels to be told apart.

        A Dice that is not a number, of training cases without any label, is nothing to wait for.
        """
        fit = self.guard.now or self.fit()
        if self.watched:
            self.guard.remember(fit)  # what the first cut is measured by, if there was no round before
        return fit is not None and fit.lowest < options.ready_dice

    def blind(self) -> bool:
        """Whether next to nothing of some label is found."""
        return self.guard.now is not None and self.guard.now.lowest < FOUND_DICE

    def below(self, floor: float) -> bool:
        """Whether validation has not reached the floor yet; without validation there is no floor."""
        if self.last is None:
            self.last = self.learner.validate()
        return self.last is not None and self.last.dice < floor

    def hurt(self, turn: Round, options: PruneOptions) -> bool:
        """Whether a cut has not healed: below the floor, or too far below the best so far.

        That is asked of the validation cases together, and of each label on the training set.
        """
        validation = turn.validation
        if self.guard.lost(turn.fit):
            return True
        if options.target.floor is not None:
            return validation is None or validation.dice < options.target.floor
        if validation is None:
            return False
        return self.best is not None and validation.dice < self.best - options.max_drop

    def remember(self, validation: Validation | None, fit: Fit | None) -> None:
        """Keep the best Dice."""
        self.guard.remember(fit)
        if validation is not None:
            self.best = max(self.best or 0.0, validation.dice)
