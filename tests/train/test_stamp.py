"""The loop: work is equal to the step, a cut that does not heal is undone, the rest goes on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from stampseg.channels.choice import Limit, choose, rankable_groups
from stampseg.channels.cost import Tally
from stampseg.channels.dropout import TargetedDropout
from stampseg.channels.graph import ChannelGraph, Scores
from stampseg.channels.importance import importance
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.prune_options import PruneOptions
from stampseg.core.target import Target
from stampseg.evaluation.false_positives import FalsePositives
from stampseg.networks.unet import UNet
from stampseg.train.learner import Learner, as_given
from stampseg.train.round import Fit, Round, Validation
from stampseg.train.round_choice import select
from stampseg.train.stamp import stamp, train_only


class Bench:
    """A tiny network that learns to segment bright pixels; counts what the loop asks of it."""

    def __init__(self, dice: Callable[[Bench], float | None] = lambda bench: 0.9) -> None:
        torch.manual_seed(0)
        self.network = UNet(2, 1, 2, 4, [(2, 2)])
        self.x = torch.randn(3, 1, 8, 8)
        self.y = (self.x[:, 0] > 0).long()
        self.graph = trace(self.network, self.x)
        self.dense = Tally(self.network, self.graph).parameters
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.01)
        self.rng, self.steps, self.dice = np.random.default_rng(0), 0, dice
        self.trained: list[int] = []
        self.settled: list[int] = []

    def train(self, steps: int) -> float:
        self.network.train()
        total = 0.0
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.network(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        self.steps += steps
        self.trained.append(steps)
        return total / max(steps, 1)

    def score(self, graph: ChannelGraph) -> Scores:
        batch = {"image": self.x, "label": self.y}
        return importance(self.network, graph, [batch], functional.cross_entropy, generator=self.rng)

    def validate(self) -> Validation | None:
        dice = self.dice(self)
        return None if dice is None else Validation(dice, {"bright": dice}, {"bright": 3})

    @property
    def size(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def learner(self) -> Learner:
        return Learner(
            self.network, self.optimizer, self.train, self.score, self.validate,
            end_if_done=lambda: self.settled.append(self.steps),
        )  # fmt: skip

    def run(self, steps: int = 60, dropout: bool = True, **options: Any) -> Iterator[Round]:
        settled = PruneOptions(**{"target": Target(share=0.3), "rounds": 5, "warmup_share": 0.15, **options})
        return stamp(self.learner(), self.graph, settled, steps, dropout=dropout)


METHODS: dict[str, Callable[[Bench, int], Iterator[Round]]] = {
    "stamp+": lambda bench, steps: bench.run(steps),
    "stamp": lambda bench, steps: bench.run(steps, dropout=False),
    "dense": lambda bench, steps: train_only(bench.learner(), bench.graph, steps),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 60])
@pytest.mark.parametrize("dice", [0.9, None])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_exactly_the_same_steps(method: str, dice: float | None, steps: int) -> None:
    bench = Bench(lambda bench: dice)
    rounds = list(METHODS[method](bench, steps))
    assert bench.steps == sum(bench.trained) == rounds[-1].steps == steps
    assert [turn.number for turn in rounds] == list(range(len(rounds)))
    assert rounds[-1].parameters == bench.size
    for turn in rounds:
        assert turn.widths == turn.graph.widths() and turn.validation == bench.validate()
    for before, after in pairwise(rounds):
        removed = sum(map(len, after.removed.values()))
        assert sum(before.widths.values()) - removed == sum(after.widths.values())


@pytest.mark.parametrize("target", ["30%", "500", "flops:25%"])
def test_the_target_is_met_and_one_channel_fewer_would_exceed_it(target: str) -> None:
    bench = Bench()
    goal = Target.parse(target)
    kind = "flops" if goal.kind == "flops" else "parameters"
    dense = getattr(Tally(bench.network, bench.graph), kind)
    rounds = list(bench.run(target=goal, warmup_share=0.1))
    limit = goal.limit(dense)
    sizes = [getattr(turn, kind) for turn in rounds]
    reached = next(i for i, size in enumerate(sizes) if size <= limit)
    assert rounds[reached].event == "cut" and sizes[reached - 1] > limit
    assert set(sizes[reached:]) == {sizes[reached]}
    assert [turn.event for turn in rounds] == ["warm-up", *["cut"] * 5, *["finish"] * 5]


@pytest.mark.parametrize(
    ("fit", "first_cut"),
    [(None, 9), (0.6, 9), (math.nan, 9), (0.4, 30)],
    ids=["none", "ready", "nan", "unready"],
)
def test_the_first_cut_waits_for_dice_on_the_training_set_where_there_is_one(
    fit: float | None, first_cut: int
) -> None:
    bench = Bench()
    learner = replace(bench.learner(), fit=None if fit is None else lambda: Fit(0.5, {"bright": fit}))
    rounds = list(
        stamp(learner, bench.graph, PruneOptions(target=Target(share=0.3), rounds=5, warmup_share=0.15), 60)
    )
    started = [before.steps for before, after in pairwise(rounds) if after.event == "cut"]
    assert started[0] == first_cut and rounds[-1].steps == 60


def test_recovery_runs_every_step_that_was_asked_for() -> None:
    bench = Bench()
    rounds = list(bench.run(recovery_steps=4))
    after = [b.steps - a.steps for a, b in pairwise(rounds) if b.event == "cut"]
    assert after == [4] * 5


def bit_for_bit(bench: Bench) -> dict[str, torch.Tensor]:
    state = {**dict(bench.network.named_parameters()), **dict(bench.network.named_buffers())}
    names = {id(p): name for name, p in bench.network.named_parameters()}
    for parameter, values in bench.optimizer.state.items():
        state |= {f"{names[id(parameter)]}.{key}": value for key, value in values.items()}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def test_a_cut_that_does_not_heal_is_undone_bit_for_bit_and_training_goes_on() -> None:
    """Defect 4: a stop ended the process."""
    bench = Bench(lambda bench: 0.9 if bench.size > 0.6 * bench.dense else 0.2)
    good: dict[str, torch.Tensor] = {}
    rounds, events = [], []
    for turn in bench.run(max_drop=0.1, rollbacks=0, rankable="all"):
        rounds.append(turn)
        events.append(turn.event)
        if turn.event == "rolled back":
            now = bit_for_bit(bench)
            assert now.keys() == good.keys()
            assert all(torch.equal(now[name], good[name]) for name in good)
        elif turn.validation and turn.validation.dice > 0.5:
            good = bit_for_bit(bench)
    assert events == ["warm-up", "cut", "cut", "cut", "rolled back", "recover", *["finish"] * 5]
    back = rounds[4]
    assert (back.widths, back.parameters, back.dropout) == (
        rounds[2].widths,
        rounds[2].parameters,
        rounds[2].dropout,
    )
    assert back.validation == Validation(0.9, {"bright": 0.9}, {"bright": 3})
    assert back.removed == rounds[3].removed
    assert [turn.number for turn in rounds] == list(range(len(rounds)))
    assert bench.steps == 60 and bench.size == back.parameters
    assert bench.settled == [back.steps]  # where no step is left, statistics of the end are made anew
    start = Round(-1, "train", {}, bench.dense, 0, 0, 0, 0.0, None)
    choice = select(rounds, PruneOptions(target=Target(share=0.4)), start, True)
    assert (rounds[choice.number].event, choice.target_reached) == ("finish", False)


def test_cuts_that_do_not_heal_pause_the_pruning_and_it_goes_on() -> None:
    """A network that is not ready for cuts yet, whichever they are, is so after more training."""
    bench = Bench(lambda bench: 0.9 if bench.size == bench.dense or bench.steps > 50 else 0.2)
    rounds = list(bench.run(120, max_drop=0.1, rollbacks=1, rankable="all", rounds=10))
    events = [turn.event for turn in rounds]
    first = events.index("rolled back")
    pause = next(i for i in range(first, len(events)) if events[i] == "recover" and events[i - 1] != "cut")
    assert events[first:pause].count("rolled back") == 2, "other channels were tried before"
    assert "cut" in events[pause:] and events[-1] == "finish"
    assert rounds[-1].parameters < rounds[pause].parameters and bench.steps == 120


def test_cuts_that_never_heal_leave_the_finish_its_steps() -> None:
    bench = Bench(lambda bench: 0.9 if bench.size == bench.dense else 0.2)
    rounds = list(bench.run(100, max_drop=0.1, rollbacks=0, final_share=0.3, warmup_share=0.1))
    before = next(turn for turn, after in pairwise(rounds) if after.event == "finish")
    assert bench.size == bench.dense and bench.steps == 100
    assert 70 <= before.steps <= 80, "the last try may overrun by a round"


def test_channels_that_did_not_heal_are_spared_and_the_target_is_still_met() -> None:
    vital = "decoder.0.1.conv"
    bench = Bench(lambda bench: 0.9 if bench.network.decoder[0][1].conv.out_channels == 4 else 0.2)
    scores = bench.score

    def misjudged(graph: ChannelGraph) -> Scores:  # the vital layer's first channel looks the least important
        judged = {name: values + 10 for name, values in scores(graph).items()}
        judged[vital] = np.array([0.0, 99, 99, 99])[: len(judged[vital])]
        return judged

    bench.score = misjudged  # type: ignore[method-assign]
    rounds = list(bench.run(200, target=Target(share=0.5), rounds=10, rankable="all"))
    events = [turn.event for turn in rounds]
    assert events[:5] == ["warm-up", "cut", "rolled back", "cut", "cut"] and events.count("rolled back") == 1
    assert rounds[-1].widths[vital] == 4 and bench.size <= 0.5 * bench.dense and bench.steps == 200


def test_a_cut_that_heals_the_second_time_stands() -> None:
    asked: list[int] = []

    def dice(bench: Bench) -> float:
        asked.append(bench.size)
        return 0.2 if asked.count(bench.size) == 1 and bench.size < 0.6 * bench.dense else 0.9

    events = [turn.event for turn in Bench(dice).run(rankable="all")]
    assert events[:7] == ["warm-up", "cut", "cut", "cut", "recover", "cut", "recover"]


@pytest.mark.parametrize("warmup", [0.0, 0.15])
def test_a_floor_of_dice_is_reached_first_and_never_left(warmup: float) -> None:
    bench = Bench(lambda bench: min(bench.steps / 50, 0.8) if bench.size > 0.5 * bench.dense else 0.3)
    rounds = list(bench.run(100, target=Target(kind="dice", floor=0.5), warmup_share=warmup, rounds=10))
    first = next(turn for turn in rounds if turn.event == "cut")
    assert first.steps >= 25
    assert 0.5 * bench.dense < bench.size < bench.dense
    assert rounds[-1].steps == 100 and rounds[-1].validation
    assert any(turn.event == "rolled back" for turn in rounds)


@pytest.mark.parametrize("rankable", ["all", "published", None])
@pytest.mark.parametrize("width", [2, 3])
def test_every_layer_keeps_its_minimum_width_and_some_all_they_have(width: int, rankable: Any) -> None:
    bench = Bench()
    rounds = list(bench.run(minimum_width=width, target=Target(amount=1), rankable=rankable))
    whole = {"head": 2} | ({} if rankable == "all" else {"up.0": 4, "decoder.0.1.conv": 4})
    assert rounds[-1].widths == {g.name: whole.get(g.name, width) for g in bench.graph.groups}
    assert bench.steps == 60


def dropouts(bench: Bench) -> list[torch.Tensor]:
    return [m.rate for m in bench.network.modules() if isinstance(m, TargetedDropout)]


def test_stamp_never_drops_and_stamp_plus_always_does() -> None:
    bench = Bench()
    for turn in bench.run(dropout=False):
        assert not any(rate.any() for rate in dropouts(bench)) and turn.dropout == {}
    bench = Bench()
    for turn in bench.run(dropout_in_finish=True):
        if turn.event == "warm-up":
            assert all(torch.equal(rate, torch.full_like(rate, 0.005)) for rate in dropouts(bench))
        else:
            assert max(turn.dropout.values()) == pytest.approx(0.1)
            layers = [g.name for g in bench.graph.prunable if not g.transposed]
            assert set(turn.dropout) == set(layers) - {"decoder.0.1.conv"}  # which no cut will touch
            assert [rate.mean().item() for rate in dropouts(bench)] == pytest.approx(
                [turn.dropout.get(name, 0.005) for name in layers]
            )


def test_the_finish_drops_nothing_unless_asked() -> None:
    bench = Bench()
    for turn in bench.run():
        assert any(rate.any() for rate in dropouts(bench)) == bool(turn.dropout or turn.event == "warm-up")
        assert (turn.event == "finish") == (not turn.dropout and turn.event != "warm-up")


def test_the_optimiser_lives_through_every_cut() -> None:
    """Defect 10: it was made anew at every prune."""
    bench = Bench()
    for turn in bench.run():
        parameters = list(bench.network.parameters())
        assert {id(p) for p in bench.optimizer.state} == {id(p) for p in parameters}
        for parameter in parameters:
            state = bench.optimizer.state[parameter]
            assert state["step"] == turn.steps
            assert state["exp_avg"].shape == state["exp_avg_sq"].shape == parameter.shape


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_rounds(method: str) -> None:
    def lines() -> list[Round]:
        return [replace(turn, seconds={}) for turn in METHODS[method](Bench(), 30)]

    assert lines() == lines()


def test_patience_ends_the_finish_early() -> None:
    bench = Bench()
    rounds = list(stamp(bench.learner(), bench.graph, PruneOptions(rounds=3), 60, patience=2))
    assert [turn.event for turn in rounds].count("finish") == 3
    assert bench.steps < 60


def test_patience_waits_while_false_positives_go_away() -> None:
    """The Dice that chooses the round rises, though that of the cases with a lesion stays."""
    bench, asked = Bench(), []

    def validate() -> Validation:
        asked.append(bench.steps)
        wrong = max(0, 10 - 2 * len(asked))
        return Validation(0.8, {"lesion": 0.8}, {"lesion": 5}, {"lesion": FalsePositives(10, wrong)})

    learner = replace(bench.learner(), validate=validate)
    rounds = list(train_only(learner, bench.graph, 60, patience=2))
    assert [turn.steps for turn in rounds] == [6, 12, 18, 24, 30, 36, 42]
    assert rounds[-1].validation and rounds[-1].validation.judged == 0.8


def test_validations_come_as_often_as_asked() -> None:
    bench = Bench()
    rounds = list(stamp(bench.learner(), bench.graph, PruneOptions(rounds=3), 200, every=10))
    first = next(turn.steps for turn in rounds if turn.event == "finish")
    assert np.diff([t.steps for t in rounds if t.event == "finish"]).tolist() == [10] * ((200 - first) // 10)
    spread = list(train_only(Bench().learner(), bench.graph, 60, every=6, dropout=0.1))
    assert [turn.steps for turn in spread] == list(range(6, 61, 6))


@pytest.mark.parametrize("steps", [60, 18])
def test_an_early_end_has_what_belongs_to_the_end_of_a_run(steps: int) -> None:
    """The last Dice is that of the network as it is kept; training has ended it else."""
    bench, ended = Bench(lambda bench: 0.95 if ended else 0.9), []
    learner = replace(bench.learner(), end=lambda: ended.append(bench.steps))
    rounds = list(train_only(learner, bench.graph, steps, patience=2, every=6))
    if steps == 18:
        assert (ended, bench.steps) == ([], 18)
        return
    assert ended == [bench.steps] == [18]
    assert [turn.steps for turn in rounds] == [6, 12, 18, 18]
    assert [turn.number for turn in rounds] == [0, 1, 2, 3]
    assert rounds[-1].loss == rounds[-2].loss and rounds[-1].validation != rounds[-2].validation


def test_noise_under_the_published_normaliser_makes_a_flat_network() -> None:
    """The control of algorithm.md: no information at all, and wide layers still go first."""
    with torch.device("meta"):
        network = UNet(3, 1, 2, 4, [(2, 2, 2)] * 4, order="activation-norm")
        graph = trace(network, torch.empty(1, 1, 16, 16, 16))
    names = {group.name for group in rankable_groups(graph, "published")}
    dense, rng, gone, left = Tally(network, graph).parameters, np.random.default_rng(0), 0, {}
    for target in (182, 273, 300):
        while gone < target:
            scores = importance(
                network, graph, [], functional.cross_entropy, criterion="noise", generator=rng
            )
            cut = choose(
                network, graph, scores, limit=Limit("parameters", 0), most=min(7, target - gone), groups=names
            )
            graph, gone = apply_cut(network, graph, cut), gone + cut.count
        left[gone] = 100 * Tally(network, graph).parameters / dense
    assert left == {
        182: pytest.approx(26, abs=4),
        273: pytest.approx(8.2, abs=2),
        300: pytest.approx(4.8, abs=1.5),
    }
    widths = [group.size for group in graph.groups if group.name in names]
    assert min(widths) >= 1 and max(widths) <= 12


def test_a_learner_is_cut_in_place() -> None:
    bench = Bench()
    network, before = bench.network, copy.deepcopy(bench.network)
    rounds = list(bench.run())
    assert bench.network is network
    assert rounds[-1].graph is not None and rounds[-1].graph.widths() == dict(rounds[-1].widths)
    apply_cut(before, bench.graph, bench.graph.cut_to(rounds[-1].graph.kept))
    assert [p.shape for p in before.parameters()] == [p.shape for p in network.parameters()]


def test_cuts_of_a_trained_network_are_measured_by_what_it_could_before() -> None:
    settled = PruneOptions(target=Target(share=0.3), rounds=5, warmup_share=0, max_drop=0.2, rollbacks=0)

    def events(dice: float) -> list[str]:
        bench = Bench(lambda bench: 0.6)
        learner = bench.learner()
        before = as_given(learner, bench.graph, Validation(dice, {}))
        return [turn.event for turn in stamp(learner, bench.graph, settled, 60, before=before)]

    assert events(0.9)[:2] == ["cut", "rolled back"]
    assert "rolled back" not in events(0.7)


def test_a_share_of_the_time_is_of_the_network_before_its_first_cut() -> None:
    bench, asked = Bench(), list[float]()

    def latency() -> float:
        asked.append(1 + bench.size / 1000)
        return asked[-1]

    settled = PruneOptions(
        target=Target(kind="latency", share=0.8), normalizer="parameters", rounds=4, warmup_share=0
    )
    learner = replace(bench.learner(), latency=latency, times=Equal())
    before = as_given(learner, bench.graph)
    assert (before.number, before.latency, before.parameters) == (-1, 1 + bench.dense / 1000, bench.dense)
    rounds = list(stamp(learner, bench.graph, settled, 60, before=before))
    assert rounds[0].event == "cut" and rounds[0].latency is not None and rounds[0].latency < asked[0]
    assert len(asked) == 1 + [turn.event for turn in rounds].count("cut"), "each network is measured once"
    assert asked[-1] <= 0.8 * asked[0]
    # it is not by the first cut's time that the target is judged
    choice = select(rounds, settled, before, True)
    assert choice.target_reached and not select(rounds, settled, rounds[-1], True).target_reached


class Equal:
    """A clock by which every layer takes its channels, in and out."""

    def milliseconds(self, call: Any, kernel: tuple[int, ...], in_channels: int, out_channels: int) -> float:
        return float(in_channels + out_channels)


def test_averages_are_cut_and_rolled_back_with_the_network() -> None:
    bench = Bench(lambda bench: 0.9 if bench.steps < 25 else 0.3)
    ema = AveragedModel(bench.network)
    learner = replace(bench.learner(), copies=[ema])
    settled = PruneOptions(target=Target(share=0.3), rounds=5)
    for turn in stamp(learner, bench.graph, settled, 60):
        shapes = [tuple(p.shape) for p in bench.network.parameters()]
        assert [tuple(p.shape) for p in ema.module.parameters()] == shapes, turn.event
        ema.update_parameters(bench.network)
    assert turn.parameters < bench.dense


def test_below_a_dice_floor_no_cut_is_trusted_without_validation() -> None:
    bench = Bench(lambda bench: None)
    settled = PruneOptions(target=Target.parse("dice:0.8"), rollbacks=1)
    rounds = list(stamp(bench.learner(), bench.graph, settled, 60))
    assert rounds[-1].parameters == bench.dense
    assert [turn.event for turn in rounds].count("rolled back") >= 2
    assert (rounds[-1].event, rounds[-1].steps) == ("finish", 60)
