"""The lowest scores of the whole network go, no further than the limit, no layer below its minimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stampseg.channels.choice import (
    Limit,
    bounds_of,
    choose,
    least_widths,
    rankable_groups,
    reachable_limit,
    removable,
    smallest,
)
from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError
from stampseg.core.target import Target
from stampseg.networks.unet import UNet

NEVER = Limit("parameters", 0)


@pytest.fixture(scope="module")
def case() -> tuple[UNet, ChannelGraph, dict[str, np.ndarray]]:
    network = UNet(2, 1, 2, 4, [(2, 2)] * 2)
    graph = trace(network, torch.randn(1, 1, 8, 8))
    rng = np.random.default_rng(0)
    return network, graph, {group.name: rng.random(group.size) for group in graph.prunable}


Case = tuple[UNet, ChannelGraph, dict[str, np.ndarray]]


@pytest.mark.parametrize("most", [1, 5, 30])
def test_the_lowest_of_the_whole_network_go(case: Case, most: int) -> None:
    network, graph, scores = case
    cut = choose(network, graph, scores, limit=NEVER, most=most)
    flat = sorted((score, name, i) for name, values in scores.items() for i, score in enumerate(values))
    wanted: dict[str, list[int]] = {}
    for _, name, i in flat[:most]:
        wanted.setdefault(name, []).append(i)
    assert cut == Cut.of(wanted)


@pytest.mark.parametrize("kind", ["parameters", "flops"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.15, 0.08])
def test_the_limit_is_met_and_one_channel_fewer_would_exceed_it(case: Case, kind: str, share: float) -> None:
    network, graph, scores = case
    limit = Limit(kind, int(getattr(Tally(network, graph), kind) * share))  # type: ignore[arg-type]
    cut = choose(network, graph, scores, limit=limit)
    tally = Tally(network, graph)
    order = sorted((scores[name][i], name, i) for name, indices in cut.removed.items() for i in indices)
    for number, (_, name, i) in enumerate(order):
        assert not limit.met(tally), f"{len(order) - number} channels too many"
        tally.drop(graph[name].start + i)
    assert limit.met(tally)


@pytest.mark.parametrize("kind", ["parameters", "flops", "memory"])
@pytest.mark.parametrize("seed", range(3))
def test_by_cost_the_least_importance_for_what_it_costs_goes_first(case: Case, kind: str, seed: int) -> None:
    """Against a slow twin that counts the network anew for every channel."""
    network, graph, _ = case
    rng = np.random.default_rng(seed)
    importance = {group.name: rng.random(group.size) for group in graph.prunable}
    tally = Tally(network, graph)
    prices = {g.name: [getattr(tally.cost(g.start + i), kind) for i in range(g.size)] for g in graph.prunable}
    scores = {name: values / np.maximum(prices[name], 1) for name, values in importance.items()}
    cut = choose(network, graph, scores, limit=NEVER, most=12, cost=kind)  # type: ignore[arg-type]

    gone: dict[str, list[int]] = {}
    for _ in range(12):
        offers = []
        for group in graph.prunable:
            left = [i for i in range(group.size) if i not in gone.get(group.name, [])]
            if len(left) < 2:
                continue
            now = Tally(network, graph)
            for name, indices in gone.items():
                for index in indices:
                    now.drop(graph[name].start + index)
            i = min(left, key=lambda i: importance[group.name][i])
            price = max(1, getattr(now.cost(group.start + i), kind))
            offers.append((importance[group.name][i] / price, group.name, i))
        _, name, i = min(offers)
        gone.setdefault(name, []).append(i)
    assert cut == Cut.of(gone)


@pytest.mark.parametrize("minimum", [1, 3, 100])
def test_every_layer_keeps_its_minimum(case: Case, minimum: int) -> None:
    network, graph, scores = case
    left = graph.without(choose(network, graph, scores, limit=NEVER, minimum_width=minimum))
    assert [g.size for g in left.prunable] == [min(g.size, minimum) for g in graph.prunable]
    names = {group.name for group in graph.prunable}
    assert removable(left, minimum, names) == 0
    assert removable(graph, 3, names) == sum(group.size - 3 for group in graph.prunable)


def test_equal_scores_go_in_the_order_of_the_network(case: Case) -> None:
    network, graph, scores = case
    cut = choose(network, graph, {n: np.ones(len(v)) for n, v in scores.items()}, limit=NEVER, most=5)
    assert cut.removed == {"encoder.0.0.conv": (0, 1, 2), "encoder.0.1.conv": (0, 1)}


def test_only_named_groups_and_none_when_the_limit_is_met(case: Case) -> None:
    network, graph, scores = case
    cut = choose(network, graph, scores, limit=NEVER, groups={"up.0"})
    assert set(cut.removed) == {"up.0"}
    assert choose(network, graph, scores, limit=NEVER, groups=()).removed == {}
    assert choose(network, graph, scores, limit=Limit("parameters", 10**9)).removed == {}


def test_published_leaves_up_convolutions_and_the_last_layer_alone(case: Case) -> None:
    _, graph, _ = case
    left_out = {g.name for g in rankable_groups(graph, "all")} - {
        g.name for g in rankable_groups(graph, "published")
    }
    assert left_out == {"up.0", "up.1", "decoder.0.1.conv"}


def test_channels_given_as_protected_stay(case: Case) -> None:
    network, graph, scores = case
    protected = {("up.0", 0), ("encoder.0.0.conv", 1)}
    for cost in (None, "flops"):
        cut = choose(network, graph, scores, limit=NEVER, protected=protected, cost=cost)
        assert not {(name, i) for name, gone in cut.removed.items() for i in gone} & protected


def test_an_even_cut_leaves_the_root_of_a_share_of_the_flops_and_a_share_of_the_memory(case: Case) -> None:
    _, graph, _ = case
    groups = graph.prunable
    for evenness, kind, share, part in (
        (1.0, "flops", 0.25, 0.5),
        (0.5, "parameters", 0.25, 0.25),
        (1.0, "memory", 0.25, 0.25),
        (0.0, "latency", 0.25, 0.0),
    ):
        assert least_widths(groups, evenness, kind, share) == {g.name: int(part * g.size) for g in groups}


def test_the_bounds_of_a_run_follow_from_its_target(case: Case) -> None:
    network, graph, _ = case
    tally, groups = Tally(network, graph), graph.prunable[:3]
    limit, names, least = bounds_of(groups, Target.parse("flops:25%"), tally.total, 1.0)
    assert limit == Limit("flops", tally.flops // 4) and names == {group.name for group in groups}
    assert least == {group.name: group.size // 2 for group in groups}
    floor = bounds_of(groups, Target.parse("dice:0.8"), tally.total, 0.0).limit
    assert floor == Limit("parameters", tally.parameters // 50)
    measured = bounds_of(groups, Target.parse("latency:50%"), {"latency": 3.0}.__getitem__, 0.0).limit
    assert measured == Limit("latency", 1.5)


@pytest.mark.parametrize("kind", ["parameters", "flops", "memory"])
def test_a_limit_is_reachable_down_to_the_smallest_network(case: Case, kind: str) -> None:
    network, graph, scores = case
    groups = graph.prunable[:3]
    least = int(smallest(network, graph, 2, {group.name for group in groups}).total(kind))
    target = Target(kind=kind, amount=least)
    found = reachable_limit(network, graph, target, groups, minimum_width=2)
    assert found == Limit(kind, least)
    cut = choose(
        network, graph, scores, limit=found, minimum_width=2, groups={group.name for group in groups}
    )
    assert cut.count == sum(group.size - 2 for group in groups)
    with pytest.raises(ConfigError, match="the smallest network that is left has"):
        reachable_limit(network, graph, Target(kind=kind, amount=least - 1), groups, minimum_width=2)
    with pytest.raises(ConfigError, match="the smallest network that is left has"):  # even cuts keep more
        reachable_limit(network, graph, target, groups, minimum_width=2, evenness=1.0)


@pytest.mark.parametrize("target", ["dice:0.8", "latency:1us"])
def test_whether_a_floor_or_a_latency_is_reachable_is_not_known_before(case: Case, target: str) -> None:
    network, graph, _ = case
    assert reachable_limit(network, graph, Target.parse(target), graph.prunable) is None
