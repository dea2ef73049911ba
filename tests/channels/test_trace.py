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
from tests.channels.test_surgery import mask, random_cut


def conv(source: int, width: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(source, width, 3, padding=1, groups=groups), nn.BatchNorm2d(width))


class Net(nn.Module):
    """A stem of 12 channels, a body under test, a head of 2 classes."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem, self.head = conv(1, 12), nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(functional.relu(self.stem(x))))

    def body(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Residual(Net):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.act = conv(12, 8), conv(8, 12), nn.ReLU(inplace=True)

    def body(self, x: Tensor) -> Tensor:
        y = self.two(self.act(self.one(x)))
        y += x
        return self.act(y)


class Concatenation(Net):
    def __init__(self) -> None:
        super().__init__(26)
        self.one, self.two = conv(12, 6), conv(6, 8)

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return torch.cat((self.two(y), x, y), dim=1)


class Chunks(Net):
    def __init__(self) -> None:
        super().__init__(18)
        self.one = conv(12, 18)

    def body(self, x: Tensor) -> Tensor:
        a, b = self.stem[0](x[:, :1] * 0).chunk(2, 1)  # the slice is not understood, the stem's output is
        first, second, third = self.one(x).chunk(3, dim=1)
        return torch.cat((first * second.sigmoid(), third, a + b), 1)


class SqueezeExcite(Net):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 5, 1), nn.ReLU(), nn.Conv2d(5, 12, 1), nn.Sigmoid()
        )
        self.scale = nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5)

    def body(self, x: Tensor) -> Tensor:
        return x * self.gate(x) * self.scale


class PRelus(Net):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.many, self.next = nn.PReLU(), nn.PReLU(12), conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.many(self.next(self.one(-x)))


class Depthwise(Net):
    def __init__(self) -> None:
        super().__init__()
        self.deep, self.point = conv(12, 24, groups=12), nn.Conv2d(24, 12, 1)

    def body(self, x: Tensor) -> Tensor:
        return self.point(self.deep(x))


class Grouped(Net):
    def __init__(self) -> None:
        super().__init__(8)
        self.grouped = conv(12, 8, groups=4)

    def body(self, x: Tensor) -> Tensor:
        return self.grouped(x)


class GroupNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one = nn.GroupNorm(4, 12), conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.one(self.norm(x))


class Twice(Net):
    """One plain, one depthwise convolution, each called on two different inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.deep, self.other = conv(12, 12), conv(12, 12, groups=12), conv(1, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(self.stem(x)) + self.shared(self.shared(self.stem(x)))
        return self.head(y * self.deep(self.other(x)))


class Flattened(Net):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.hidden, self.head = nn.MaxPool2d(4), nn.Linear(12 * 4, 7), nn.Linear(7, 2)

    def body(self, x: Tensor) -> Tensor:
        return functional.gelu(self.hidden(self.pool(x).flatten(1)))


class Shuffled(Net):
    def __init__(self) -> None:
        super().__init__(3)
        self.shuffle = nn.PixelShuffle(2)

    def body(self, x: Tensor) -> Tensor:
        return self.shuffle(x)


class PlainInstanceNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one = nn.InstanceNorm2d(12), nn.Conv2d(12, 12, 3)

    def body(self, x: Tensor) -> Tensor:
        return functional.interpolate(
            input=functional.pad(self.one(self.norm(x)), (1, 1, 1, 1)), scale_factor=2
        )


class Turned(Net):
    """Flips, rolls, repeats, shuffles and bare data: all over space, or channel by channel."""

    def __init__(self) -> None:
        super().__init__(24 * 4)
        self.norm, self.fold = nn.LayerNorm((8, 8)), nn.PixelUnshuffle(2)

    def body(self, x: Tensor) -> Tensor:
        y = self.norm(x).flip(-1).roll((1, 2), (2, 3)) + x.data
        return self.fold(y.repeat(1, 2, 1, 1))


UNDERSTOOD = [
    Residual, Concatenation, Chunks, SqueezeExcite, PRelus, Depthwise, Grouped, GroupNorm, Twice, Flattened,
    Shuffled, PlainInstanceNorm, Turned,
]  # fmt: skip


def build(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network = kind().double().eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point() and not name.endswith("rate"):
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    return network, torch.randn(2, 1, 8, 8, dtype=torch.float64)


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
