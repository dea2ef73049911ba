"""Targeted dropout: rates as published and per channel, and what dropping does to a map."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from stampseg.channels.dropout import (
    TargetedDropout,
    attach_dropout,
    channel_dropout,
    detach_dropout,
    dropped_groups,
    rate_names,
    set_rates,
    set_uniform_rate,
    targeted_rates,
)
from stampseg.channels.graph import ChannelGraph, Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.networks.unet import UNet

SCORES = {"a": np.array([0.1, 0.4]), "b": np.array([0.2, 0.9, 0.8])}  # ranks 4 2 | 3 0 1


def make(width: int = 3) -> tuple[UNet, ChannelGraph]:
    network = UNet(2, 1, 2, width, [(2, 2)])
    return network, trace(network, torch.randn(2, 1, 8, 8))


def test_a_small_example_by_hand() -> None:
    rates = targeted_rates(SCORES, 0.10, "layer")  # means 3 and 4/3, largest 3
    np.testing.assert_allclose(rates["a"], [0.10, 0.10])
    np.testing.assert_allclose(rates["b"], [0.10 * 4 / 9] * 3)
    rates = targeted_rates(SCORES, 0.10, "channel")
    np.testing.assert_allclose(rates["a"], [0.10, 0.05])
    np.testing.assert_allclose(rates["b"], [0.075, 0, 0.025])


def test_ties_share_their_mean_rank() -> None:
    """Defect 7: dead channels, all of score zero, could get dropout zero."""
    rates = targeted_rates({"a": np.array([0.0, 0.0, 0.0]), "b": np.array([1.0])}, 0.1, "channel")
    np.testing.assert_allclose(rates["a"], [0.1 * 2 / 3] * 3)  # mean of 3, 2, 1 over 3
    assert rates["b"] == [0]


@pytest.mark.parametrize("scope", ["layer", "channel"])
def test_one_channel_alone_is_never_dropped(scope: str) -> None:
    assert targeted_rates({"a": np.array([1.0])}, 0.1, scope)["a"] == [0]  # type: ignore[arg-type]


def test_the_rate_before_the_first_cut_is_the_one_asked_for() -> None:
    """Defect 9: it was 0.1 times it."""
    network, _ = make()
    set_uniform_rate(network, 0.005)
    rates = [module.rate for module in network.modules() if isinstance(module, TargetedDropout)]
    assert len(rates) == 6
    assert all(torch.equal(rate, torch.full_like(rate, 0.005)) for rate in rates)


@pytest.mark.parametrize("width", [1, 3])
def test_every_dropout_gets_its_layers_rates_the_last_decoder_included(width: int) -> None:
    """Defect 8: the last was set under a wrong name."""
    network, graph = make(width)
    rng = np.random.default_rng(0)
    rates = {group.name: rng.uniform(0.01, 0.1, group.size) for group in graph.prunable}
    set_rates(network, graph, rates)
    found = [name for name, module in network.named_modules() if isinstance(module, TargetedDropout)]
    assert len(found) == 6 and "decoder.0.1.dropout" in found
    for name in found:
        module = network.get_submodule(name)
        np.testing.assert_allclose(module.rate, rates[name.replace("dropout", "conv")], rtol=1e-6)
        assert module.active


def test_rates_are_cut_with_their_channels_and_are_not_stored() -> None:
    network, graph = make(4)
    values = np.linspace(0.01, 0.04, 4)
    set_rates(network, graph, {"encoder.0.1.conv": values})
    apply_cut(network, graph, Cut.of({"encoder.0.1.conv": [1]}))
    np.testing.assert_allclose(network.encoder[0][1].dropout.rate, values[[0, 2, 3]], rtol=1e-6)
    assert not any("rate" in name for name in network.state_dict())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_whole_channels_go_and_the_mean_stays(dims: int) -> None:
    torch.manual_seed(0)
    x, rate = torch.ones(20000, 3, *[2] * dims), torch.tensor([0.0, 0.1, 0.5])
    y = channel_dropout(x, rate).flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert [sorted(set(y[:, c].flatten().tolist())) for c in range(3)] == [
        [1],
        pytest.approx([0, 1 / 0.9]),
        [0, 2],
    ]
    torch.testing.assert_close(y.mean((0, 2)), torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close((y[..., 0] == 0).float().mean(0), rate, atol=0.02, rtol=0)


def test_nothing_is_dropped_in_eval_mode_or_at_rate_zero() -> None:
    x, dropout = torch.ones(4, 8, 2, 2), TargetedDropout(8)
    assert dropout.train()(x) is x
    dropout.set_rate(torch.full((8,), 0.9))
    assert dropout.eval()(x) is x
    assert not torch.equal(dropout.train()(x), x)
    dropout.set_rate(torch.zeros(8))
    assert dropout.train()(x) is x


class Plain(nn.Module):
    """A network of somebody else: one activation used twice, another as a function."""

    def __init__(self, modules: bool = True) -> None:
        super().__init__()
        self.one, self.two, self.side = (nn.Conv2d(1, 4, 3, padding=1) for _ in range(3))
        self.two, self.head = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 2, 1)
        self.act = nn.ReLU(inplace=True) if modules else torch.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.two(self.act(self.one(x)))))


def attached(modules: bool = True) -> tuple[nn.Module, ChannelGraph]:
    torch.manual_seed(0)
    network, x = Plain(modules), torch.randn(2, 1, 8, 8)
    before, y = list(network.state_dict()), network(x)
    graph = attach_dropout(network, trace(network, x), x)
    assert attach_dropout(network, graph, x) is graph, "it has its own now"
    assert list(network.state_dict()) == before and torch.equal(network(x), y)
    return network, graph


@pytest.mark.parametrize("modules", [True, False])
def test_any_network_gets_dropout_behind_its_activations(modules: bool) -> None:
    network, graph = attached(modules)
    x = torch.randn(2, 1, 8, 8)
    assert dropped_groups(network, graph) == {"one", "two"}
    set_rates(network, graph, {"one": np.array([0.0, 0.999, 0, 0]), "two": np.full(6, 0.0)})
    seen: list[torch.Tensor] = []
    network.two.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    network.train()(x)
    network.train()(x)
    assert all(float(s[:, 1].abs().max()) == 0 and float(s[:, 0].abs().max()) > 0 for s in seen)
    y = network.eval()(x)
    assert torch.equal(y, network(x))
    assert len(rate_names(network)) == 2


def test_attached_dropout_is_cut_and_copied_with_its_network() -> None:
    network, graph = attached()
    set_rates(network, graph, {"one": np.array([0.1, 0.2, 0.3, 0.4])})
    graph = apply_cut(network, graph, Cut.of({"one": [1]}))
    rates = [m.rate for m in network.modules() if isinstance(m, TargetedDropout)]
    torch.testing.assert_close(rates[0], torch.tensor([0.1, 0.3, 0.4]))
    twin = copy.deepcopy(network)
    for each in (network, twin):
        each.train()(torch.randn(2, 1, 8, 8)).sum().backward()


class Normed(nn.Module):
    """The activation is a function of a norm's output, so that the dropout stands behind the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.one(x))))


def test_dropout_behind_a_batch_norm_is_cut_with_its_channels() -> None:
    """Batch norms are traced in eval mode, what is attached to them is not."""
    network, x = Normed(), torch.randn(2, 1, 8, 8)
    graph = attach_dropout(network, trace(network, x), x)
    set_rates(network, graph, {"one": np.array([0.1, 0.2, 0.3, 0.4])})
    apply_cut(network, graph, Cut.of({"one": [0, 1, 3]}))
    (rate,) = [m.rate for m in network.modules() if isinstance(m, TargetedDropout)]
    torch.testing.assert_close(rate, torch.tensor([0.3]))
    assert network.norm.train()(network.one(x)).shape[1] == 1


def test_detached_dropout_leaves_the_network_as_it_was() -> None:
    network, graph = attached()
    detach_dropout(network)
    assert not rate_names(network) and len(list(network.modules())) == 6
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    apply_cut(network, graph, Cut.of({"two": [0]}))  # the graph still names the rates
    assert network(torch.randn(2, 1, 8, 8)).shape[1] == 2
