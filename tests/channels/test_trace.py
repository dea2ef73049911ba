"""Any network can be traced: what is understood is cut exactly, what is not is frozen and named."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import WiringError
from stampseg.networks.unet import UNet
from tests.channels.cuts import mask, random_cut
from tests.channels.small_networks import (
    UNDERSTOOD,
    Chunks,
    Net,
    Residual,
    build,
    conv,
)


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_random_cuts_equal_the_masked_twin(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph, rng = trace(network, x), np.random.default_rng(0)
    if kind is not Chunks:
        assert graph.unknown == ()
    dense, made = network(x), 0
    for _ in range(8):
        cut = random_cut(graph, rng, groups=2)
        twin = copy.deepcopy(network)
        mask(twin, graph, cut, producers_only=True)
        graph = apply_cut(network, graph, cut)
        made += cut.count
        torch.testing.assert_close(network(x), twin(x), atol=1e-12, rtol=0)
    assert made and network(x).shape == dense.shape


class Frozen(Net):
    def __init__(self, step: str) -> None:
        super().__init__()
        self.step, self.one, self.power = step, conv(12, 12), nn.Parameter(torch.ones(12, 1, 1))
        self.loose = nn.Parameter(torch.ones(12, 3, 3, 3))

    def body(self, x: Tensor) -> Tensor:
        return self.one(getattr(self, f"do_{self.step}")(x))

    def do_softmax(self, x: Tensor) -> Tensor:
        return x.softmax(dim=1)

    def do_split(self, x: Tensor) -> Tensor:
        return torch.cat(x.split(6, dim=1)[::-1], dim=1)

    def do_slice(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, 6:], x[:, :6]), dim=1)

    def do_write(self, x: Tensor) -> Tensor:
        y = torch.zeros(1).expand_as(x).clone()
        y[:, :6] = x[:, 6:]
        return y

    def do_numpy(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy())

    def do_roll(self, x: Tensor) -> Tensor:
        return torch.roll(x, 2, 1)

    def do_roll_everything(self, x: Tensor) -> Tensor:
        return torch.roll(x, 2)

    def do_flip(self, x: Tensor) -> Tensor:
        return x.flip(1)

    def do_power(self, x: Tensor) -> Tensor:
        return x.pow(self.power)

    def do_swap(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)).transpose(0, 1).transpose(0, 1)[:, :, None, None] + x

    def do_unbatched_pool(self, x: Tensor) -> Tensor:
        mixed = functional.avg_pool1d(x.mean((2, 3)), 3, 1, 1)  # (B, C) is one sequence of C to it
        return mixed[:, :, None, None] + x

    def do_unbatched_pool_3d(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(x, 3, 1, 1)

    def do_expand(self, x: Tensor) -> Tensor:
        return x + x.mean((0, 2, 3))[None].expand(x.shape[1], -1).mean(1)[None, :, None, None]

    def do_loose_norm(self, x: Tensor) -> Tensor:
        return functional.group_norm(x, 4)

    def do_loose_groups(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.loose, groups=4, padding=1)

    def do_weight(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.one[0].weight * 2, padding=1)


STEPS = [name.removeprefix("do_") for name in vars(Frozen) if name.startswith("do_")]


@pytest.mark.parametrize("step", STEPS)
def test_what_is_not_understood_freezes_and_is_named(step: str) -> None:
    network = Frozen(step)
    graph = trace(network, torch.randn(2, 1, 8, 8))
    assert "is not understood" in (graph["stem.0"].frozen or "")
    assert graph.unknown and all(" in " in text for text in graph.unknown)
    with pytest.raises(WiringError, match=r"group 'stem.0' is frozen \(.* is not understood\); leave it out"):
        graph.without(random_cut(graph, np.random.default_rng(0)).of({"stem.0": [0]}))


class Normed(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one = nn.LayerNorm((12, 8, 8)), conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.one(self.norm(x))


class Stacked(Residual):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return torch.stack([y, y], dim=1)


class Met(Residual):
    """Something that cannot be followed meets a convolution's output: only that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.three = conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return super().body(self.three(x) + x.softmax(1))


