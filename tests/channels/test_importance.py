"""Every criterion against a slow, obvious twin; what scoring must not touch."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.cost import Tally
from stampseg.channels.criteria import CRITERIA
from stampseg.channels.graph import ChannelGraph
from stampseg.channels.importance import NORMALIZERS, Batch, Gathering, importance, normalise
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import TrainingError, WiringError
from stampseg.core.prune_options import CriterionName, Normalizer, PruneOptions
from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.trainer import NotFiniteError, Trainer
from tests.channels.cuts import random_cut

SIDE = {2: 8, 3: 4}
SEED = 7  # of the criteria of chance


def loss(output: Tensor, label: Tensor) -> Tensor:
    return (output - label).pow(3).mean()


def make(dims: int, order: str = "activation-norm") -> tuple[UNet, ChannelGraph, list[Batch]]:
    """A network, its graph, and batches of 3, 3 and (incomplete) 1 examples."""
    torch.manual_seed(0)
    network = UNet(dims, 1, 2, 3, [(2,) * dims], "batch", "relu", order).double()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.weight, 0.5, 2)
    shape = (SIDE[dims],) * dims
    batches = [
        {"image": torch.randn(n, 1, *shape).double(), "label": torch.randn(n, 2, *shape).double()}
        for n in (3, 3, 1)
    ]
    return network, trace(network, batches[0]["image"]), batches


def watched(network: UNet, group: str) -> nn.Module:
    """Where the release looks: behind the ReLU; an up-convolution has none."""
    module = network.get_submodule(group.removesuffix(".conv"))
    return getattr(module, "activation", module)


Twin = Callable[[UNet, ChannelGraph, str, list[Batch]], list[float]]


def maps_and_gradients(network: UNet, group: str, batches: list[Batch]) -> list[tuple[Tensor, Tensor]]:
    """(B, C, N) of every batch."""
    network = copy.deepcopy(network).eval()
    seen: list[Tensor] = []

    def look(module: nn.Module, args: object, output: Tensor) -> Tensor:
        seen.append(output)
        output.retain_grad()
        return output.clone()

    watched(network, group).register_forward_hook(look)
    for batch in batches:
        loss(network(batch["image"]), batch["label"]).backward()
    return [(maps.detach().flatten(2), maps.grad.flatten(2)) for maps in seen if maps.grad is not None]


def of_maps(value: Callable[[Tensor, Tensor], Tensor], deviation: bool = False) -> Twin:
    """One channel and one example at a time, as in the paper; `value` is of a map and its gradient."""

    def twin(network: UNet, graph: ChannelGraph, group: str, batches: list[Batch]) -> list[float]:
        seen, scores = maps_and_gradients(network, group, batches), []
        for channel in range(seen[0][0].shape[1]):
            values = [[float(value(a[i, channel], g[i, channel])) for i in range(len(a))] for a, g in seen]
            if deviation:
                scores.append(float(np.std([v for batch in values for v in batch])))
            else:
                scores.append(abs(sum(float(np.mean(batch)) for batch in values)))
        return scores

    return twin


def filters(network: UNet, graph: ChannelGraph, group: str, batches: list[Batch]) -> list[float]:
    weight = network.get_submodule(group).weight.detach()
    by_output = weight.transpose(0, 1) if graph[group].transposed else weight
    return [sum(abs(float(w)) for w in kernel.flatten()) for kernel in by_output]


def scales(network: UNet, graph: ChannelGraph, group: str, batches: list[Batch]) -> list[float]:
    """An up-convolution has no norm: it competes at the mean of those that have."""
    norm = getattr(network.get_submodule(group.removesuffix(".conv")), "norm", None)
    if norm is not None:
        return [abs(float(gamma)) for gamma in norm.weight.detach()]
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    everything = [abs(float(gamma)) for norm in norms for gamma in norm.weight.detach()]
    return [sum(everything) / len(everything)] * graph[group].size


def chance(network: UNet, graph: ChannelGraph, group: str, batches: list[Batch]) -> list[float]:
    rng = np.random.default_rng(SEED)
    numbers = [rng.random() for _ in range(graph.channel_count)]
    return numbers[graph[group].start : graph[group].stop]


def largest_layer(network: UNet, graph: ChannelGraph, group: str, batches: list[Batch]) -> list[float]:
    numbers = chance(network, graph, group, batches)
    order = sorted(numbers)
    return [1 / (len(numbers) - order.index(number) + number) for number in numbers]


TWINS: dict[str, Twin] = {
    "taylor": of_maps(lambda a, g: (a * g).sum()),
    "taylor-abs": of_maps(lambda a, g: (a * g).sum().abs()),
    "l1": of_maps(lambda a, g: a.abs().sum()),
    "l2": of_maps(lambda a, g: a.square().sum().sqrt()),
    "l1-std": of_maps(lambda a, g: a.abs().sum(), deviation=True),
    "random": chance,
    "weight-l1": filters,
    "norm-scale": scales,
    "noise": chance,
    "largest-layer": largest_layer,
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_is_its_slow_twin(dims: int, criterion: str) -> None:
    assert criterion in TWINS, f"{criterion} has no slow twin; write one and put it into TWINS"
    network, graph, batches = make(dims)
    rng = np.random.default_rng(SEED)
    scores = importance(network, graph, batches, loss, criterion=criterion, normalizer="none", generator=rng)
    assert list(scores) == [group.name for group in graph.prunable]
    for name, values in scores.items():
        np.testing.assert_allclose(values, TWINS[criterion](network, graph, name, batches), rtol=1e-9)


def test_the_options_name_every_criterion_and_normalizer() -> None:
    assert set(CRITERIA) == set(get_args(CriterionName)) == set(TWINS)
    assert set(NORMALIZERS) == set(get_args(Normalizer))
    text = PruneOptions.model_fields["scoring"].description or ""
    found = re.search(r"\((\S+) takes one all the same\)", text)
    assert found, "the option no longer says which criterion training steps cannot gather"
    assert [row.name for row in CRITERIA.values() if row.from_maps and not row.while_training] == [found[1]]


def test_an_in_place_activation_does_not_change_the_map_of_a_bare_convolution() -> None:
    class Inplace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bare, self.relu, self.head = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1)
            self.shown = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.relu(self.shown(x))
            y += self.bare(x).mul_(3).relu_()  # both maps are overwritten after they were seen
            return self.head(y)

    torch.manual_seed(0)
    network, x = Inplace(), torch.randn(5, 1, 6, 6)
    scores = importance(network, trace(network, x), [{"image": x}], loss, criterion="l1", normalizer="none")
    want = sum(m.abs().sum((2, 3)).mean(0) for m in (network.bare(x), network.shown(x).relu()))
    np.testing.assert_allclose(scores["shown"], want.detach().numpy(), rtol=1e-5)


def test_the_signs_of_taylor_cancel_and_those_of_taylor_abs_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1.0)
    x = torch.ones(2, 1, 4, 4)
    label = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    graph = trace(network, x)

    def signed(output: Tensor, label: Tensor) -> Tensor:
        return (output * label).sum()

    def score(criterion: str, batches: list[Batch]) -> list[float]:
        found = importance(network, graph, batches, signed, criterion=criterion, normalizer="none")
        return found["0"].tolist()

    together = [{"image": x, "label": label}]
    apart = [{"image": x[:1], "label": label[:1]}, {"image": x[1:], "label": label[1:]}]
    assert score("taylor", together) == score("taylor", apart) == [0, 0]
    assert score("taylor-abs", together) == [32, 32]
    assert score("taylor-abs", apart) == [64, 64]


def test_fewer_examples_than_a_batch_and_incomplete_batches_count() -> None:
    """Defect 5: they were skipped."""
    network, graph, batches = make(2)
    whole, last = (
        importance(network, graph, part, loss, criterion="l1", normalizer="none")
        for part in (batches, batches[2:])
    )
    rest = importance(network, graph, batches[:2], loss, criterion="l1", normalizer="none")
    for name, values in last.items():
        assert values.sum() > 0
        np.testing.assert_allclose(whole[name], rest[name] + values)


NORMALS: dict[str, Callable[[np.ndarray], float]] = {
    "l2": lambda v: np.sqrt(np.sum(v**2)),
    "mean": lambda v: np.sum(v) / len(v),
    "none": lambda v: 1.0,
}


@pytest.mark.parametrize("normalizer", NORMALS)
def test_normalisers_of_a_layer(normalizer: str) -> None:
    network, graph, _ = make(2)
    raw = np.random.default_rng(0).random(graph.channel_count)
    raw[graph["up.0"].start : graph["up.0"].stop] = 0
    for name, values in normalise(raw, network, graph, normalizer).items():
        group = graph[name]
        part = raw[group.start : group.stop]
        np.testing.assert_allclose(values, part / (NORMALS[normalizer](part) or 1))


@pytest.mark.parametrize("which", ["parameters", "flops"])
def test_a_score_can_be_divided_by_what_its_channel_costs(which: str) -> None:
    network, graph, _ = make(2)
    scores = normalise(np.ones(graph.channel_count), network, graph, which)
    tally = Tally(network, graph)
    before = getattr(tally, which)
    tally.drop(graph["bottleneck.0.conv"].start)
    np.testing.assert_allclose(1 / scores["bottleneck.0.conv"][0], before - getattr(tally, which))


def test_random_is_raw_noise_is_normalised_and_both_follow_the_generator() -> None:
    network, graph, _ = make(2)

    def draw(criterion: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        found = importance(network, graph, [], loss, criterion=criterion, generator=rng)
        return np.concatenate(list(found.values()))

    for criterion in ("random", "noise"):
        np.testing.assert_array_equal(draw(criterion, 1), draw(criterion, 1))
        assert not np.array_equal(draw(criterion, 1), draw(criterion, 2))
    raw = np.random.default_rng(1).random(graph.channel_count)
    np.testing.assert_array_equal(draw("random", 1), np.concatenate(list(graph.per_group(raw).values())))
    norms = [np.linalg.norm(v) for v in importance(network, graph, [], loss, criterion="noise").values()]
    np.testing.assert_allclose(norms, 1)


def test_by_the_largest_layer_a_channel_goes_where_most_are_left() -> None:
    network, graph, _ = make(2)
    rng = np.random.default_rng(SEED)
    scores = importance(network, graph, [], loss, criterion="largest-layer", generator=rng)
    left = {group.name: group.size for group in graph.prunable}
    queue = sorted((score, name) for name, values in scores.items() for score in values)
    for _, name in queue:
        assert left[name] == max(left.values())
        left[name] -= 1
    again = importance(network, graph, [], loss, criterion="largest-layer", generator=rng)
    assert any(list(scores[name]) != list(again[name]) for name in scores)  # which one is left to chance


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scoring_touches_neither_network_nor_gradients_nor_chance(criterion: str) -> None:
    network, graph, batches = make(2)
    network.train().bottleneck.eval()
    loss(network(batches[0]["image"]), batches[0]["label"]).backward()
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    state, modes = copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]
    chance = torch.get_rng_state()
    importance(network, graph, batches, loss, criterion=criterion)
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_layer_of_training_mode_alone_competes_at_the_mean() -> None:
    class Side(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.side, self.deep = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 2, 1)
            self.head = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> list[Tensor]:
            y = self.stem(x)
            return [self.head(y), *([self.deep(self.side(y))] if self.training else [])]

    network, x = Side(), torch.randn(2, 1, 4, 4)
    scores = importance(network, trace(network, x), [{"image": x}], loss, criterion="l1", normalizer="none")
    assert np.ptp(scores["side"]) == 0 and scores["side"][0] > 0


def test_errors() -> None:
    network, graph, batches = make(2)
    with pytest.raises(WiringError, match="'taylor' needs at least one batch; none was given"):
        importance(network, graph, [], loss)
    with pytest.raises(WiringError, match="'l1-std' needs at least two examples; one was given; use l1"):
        importance(network, graph, batches[2:], loss, criterion="l1-std")
    with pytest.raises(WiringError, match="'norm-scale' finds no weights: the network's norms have no scale"):
        plain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1))
        importance(plain, trace(plain, batches[0]["image"].float()), [], loss, criterion="norm-scale")
    with pytest.raises(TrainingError, match=r"the l1 importance of .* channels is not a number: .* diverged"):
        importance(network, graph, [{"image": batches[0]["image"] * np.nan}], loss, criterion="l1")


# --- gathered while training ---


def backward(network: nn.Module, batch: dict[str, Tensor]) -> None:
    loss(network(batch["image"]), batch["label"]).backward()


@pytest.mark.parametrize("order", ["activation-norm", "norm-activation"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("criterion", [row.name for row in CRITERIA.values() if row.while_training])
def test_in_eval_mode_it_is_the_pass(criterion: str, dims: int, order: str) -> None:
    network, graph, batches = make(dims, order)
    network.eval()
    gathering = Gathering(network, graph, criterion, 3)
    for left, batch in zip((3, 2, 1), batches, strict=True):
        with gathering.step(left):
            backward(network, batch)
    raw = gathering.raw(graph)
    assert raw is not None and gathering.batches == 3
    expected = importance(network, graph, batches, loss, criterion=criterion, normalizer="none")
    gathered = importance(network, graph, [], loss, criterion=criterion, normalizer="none", gathered=raw)
    for name, values in expected.items():
        np.testing.assert_allclose(gathered[name], values, rtol=1e-9)


def test_training_is_the_same_with_and_without() -> None:
    ends = []
    for watched in (False, True):
        network, graph, batches = make(2)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        gathering = Gathering(network, graph, "taylor-abs", 3)
        for batch in batches * 2:
            optimizer.zero_grad()
            if watched:
                with gathering.step():
                    backward(network, batch)
            else:
                backward(network, batch)
            optimizer.step()
        ends.append([p.detach().clone() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert not any(m._forward_hooks for m in network.modules())


def test_nothing_gathered_before_a_step_nor_across_a_cut() -> None:
    network, graph, batches = make(2)
    gathering = Gathering(network, graph, "taylor", 1)
    assert gathering.raw(graph) is None
    with gathering.step():
        backward(network, batches[0])
    assert gathering.raw(graph) is not None
    smaller = apply_cut(network, graph, random_cut(graph, np.random.default_rng(0)))
    assert gathering.raw(smaller) is None
    with gathering.step():
        backward(network, batches[0])
    assert gathering.raw(smaller) is not None and gathering.raw(graph) is None


def test_what_was_collected_is_taken_from_and_put_back_into_checkpoints() -> None:
    """In the form that is on disk: sums by the number of the probe, and three counts."""
    network, graph, batches = make(2)
    gathering, other = (Gathering(network, graph, "l1", 2) for _ in range(2))
    with gathering.step(2):
        backward(network, batches[0])
    sums, counts = gathering.state()
    assert counts == {"batches": 1, "spoiled": 0, "left": 2}
    assert {i: len(s) for i, s in sums.items()} == {i: len(p.channels) for i, p in enumerate(graph.probes)}
    other.set_state(sums, counts)
    for each in (gathering, other):
        with each.step(1):
            backward(network, batches[1])
    assert gathering.batches == other.batches == 2
    np.testing.assert_allclose(other.raw(graph), gathering.raw(graph))


def test_a_map_that_is_changed_in_place_is_not_taken() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.head = nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.1), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.act(self.first(x))
            y += 1  # its backward does not need y, so that autograd allows it
            return self.head(y)

    network = Changed().double()
    graph = trace(network, torch.randn(1, 1, 6, 6).double())
    gathering = Gathering(network, graph, "taylor", 1)
    with gathering.step():
        network(torch.randn(2, 1, 6, 6).double()).sum().backward()
    assert gathering.raw(graph) is None


def test_other_criteria_are_refused() -> None:
    network, graph, _ = make(2)
    with pytest.raises(ValueError, match="l1-std cannot be gathered; expected one of taylor, taylor-abs"):
        Gathering(network, graph, "l1-std", 1)


class Fixed:
    """Batches that can be counted."""

    def __init__(self) -> None:
        self.content = {"image": torch.randn(2, 1, 8, 8), "label": torch.randint(0, 2, (2, 1, 8, 8))}

    def batch(self, step: int) -> dict[str, Tensor]:
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, Tensor]]:
        return [self.content]


def test_the_trainer_gathers_in_its_last_steps_and_forgets_the_earlier_ones() -> None:
    network, _, _ = make(2)
    network = network.float()
    graph = trace(network, torch.randn(1, 1, 8, 8))
    trainer = Trainer(network, Fixed(), TrainOptions(), 20, torch.device("cpu"))
    gathering = Gathering(network, graph, "taylor-abs", 3)
    trainer.watcher = gathering
    for steps, expected in ((5, 3), (2, 2), (3, 3)):
        trainer.train(steps)
        assert gathering.batches == expected


def test_a_gathering_longer_than_a_stretch_takes_all_of_its_steps_and_no_other() -> None:
    """As `prune.score_round` asks for: bounded by the steps of the run, the sums are those of the round."""

    def gathered(bound: int, anew: bool = False) -> np.ndarray:
        """Raw scores after a stretch of 3 steps and one of 4; `anew`: only the second was watched."""
        torch.manual_seed(0)
        network, graph, _ = make(2)
        trainer = Trainer(network.float(), Fixed(), TrainOptions(), 20, torch.device("cpu"))
        gathering = Gathering(network, graph, "taylor-abs", bound)
        trainer.watcher = None if anew else gathering
        trainer.train(3)
        trainer.watcher = gathering
        trainer.train(4)
        assert gathering.batches == min(4, bound)
        raw = gathering.raw(graph)
        assert raw is not None
        return raw

    np.testing.assert_allclose(gathered(20), gathered(4, anew=True))
    assert not np.allclose(gathered(20), gathered(3))


def test_a_stretch_begun_anew_after_a_loss_that_is_no_number_keeps_what_was_gathered_before() -> None:
    """As in a run that was resumed in the middle of a stretch."""
    network, graph, _ = make(2)
    trainer = Trainer(network.float(), Fixed(), TrainOptions(), 20, torch.device("cpu"))
    gathering = trainer.watcher = Gathering(network, graph, "taylor-abs", 20)
    for left in (6, 5):  # what the run gathered before it was stopped
        with gathering.step(left):
            network(Fixed().content["image"]).square().mean().backward()
    trainer.taken = 2
    good, failed = trainer._step, []

    def once_no_number() -> float:
        if not failed:
            failed.append(1)
            raise NotFiniteError("loss is nan")
        return good()

    trainer._step = once_no_number  # type: ignore[method-assign]
    trainer.train(6)
    assert gathering.batches == 6
