"""No cut loses a structure: what is looked at before, what is undone after, what is said at the end."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from stampseg.channels.graph import ChannelGraph, Cut, Scores
from stampseg.channels.silence import silenced
from stampseg.channels.trace import trace
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.networks.unet import UNet
from stampseg.train.guard import HARMED, ForeseenCut, Guard
from stampseg.train.learner import Learner
from stampseg.train.round import Fit, Round, Validation
from stampseg.train.stamp import stamp
from stampseg.train.validation import training_fit

GRAPH = trace(UNet(2, 1, 3, 4, [(2, 2)]), torch.zeros(1, 1, 8, 8))
A, B, C = (group.name for group in GRAPH.prunable[:3])
NOW = Fit(0.2, {"liver": 0.8, "tumour": 0.6})
Channel = tuple[str, int]


class Ranking:
    """Picks the first channels that are not protected, three at most; silencing some of them costs Dice."""

    def __init__(self, harm: dict[Channel, dict[str, float]]) -> None:
        self.harm, self.asked = harm, list[Cut]()

    def pick(self, protected: Set[Channel], most: int = 3) -> Cut:
        able = [(name, i) for name in (A, B, C) for i in range(3) if (name, i) not in protected]
        removed: dict[str, list[int]] = {}
        for name, i in able[:most]:
            removed.setdefault(name, []).append(i)
        return Cut.of(removed)

    def foresee(self, graph: ChannelGraph, cut: Cut) -> Fit:
        self.asked.append(cut)
        dice = dict(NOW.per_label)
        for name, gone in cut.removed.items():
            for i in gone:
                dice = {k: v * self.harm.get((name, i), {}).get(k, 1.0) for k, v in dice.items()}
        return Fit(1.0, dice)

    def choose(self, protected: Set[Channel] = frozenset()) -> ForeseenCut:
        guard = Guard(0.2, self.foresee)
        guard.remember(NOW)
        return guard.choose(self.pick, GRAPH, protected)


def test_a_cut_that_harms_no_label_is_looked_at_once() -> None:
    ranking = Ranking({(A, 0): {"liver": 0.9}, (A, 1): {"tumour": HARMED}})
    look = ranking.choose()
    assert look.cut == Cut.of({A: [0, 1, 2]}) and not look.spared.removed and len(ranking.asked) == 1
    assert look.fit == Fit(1.0, {"liver": pytest.approx(0.72), "tumour": 0.3})


def test_the_layer_that_one_label_lives_on_is_spared_and_others_go() -> None:
    """The mean of the labels would have hidden it: the other one is untouched."""
    look = Ranking({(A, 1): {"tumour": 0.0}}).choose()
    assert look.spared == Cut.of({A: [0, 1, 2]}) and look.cut == Cut.of({B: [0, 1, 2]})
    assert Ranking({(A, 1): {"tumour": 0.0}}).choose({(B, 0)}).cut == Cut.of({B: [1, 2], C: [0]})


def test_layers_that_hurt_together_lose_the_worst_of_them() -> None:
    """None hurts by itself: 0.7 and 0.6 of the Dice, 0.42 together."""
    harm = {(A, 2): {"tumour": 0.7}, (B, 0): {"tumour": 0.6}}
    look = Ranking(harm).choose({(A, 0)})
    assert look.spared == Cut.of({B: [0]}) and look.cut == Cut.of({A: [1, 2], B: [1]})


def test_where_everything_hurts_fewer_go_and_the_least_harm_is_taken() -> None:
    harm = {(name, i): {"liver": share} for name, share in ((A, 0.1), (B, 0.4), (C, 0.2)) for i in range(3)}
    look = Ranking(harm).choose()  # three of A, three of B, then one of C
    assert look.cut == Cut.of({C: [0]}) and look.spared == Cut.of({A: [0, 1, 2], B: [0, 1, 2]})
    others = {(B, i) for i in range(3)} | {(C, i) for i in range(3)}
    nothing_else = Ranking({(A, 0): {"liver": 0.1}}).choose(others)
    assert nothing_else.cut == Cut.of({A: [0, 1, 2]})


def test_a_label_that_is_not_found_yet_cannot_be_harmed() -> None:
    guard = Guard(0.2, lambda graph, cut: Fit(1.0, {"liver": 0.8, "tumour": 0.0}))
    guard.remember(Fit(0.2, {"liver": 0.8, "tumour": 0.05}))
    assert guard.choose(lambda protected, most=1: Cut.of({A: [0]}), GRAPH, set()).cut == Cut.of({A: [0]})


def test_a_label_is_lost_where_it_stays_below_its_best() -> None:
    guard = Guard(0.2, None)
    assert guard.lost(NOW) == []
    for dice in (0.5, 0.8, 0.7):
        guard.remember(Fit(0.2, {"liver": dice, "tumour": 0.6}))
    assert guard.lost(Fit(0.1, {"liver": 0.61, "tumour": 0.41})) == []
    assert guard.lost(Fit(0.1, {"liver": 0.9, "tumour": 0.39})) == ["tumour"]
    assert guard.lost(None) == []
    # an average that lags behind the network it is of is no loss
    assert guard.lost(Fit(0.1, {"liver": 0.1, "tumour": 0.1}, {"liver": 0.7, "tumour": 0.1})) == ["tumour"]


class Bench:
    """A tiny network, two labels, and a ranking that is right but for the best channel, which goes first."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = UNet(2, 1, 3, 4, [(2, 2)])
        self.image = torch.randn(4, 1, 16, 16)
        self.truth = torch.where(self.image > 0.5, 1, torch.where(self.image < -0.5, 2, 0))
        self.graph = trace(self.network, self.image)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.02)

    def train(self, steps: int) -> float:
        self.network.train()
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.network(self.image), self.truth[:, 0])
            loss.backward()
            self.optimizer.step()
        return float(loss.detach())

    def fit(self) -> Fit:
        batch = {"image": self.image, "label": self.truth}
        return training_fit(
            self.network, [batch], ["bright", "dark"],
            lambda output, label: functional.cross_entropy(output, label[:, 0]),
        )  # fmt: skip

    def foresee(self, graph: ChannelGraph, cut: Cut) -> Fit:
        with silenced(self.network, graph, cut):
            return self.fit()

    def wrong_scores(self, graph: ChannelGraph) -> Scores:
        """High where silencing the channel costs a label its Dice; but the highest of all is the lowest."""
        scores = {
            group.name: np.array(
                [1 - self.foresee(graph, Cut.of({group.name: [i]})).lowest for i in range(group.size)]
            )
            for group in graph.prunable
        }
        highest = max(scores, key=lambda name: scores[name].max())
        scores[highest][scores[highest].argmax()] = -1.0
        return scores

    def rounds(self, steps: int = 60, **options: Any) -> Iterator[Round]:
        learner = Learner(
            self.network, self.optimizer, self.train, self.wrong_scores, lambda: None,
            fit=self.fit, foresee=self.foresee,
        )  # fmt: skip
        settled = PruneOptions(
            target=Target(share=0.5), rounds=2, warmup_share=0.5, final_share=0.2, rankable="all", **options
        )
        return stamp(replace(learner), self.graph, settled, steps, dropout=False)


