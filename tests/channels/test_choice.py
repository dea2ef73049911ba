"""The lowest scores of the whole network go, no further than the limit, no layer below its minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

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
from stampseg.core.prune_options import PruneOptions, Scope
from stampseg.core.target import Target
from stampseg.networks.unet import UNet
from tests.networks.zoo import SUBJECTS, Subject

SCOPES: tuple[Scope, Scope] = ("all", "published")
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


def left_out(network: nn.Module, example: Tensor) -> set[str]:
    """Groups that may be cut, but not in the published scope."""
    graph = trace(network, example)
    ranked = [{g.name for g in rankable_groups(graph, scope)} for scope in SCOPES]
    return ranked[0] - ranked[1]


def test_published_leaves_up_convolutions_and_the_last_layer_alone(case: Case) -> None:
    assert left_out(case[0], torch.randn(1, 1, 8, 8)) == {"up.0", "up.1", "decoder.0.1.conv"}


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


class HeadFirst(nn.Module):
    """Names and order of definition say nothing: what the head reads is made before other layers run."""

    def __init__(self, deep: bool = False, summed: bool = False, lost: bool = False) -> None:
        super().__init__()
        self.deep, self.summed, self.lost = deep, summed, lost
        self.tail = nn.Conv2d(6, 2, 1)
        self.a, self.b, self.c = nn.Conv2d(1, 6, 1), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 5, 1)
        self.up, self.add = nn.ConvTranspose2d(6, 6, 2, 2), nn.ConvTranspose2d(6, 6, 2, 2)
        self.gate, self.side = nn.Conv2d(5, 6, 1), nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Any:
        first = self.a(x).relu()
        last = self.b(first).relu()
        scores = self.tail(self.add(functional.avg_pool2d(last, 2)) + last if self.summed else last)
        deep = self.c(self.up(functional.avg_pool2d(first, 2)).relu()).relu()
        scores = scores * self.gate(deep).mean(1, keepdim=True).sigmoid()
        return [scores, self.side(deep)] if self.deep else scores.softmax(1) if self.lost else scores


def test_the_layer_before_the_head_is_found_by_the_wiring() -> None:
    example = torch.randn(1, 1, 8, 8)
    assert left_out(HeadFirst(), example) == {"up", "b"}
    # the other maps of deep supervision are for training: their layers may be cut
    assert left_out(HeadFirst(deep=True), example) == {"up", "b"}
    # an up-convolution that is added to another layer lives and dies with it
    assert left_out(HeadFirst(summed=True), example) == {"up", "b"}
    # a softmax mixes the classes and the output is not followed to the end: what leads nowhere counts
    assert left_out(HeadFirst(lost=True), example) == {"up", "b", "c"}


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.slow], ids=lambda s: s.label)
def test_every_network_has_a_layer_before_its_head(subject: Subject) -> None:
    subject.skip_without_package()
    with torch.device("meta"):
        network = subject.spec.build(trusted=(subject.name,))
        graph = trace(network, torch.empty(subject.spec.example_shape), rehearse=False)
    assert any(group.before_head for group in graph.prunable)
    assert not any(group.before_head for group in graph.groups if group.frozen == "the network's output")
    ranked = rankable_groups(graph, "published")
    assert ranked and not any(group.before_head or group.transposed for group in ranked)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("poolings", [2, 3, 5])
@pytest.mark.parametrize("target", ["15%", "2%", "flops:25%", "memory:25%"])
def test_the_networks_of_the_defaults_reach_what_is_usual(dims: int, poolings: int, target: str) -> None:
    options = PruneOptions(target=Target.parse(target))
    with torch.device("meta"):
        network = UNet(dims, 1, 3, 8, [(2,) * dims] * poolings)
        graph = trace(network, torch.empty(1, 1, *[64] * dims), rehearse=False)
    limit, kind = reach(network, graph, options), options.target.kind
    assert limit is not None and limit.kind == kind
    assert limit.amount == options.target.limit(Tally(network, graph).total(kind))


def reach(network: nn.Module, graph: ChannelGraph, options: PruneOptions) -> Limit | None:
    """The limit of a run, as train and prune look for it."""
    return reachable_limit(
        network, graph, options.target, rankable_groups(graph, options.scope),
        minimum_width=options.minimum_width, evenness=options.evenness,
    )  # fmt: skip


def test_a_target_that_only_all_layers_reach_names_the_option(case: Case) -> None:
    network, graph, _ = case
    sizes = [smallest(network, graph, 1, {g.name for g in rankable_groups(graph, s)}) for s in SCOPES]
    least, published = (size.parameters for size in sizes)
    remedy = "; ask for more, or set prune.rankable=all: then up-convolutions and the last layer are cut too"
    left = f"the smallest network that is left has {published:,} parameters"
    for scope, amount, message in (
        (None, published, None),
        (None, published - 1, left + remedy),
        ("published", least, left + remedy),
        ("all", least, None),
        ("published", least - 1, left + "; ask for more"),
        ("all", least - 1, f"the smallest network that is left has {least:,} parameters; ask for more"),
    ):
        options = PruneOptions(target=Target(amount=amount), rankable=scope)  # type: ignore[arg-type]
        if message is None:
            reach(network, graph, options)
            continue
        with pytest.raises(ConfigError) as caught:
            reach(network, graph, options)
        said = str(caught.value).partition("; did you mean")[0]
        assert said == f"target {amount:,} parameters: {message}"


@pytest.mark.parametrize("target", ["15%", "50k", "flops:25%", "memory:25%", "latency:50ms", "dice:0.8"])
def test_the_last_layer_is_safe_unless_the_cost_lies_there(target: str) -> None:
    kind = target.partition(":")[0]
    options = PruneOptions(target=Target.parse(target))
    assert options.scope == ("all" if kind in ("flops", "memory", "latency") else "published")
    assert PruneOptions(target=options.target, rankable="all").scope == "all"
    assert PruneOptions(target=options.target, rankable="published").scope == "published"


class Joined(nn.Module):
    """Two layers side by side, of which a third is added to both, so that all are cut together."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(1, 12, 3, padding=1)
        self.c, self.head = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.a(x).relu(), self.b(x).relu()], dim=1)
        return self.head((self.c(y) + y).relu())


@pytest.mark.parametrize("kind", ["flops", "memory"])
def test_channels_of_a_layer_at_its_least_width_do_not_stop_the_others_of_their_group(kind: str) -> None:
    network = Joined()
    graph = trace(network, torch.zeros(1, 1, 16, 16))
    (group,) = graph.prunable
    scores = {group.name: np.r_[np.full(4, 0.01), np.linspace(1, 2, 12)]}  # those of `a` rank lowest
    limit = Limit(kind, int(0.6 * getattr(Tally(network, graph), kind)))  # type: ignore[arg-type]
    cut = choose(network, graph, scores, limit=limit, minimum_width=4, cost=kind)  # type: ignore[arg-type]
    tally = Tally(network, graph)
    for index in cut.removed[group.name]:
        tally.drop(group.start + index)
    assert limit.met(tally) and min(cut.removed[group.name]) >= 4
