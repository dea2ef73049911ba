"""Every criterion against a slow, obvious twin; what scoring must not touch."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.cost import Tally
from stampseg.channels.graph import ChannelGraph
from stampseg.channels.importance import Batch, importance, normalise
from stampseg.channels.trace import trace
from stampseg.errors import TrainingError, WiringError
from stampseg.networks.unet import UNet

SIDE = {2: 8, 3: 4}
ACTIVATION = ("l1", "l2", "l1-std", "taylor", "taylor-abs")


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


def slow_twin(network: UNet, group: str, batches: list[Batch], criterion: str) -> list[float]:
    """One channel at a time, in the words of the paper."""
    network = copy.deepcopy(network).eval()
    seen: list[Tensor] = []

    def look(module: nn.Module, args: object, output: Tensor) -> Tensor:
        seen.append(output)
        output.retain_grad()
        return output.clone()

    watched(network, group).register_forward_hook(look)
    for batch in batches:
        loss(network(batch["image"]), batch["label"]).backward()
    scores = []
    for channel in range(seen[0].shape[1]):
        per_batch = []
        for maps in seen:
            assert maps.grad is not None
            a, g = maps[:, channel].flatten(1), maps.grad[:, channel].flatten(1)
            per_batch.append(
                {
                    "l1": [row.abs().sum().item() for row in a],
                    "l2": [row.square().sum().sqrt().item() for row in a],
                    "taylor": [(x * y).sum().item() for x, y in zip(a, g, strict=True)],
                    "taylor-abs": [(x * y).sum().abs().item() for x, y in zip(a, g, strict=True)],
                }[criterion.removesuffix("-std")]
            )
        if criterion == "l1-std":
            scores.append(float(np.std(np.concatenate(per_batch))))
        else:
            scores.append(abs(sum(float(np.mean(values)) for values in per_batch)))
    return scores


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("criterion", ACTIVATION)
def test_activations_as_in_the_formulas(dims: int, criterion: str) -> None:
    network, graph, batches = make(dims)
    scores = importance(network, graph, batches, loss, criterion=criterion, normalizer="none")
    assert list(scores) == [group.name for group in graph.prunable]
    for name, values in scores.items():
        np.testing.assert_allclose(values, slow_twin(network, name, batches, criterion), rtol=1e-9)


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
        found = importance(network, graph, batches, signed, criterion=criterion, normalizer="none")  # type: ignore[arg-type]
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


def test_weights_and_scales() -> None:
    network, graph, _ = make(3)
    unit = network.encoder[0][1]
    by_weight = importance(network, graph, [], loss, criterion="weight-l1", normalizer="none")
    np.testing.assert_allclose(
        by_weight["encoder.0.1.conv"], unit.conv.weight.detach().abs().sum((1, 2, 3, 4))
    )
    np.testing.assert_allclose(by_weight["up.0"], network.up[0].weight.detach().abs().sum((0, 2, 3, 4)))
    by_scale = importance(network, graph, [], loss, criterion="norm-scale", normalizer="none")
    np.testing.assert_allclose(by_scale["encoder.0.1.conv"], unit.norm.weight.detach().abs())
    assert np.ptp(by_scale["up.0"]) == 0 and by_scale["up.0"][0] > 0


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
    for name, values in normalise(raw, network, graph, normalizer).items():  # type: ignore[arg-type]
        group = graph[name]
        part = raw[group.start : group.stop]
        np.testing.assert_allclose(values, part / (NORMALS[normalizer](part) or 1))


@pytest.mark.parametrize("which", ["parameters", "flops"])
def test_a_score_can_be_divided_by_what_its_channel_costs(which: str) -> None:
    network, graph, _ = make(2)
    scores = normalise(np.ones(graph.channel_count), network, graph, which)  # type: ignore[arg-type]
    tally = Tally(network, graph)
    before = getattr(tally, which)
    tally.drop(graph["bottleneck.0.conv"].start)
    np.testing.assert_allclose(1 / scores["bottleneck.0.conv"][0], before - getattr(tally, which))


def test_random_is_raw_noise_is_normalised_and_both_follow_the_generator() -> None:
    network, graph, _ = make(2)

    def draw(criterion: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        found = importance(network, graph, [], loss, criterion=criterion, generator=rng)  # type: ignore[arg-type]
        return np.concatenate(list(found.values()))

    for criterion in ("random", "noise"):
        np.testing.assert_array_equal(draw(criterion, 1), draw(criterion, 1))
        assert not np.array_equal(draw(criterion, 1), draw(criterion, 2))
    raw = np.random.default_rng(1).random(graph.channel_count)
    np.testing.assert_array_equal(draw("random", 1), np.concatenate(list(graph.per_group(raw).values())))
    norms = [np.linalg.norm(v) for v in importance(network, graph, [], loss, criterion="noise").values()]
    np.testing.assert_allclose(norms, 1)


@pytest.mark.parametrize("criterion", ACTIVATION)
def test_scoring_touches_neither_network_nor_gradients_nor_chance(criterion: str) -> None:
    network, graph, batches = make(2)
    network.train().bottleneck.eval()
    loss(network(batches[0]["image"]), batches[0]["label"]).backward()
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    state, modes = copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]
    chance = torch.get_rng_state()
    importance(network, graph, batches, loss, criterion=criterion)  # type: ignore[arg-type]
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