def kept(before: Round, after: Round) -> float:
    assert before.fit is not None and after.foreseen is not None
    return min(after.foreseen.per_label[name] / dice for name, dice in before.fit.per_label.items())


def test_with_the_guard_every_label_lives_through_a_ranking_that_takes_what_it_lives_on() -> None:
    warmed, cut, *_ = Bench().rounds()
    assert cut.event == "cut" and cut.removed and cut.spared
    assert kept(warmed, cut) >= HARMED and "look" in cut.seconds

    bench = Bench()
    blind = list(bench.rounds(guard=False))[1]
    assert blind.fit is None and not blind.spared
    bench = Bench()
    bench.train(30)
    assert bench.foresee(bench.graph, Cut(blind.removed)).lowest < HARMED * bench.fit().lowest


def test_a_cut_after_which_a_label_does_not_come_back_is_undone_and_trained_past() -> None:
    """Without validation: the training windows decide, label by label."""
    bench, told = (
        Bench(),
        iter([NOW, Fit(0.3, {"liver": 0.8, "tumour": 0.1}), Fit(0.3, {"liver": 0.8, "tumour": 0.2})]),
    )
    learner = Learner(
        bench.network, bench.optimizer, bench.train, bench.wrong_scores, lambda: None,
        fit=lambda: next(told, NOW),
    )  # fmt: skip
    options = PruneOptions(target=Target(share=0.5), rounds=2, warmup_share=0.3, rollbacks=0)
    rounds = list(stamp(learner, bench.graph, options, 60, dropout=False))
    assert [turn.event for turn in rounds[:3]] == ["warm-up", "cut", "rolled back"]
    assert rounds[1].parameters < rounds[0].parameters == rounds[2].parameters == rounds[-1].parameters
    assert rounds[2].fit == NOW and rounds[-1].steps == 60


