"""A run of the loop: the network as it is now, what it costs, the steps it took, how well it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..channels.choice import Limit
from ..channels.cost import Tally
from ..channels.dropout import set_rates, targeted_rates
from ..channels.graph import ChannelGraph, Cut, Scores
from ..channels.snapshot import Snapshot, restore, snapshot
from ..channels.surgery import apply_cut
from ..core.prune_options import PruneOptions
from ..core.target import Cost
from ..evaluation.metrics import FOUND_DICE
from .guard import ForeseenCut, Guard
from .learner import Learner
from .round import Event, Fit, Round, Validation


class BeforeCut(NamedTuple):
    """What a cut that did not heal is undone to."""

    snapshot: Snapshot
    rates: dict[str, float]  # mean dropout of each group


class TrainingRun:
    """What the rounds of a run share.

    Args:
        learner: see `Learner`.
        graph: the network's channels.
        total: optimiser steps of the whole run.
        before: the network as it was given, from `as_given`.
        options: of pruning; None where nothing is cut, and all is watched.
    """

    def __init__(
        self,
        learner: Learner,
        graph: ChannelGraph,
        total: int,
        before: Round,
        options: PruneOptions | None = None,
    ) -> None:
        self.learner, self.graph, self.total = learner, graph, total
        self.tally, self.latency = Tally(learner.network, graph, learner.times), before.latency
        self.steps = self.rounds = 0
        self.best: float | None = None
        self.last: Validation | None = None
        self.options = options or PruneOptions()
        self.watched = self.options.guard
        self.guard = Guard(self.options.max_drop, self._foresee if learner.foresee is not None else None)
        self.seen: Fit | None = None  # when it was last asked whether the network is ready
        self.rates: dict[str, float] = {}
        self.seconds: dict[str, float] = dict(before.seconds)
        self.remember(before.validation, before.fit)

    @property
    def left(self) -> int:
        """Optimiser steps that are left."""
        return self.total - self.steps

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
        """Importance of every channel of the network as it is now."""
        with self._timed("score"):
            return self.learner.score(self.graph)

    def choose(self, pick: Callable[..., Cut], protected: Set[tuple[str, int]]) -> ForeseenCut:
        """The channels that go, after a look at what goes with them; see `Guard.choose`."""
        return self.guard.choose(pick, self.graph, protected)

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
        """Take the channels out of network, optimiser and copies, in place."""
        who = self.learner
        with self._timed("cut"):
            self.graph = apply_cut(who.network, self.graph, cut, who.optimizer, copies=who.copies)
        self._count()

    def moment(self) -> BeforeCut:
        """Everything as it is before a cut."""
        who = self.learner
        return BeforeCut(snapshot(who.network, self.graph, who.optimizer, who.copies), self.rates)

    def restore(self, then: BeforeCut) -> None:
        """Undo a cut and the training since."""
        who = self.learner
        self.graph = restore(who.network, who.optimizer, then.snapshot, who.copies)
        self.rates = then.rates
        if who.end_if_done is not None:
            who.end_if_done()
        self._count()

    def target_dropout(self, scores: Scores, cut: Cut, groups: Set[str]) -> None:
        """Rates for the layers of `groups` from the ranks of the channels left; others keep theirs."""
        left = {
            name: np.delete(values, list(cut.removed.get(name, ())))
            for name, values in scores.items()
            if name in groups
        }
        rates = targeted_rates(left, self.options.dropout_base, self.options.dropout)
        set_rates(self.learner.network, self.graph, rates)
        self.rates = {name: float(rate.mean()) for name, rate in rates.items()}

    def turn(
        self, event: Event, steps: int, seen: ForeseenCut | None = None, scores: Scores | None = None
    ) -> Round:
        """Train, validate, and describe the round; `seen` and `scores` are of the cut that it begins with."""
        with self._timed("train"):
            loss = self.learner.train(steps)
        self.steps += steps
        with self._timed("validate"):
            self.last = self.learner.validate()
        fit = self.fit() if self.watched else None
        if event not in ("cut", "recover"):
            self.remember(self.last, fit)
        return self._round(event, loss, fit, seen, scores)

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
        self, event: Event, loss: float, fit: Fit | None, seen: ForeseenCut | None, scores: Scores | None
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
            removed=dict(seen.cut.removed) if seen else {},
            foreseen=seen.fit if seen else None,
            spared=dict(seen.spared.removed) if seen else {},
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
        return self._round("rolled back", failed.loss, self.guard.now, ForeseenCut(cut), None)

    def unready(self) -> bool:
        """Whether the network has not learnt enough of some label for its channels to be told apart.

        A Dice that is not a number, of training cases without any label, is nothing to wait for.
        """
        fit = self.seen = self.guard.now or self.fit()
        if self.watched:
            self.guard.remember(fit)  # what the first cut is measured by, if there was no round before
        return fit is not None and fit.lowest < self.options.ready_dice

    def can_rank(self) -> bool:
        """False where next to nothing of some label is found: no channel can be told from another then."""
        return not (self.options.ready_dice and self.blind())

    def blind(self) -> bool:
        """Whether next to nothing of some label is found."""
        fit = self.guard.now or self.seen
        return fit is not None and fit.lowest < FOUND_DICE

    def below(self, floor: float) -> bool:
        """Whether validation has not reached the floor yet; without validation there is no floor."""
        if self.last is None:
            self.last = self.learner.validate()
        return self.last is not None and self.last.dice < floor

    def hurt(self, turn: Round) -> bool:
        """Whether a cut has not healed: below the floor, or too far below the best so far.

        That is asked of the validation cases together, and of each label on the training set.
        """
        validation = turn.validation
        if self.guard.lost(turn.fit):
            return True
        floor = self.options.target.floor
        if floor is not None:
            return validation is None or validation.dice < floor
        if validation is None:
            return False
        return self.best is not None and validation.dice < self.best - self.options.max_drop

    def remember(self, validation: Validation | None, fit: Fit | None) -> None:
        """Take these figures as those that later rounds are measured by."""
        self.guard.remember(fit)
        if validation is not None:
            self.best = max(self.best or 0.0, validation.dice)