@pytest.mark.parametrize(
    ("kind", "group", "reason", "unknown"),
    [
        (Normed, "stem.0", "a layer norm takes its statistics over the channels in norm", ()),
        (Stacked, "head", "stacked along a new dimension in the network itself", ()),
        (
            Met,
            "three.0",
            "it meets a tensor that does not come from cuttable channels",
            ("softmax in the network itself",),
        ),
    ],
)
def test_what_cannot_be_cut_says_why(kind: type[nn.Module], group: str, reason: str, unknown: tuple) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    assert reason in (graph[group].frozen or "")
    assert len(graph.unknown) == len(unknown) and all(
        u in g for u, g in zip(unknown, graph.unknown, strict=True)
    )
    assert graph["one.0"].frozen is None
    cut, twin = random_cut(graph, np.random.default_rng(0)), copy.deepcopy(network)
    mask(twin, graph, cut, producers_only=True)
    apply_cut(network, graph, cut)
    torch.testing.assert_close(network(x), twin(x), atol=1e-12, rtol=0)


def test_a_network_that_looks_at_its_values_is_run_for_real() -> None:
    class Looks(Residual):
        def body(self, x: Tensor) -> Tensor:
            return super().body(x * 2 if float(x.sum()) > 0 else x)

    network, x = build(Looks)
    before = copy.deepcopy(network.state_dict())
    assert trace(network.train(), x)["one.0"].frozen is None
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_code_that_python_cannot_see_freezes_what_went_before() -> None:
    class Hidden(Residual):
        def __init__(self) -> None:
            super().__init__()
            self.jit = torch.jit.trace(nn.Softmax(1), torch.randn(1, 12, 8, 8))

        def body(self, x: Tensor) -> Tensor:
            return super().body(self.jit(x))

    graph = trace(Hidden(), torch.randn(1, 1, 8, 8))
    assert graph["stem.0"].frozen
    assert graph["one.0"].frozen is None


def test_a_deep_supervision_head_of_training_mode_is_frozen_too() -> None:
    class Deep(Residual):
        def __init__(self) -> None:
            super().__init__()
            self.side, self.deep = nn.Conv2d(12, 6, 1), nn.Conv2d(6, 2, 1)

        def body(self, x: Tensor) -> Tensor:
            self.out = self.deep(self.side(x)) if self.training else None
            return super().body(x)

        def forward(self, x: Tensor) -> Tensor | list[Tensor]:
            y = super().forward(x)
            return y if self.out is None else [y, self.out]

    network, x = Deep(), torch.randn(1, 1, 8, 8)
    graph = trace(network, x)
    assert graph["deep"].frozen == graph["head"].frozen == "the network's output"
    graph = apply_cut(network, graph, random_cut(graph, np.random.default_rng(0), groups=9))
    assert [y.shape[1] for y in network.train()(x)] == [2, 2]
    assert graph["side"].frozen is None


def test_a_trace_leaves_everything_as_it_was() -> None:
    network = UNet(2, 1, 2, 4, [(2, 2)]).train()
    network.bottleneck.eval()
    modes = [module.training for module in network.modules()]
    state, random_state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    trace(network, torch.ones(1, 1, 8, 8))
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_the_meta_device_gives_the_same_graph() -> None:
    x = torch.ones(1, 1, 8, 8)
    real = trace(UNet(2, 1, 2, 4, [(2, 2)]), x)
    with torch.device("meta"):
        imagined = trace(UNet(2, 1, 2, 4, [(2, 2)]), torch.empty(1, 1, 8, 8))
    assert real.groups == imagined.groups and real.calls == imagined.calls
    for ours, theirs in zip(real.bindings, imagined.bindings, strict=True):
        np.testing.assert_array_equal(ours.channels, theirs.channels)


def test_one_example_whose_deepest_map_is_one_pixel() -> None:
    assert trace(UNet(2, 1, 2, 4, [(2, 2)] * 2), torch.ones(1, 1, 4, 4))["bottleneck.0.conv"].size == 16


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Conv3d(1, 2, 3),
            r"Conv3d does not run in eval mode on an input of shape \(1, 1, 8, 8\): .*; give",
        ),
        (nn.ReLU(), "ReLU has no convolution or linear layer that could be traced"),
        (type("Mute", (Residual,), {"forward": lambda self, x: None})(), "Mute returns no tensors"),
    ],
)
def test_errors(network: nn.Module, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        trace(network, torch.randn(1, 1, 8, 8))
