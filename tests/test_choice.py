"""The lowest scores of the whole network go, no further than the limit, no layer below its minimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stampseg.channels.choice import Limit, choose, rankable_groups, removable
from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.trace import trace
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