def test_the_first_cut_waits_for_the_worst_label_not_for_the_mean() -> None:
    for worst, first_cut in ((0.55, 18), (0.2, 30)):
        bench = Bench()
        learner = Learner(
            bench.network, bench.optimizer, bench.train, bench.wrong_scores, lambda: None,
            fit=lambda worst=worst: Fit(0.1, {"liver": 0.95, "tumour": worst}),
        )  # fmt: skip
        options = PruneOptions(target=Target(share=0.9), rounds=1, warmup_share=0.3)
        rounds = list(stamp(learner, bench.graph, options, 60, dropout=False))
        cut = next(i for i, turn in enumerate(rounds) if turn.event == "cut")
        assert rounds[cut - 1].steps == first_cut


@pytest.mark.parametrize("guard", [True, False])
def test_where_a_label_is_not_found_at_all_nothing_is_cut(guard: bool) -> None:
    """Its channels cannot be told from others, and a smaller network would not find it either."""
    bench = Bench()
    learner = Learner(
        bench.network, bench.optimizer, bench.train, bench.wrong_scores, lambda: None,
        fit=lambda: Fit(0.1, {"liver": 0.95, "tumour": 0.05}),
    )  # fmt: skip
    options = PruneOptions(target=Target(share=0.5), rounds=2, warmup_share=0.3, guard=guard)
    rounds = list(stamp(learner, bench.graph, options, 60, dropout=False))
    assert {turn.event for turn in rounds} == {"warm-up", "finish"} and rounds[-1].steps == 60
    assert len({turn.parameters for turn in rounds}) == 1
    late = max(turn.steps for turn in rounds if turn.event == "warm-up")
    assert late == 45  # it was waited for


def told(*fits: Fit) -> Learner:
    """A learner of the bench whose figures are given one by one; the last for ever."""
    bench, left = Bench(), list(fits)
    return Learner(
        bench.network, bench.optimizer, bench.train, bench.wrong_scores, lambda: Validation(0.8, {}),
        fit=lambda: left.pop(0) if len(left) > 1 else left[0],
    )  # fmt: skip


@pytest.mark.parametrize("target", ["50%", "dice:0.5"])
def test_a_first_cut_without_warm_up_is_watched_too_whatever_the_target(
    target: str,
) -> None:
    """As in `prune`: what it was before the cut is what the cut is measured by."""
    lost = Fit(0.3, {"liver": 0.9, "tumour": 0.0})
    learner = told(Fit(0.1, {"liver": 0.9, "tumour": 0.9}), lost)
    options = PruneOptions(target=Target.parse(target), rounds=2, warmup_share=0.0, rollbacks=0)
    graph = trace(learner.network, torch.zeros(1, 1, 16, 16))
    rounds = list(stamp(learner, graph, options, 60, dropout=False))
    assert rounds[0].event == "cut"
    assert next(turn.event for turn in rounds[1:] if turn.event != "recover") == "rolled back"
