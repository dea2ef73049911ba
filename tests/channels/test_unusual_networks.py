"""Networks whose code does not follow a cut by itself: exact or frozen, never silently wrong."""

from __future__ import annotations

import copy
from collections import UserDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

import stampseg
from stampseg.channels.choice import Limit, choose, removable
from stampseg.channels.dropout import TargetedDropout, attach_dropout, detach_dropout, set_rates
from stampseg.channels.graph import Cut
from stampseg.channels.importance import importance
from stampseg.channels.proof import prove
from stampseg.channels.snapshot import restore, snapshot
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError, WiringError


class Base(nn.Module):
    """A stem of 12 channels, a body under test, a head of 2 classes."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.one, self.head = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(width, 2, 1)
        self.grid: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(self.stem(x)))

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.one(x))


def make(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return kind().eval(), torch.randn(2, 1, 8, 8)


class View(Base):
    def body(self, x: Tensor) -> Tensor:
        return self.one(x).view(x.shape[0], 12, -1).view(x.shape[0], 12, 8, 8)


class Heads(Base):
    def body(self, x: Tensor) -> Tensor:
        parts = self.one(x).reshape(x.shape[0], 12, -1)
        return (parts - parts.mean(-1, keepdim=True)).reshape(x.shape)


class Chunks(Base):
    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return torch.cat(y.chunk(y.shape[1] // 4, 1)[::-1], 1)


class SizeFromWidth(Base):
    def body(self, x: Tensor) -> Tensor:
        return functional.interpolate(self.one(x), size=(x.shape[1],) * 2)


class Squeezed(Base):
    """Right until one channel is left."""

    def body(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(self.one(x), 1).squeeze()
        return x * pooled[:, :, None, None]


class TwoRoles(Base):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(12, 12))
        self.pad = nn.ZeroPad2d(2)

    def body(self, x: Tensor) -> Tensor:
        y = functional.linear(self.one(x).mean((2, 3)), self.w)[:, :, None, None]
        return y + self.pad(x) * self.w


class HeldOutside(Base):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.PReLU(12)
        self.held = {"slope": self.act.weight}

    def body(self, x: Tensor) -> Tensor:
        return functional.prelu(self.one(x), self.held["slope"])


@pytest.mark.parametrize("kind", [View, Heads, Chunks, SizeFromWidth, Squeezed, TwoRoles, HeldOutside])
def test_sizes_written_in_code_are_found_in_rehearsal(kind: type[nn.Module]) -> None:
    network, x = make(kind)
    graph = trace(network, x)
    assert any(g.frozen for g in graph.groups if g.name != "head"), "the code does not follow this cut"
    rounding = 1e-5 if kind is HeldOutside else 1e-10  # what is held outside stays in single precision
    assert max(prove(network, graph, x).values(), default=0.0) < rounding


class SharedNorm(Base):
    """A norm without parameters, called on two branches: its number of groups counts for both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(12, 16, 3, padding=1), nn.Conv2d(12, 16, 3, padding=1)
        self.norm, self.head = nn.GroupNorm(4, 16, affine=False), nn.Conv2d(16, 2, 1)
        self.side = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(functional.relu(self.norm(self.a(x)))) + self.side(
            functional.relu(self.norm(self.b(x)))
        )


def test_a_shared_norm_ties_its_branches() -> None:
    network, x = make(SharedNorm)
    graph = trace(network, x)
    assert graph["a"].producers == ("a", "b")
    assert max(prove(network, graph, x).values()) < 1e-10


class ScaledByWidth(Base):
    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return y * y.shape[1] ** -0.5


def test_the_proof_finds_numbers_that_code_computes_from_a_width() -> None:
    network, x = make(ScaledByWidth)
    found = stampseg.trace(network, x).prove()
    assert found["stem.0"] < 1e-10 < 1e-3 < found["one"]


class Joined(Base):
    """Two layers fill one group side by side, through an addition."""

    def __init__(self) -> None:
        super().__init__(8)
        self.a, self.b, self.c = nn.Conv2d(12, 4, 1), nn.Conv2d(12, 4, 1), nn.Conv2d(12, 8, 1)

    def body(self, x: Tensor) -> Tensor:
        return torch.cat([self.a(x), self.b(x)], 1) + self.c(x)


def test_no_layer_of_a_group_loses_all_its_channels() -> None:
    network, x = make(Joined)
    graph = trace(network, x)
    assert graph["a"].size == 8
    with pytest.raises(
        WiringError, match=r"the layer of a.weight would lose all of its channels; keep at least"
    ):
        apply_cut(network, graph, Cut.of({"a": range(4)}))
    scores = {g.name: np.arange(float(g.size)) for g in graph.prunable}
    cut = choose(network, graph, scores, limit=Limit("parameters", 0), minimum_width=2)
    assert len(cut.removed["a"]) == 4 and removable(graph, 2, {"a"}) == 4
    apply_cut(network, graph, cut)
    assert network.a.out_channels == network.b.out_channels == 2
    network(x)


@dataclass
class Found:
    scores: Tensor


class InDataClass(Base):
    def forward(self, x: Tensor) -> Any:
        y = self.stem(x)
        return super().forward(x), Found(y)


class InUserDict(Base):
    def forward(self, x: Tensor) -> Any:
        return UserDict(scores=super().forward(x), features=self.stem(x))


@pytest.mark.parametrize("kind", [InDataClass, InUserDict])
def test_outputs_are_found_in_any_container(kind: type[nn.Module]) -> None:
    graph = trace(*make(kind))
    assert graph["stem.0"].frozen == graph["head"].frozen == "the network's output"


class Cached(Base):
    def body(self, x: Tensor) -> Tensor:
        if self.grid is None:
            self.grid = torch.linspace(0, 1, 8, device=x.device)
        self.seen = x
        return self.one(x) * self.grid


def test_what_a_forward_pass_caches_is_not_left_behind() -> None:
    network, x = make(Cached)
    graph = trace(network, x)
    assert network.grid is None and not hasattr(network, "seen")
    assert graph["one"].frozen is None
    assert network(x).device.type == "cpu"


class Moving(Base):
    """Looks at its values, replaces a buffer, draws numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))

    def body(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * float(x.sum() > 0) + np.random.rand() * 0
        return self.one(x)


def test_buffers_and_random_states_are_as_before() -> None:
    network, x = make(Moving)
    buffer, state = network.mean, np.random.get_state()[1].copy()
    trace(network, x)
    assert network.mean is buffer and float(buffer) == 0
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("example", [torch.zeros(3), (torch.zeros(1, 1, 8, 8),), None])
def test_a_wrong_example_is_refused_and_leaves_no_hooks(example: Any) -> None:
    network, _ = make(Base)
    with pytest.raises(WiringError, match=r"the example has .*; give one tensor \(B, C, \*S\)"):
        trace(network, example)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_wrapped_networks_are_refused() -> None:
    network, x = make(Base)
    with pytest.raises(WiringError, match=r"DataParallel keeps the old parameters .*; cut its .module"):
        trace(nn.DataParallel(network), x)


class Checkpointed(Base):
    reentrant = True

    def body(self, x: Tensor) -> Tensor:
        run = lambda z: self.two(functional.relu(self.one(z)))  # noqa: E731
        return checkpoint(run, x, use_reentrant=self.reentrant) if self.training else run(x)

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU())


class Plain(Checkpointed):
    def body(self, x: Tensor) -> Tensor:
        return self.two(functional.relu(self.one(x)))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpoints_compute_the_same_dropout_again(reentrant: bool) -> None:
    gradients = []
    for kind in (Checkpointed, Plain):
        network, x = make(kind)
        network.reentrant = reentrant
        graph = attach_dropout(network, trace(network, x), x)
        set_rates(network, graph, {name: np.full(size, 0.5) for name, size in graph.widths().items()})
        torch.manual_seed(1)
        network.train()(x).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    assert sum(isinstance(m, TargetedDropout) for m in network.modules()) == 2
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


class SharedActivation(Base):
    """One activation for two layers, and once more in training: the dropout goes to the norms before it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.act, self.side = nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 6, 1)
        self.deep = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        y = self.act(self.norm(self.one(x)))
        deep = self.deep(self.act(self.side(y))) if self.training else None
        out = self.head(self.act(self.one(y)))
        return out if deep is None else (out, deep)


def test_a_shared_activation_hosts_no_dropout() -> None:
    network, x = make(SharedActivation)
    graph = attach_dropout(network, trace(network, x), x)
    assert not network.act._modules and network.norm._modules
    network.train()(x)
    apply_cut(network, graph, Cut.of({"stem.0": [0]}))
    network.train()(x)
    detach_dropout(network)


class Frozen(Base):
    def __init__(self) -> None:
        super().__init__()
        self.stem.requires_grad_(False)


def loss(output: Tensor, label: Tensor) -> Tensor:
    return functional.cross_entropy(output, label)


def batches() -> list[dict[str, Tensor]]:
    torch.manual_seed(2)
    return [{"image": torch.randn(2, 1, 8, 8), "label": torch.randint(0, 2, (2, 8, 8))} for _ in range(2)]


def test_a_frozen_encoder_is_scored() -> None:
    network, x = make(Frozen)
    scores = importance(network, trace(network, x), batches(), loss)
    assert scores["stem.0"].any() and not network.stem[0].weight.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "tailor"}, "criterion 'tailor' is not known; known are taylor, "),
        ({"normalizer": "l3"}, "normalizer 'l3' is not known; known are l2, mean"),
    ],
)
def test_misspelt_criteria_are_refused(options: dict[str, Any], message: str) -> None:
    network, x = make(Base)
    with pytest.raises(ConfigError, match=message):
        stampseg.trace(network, x).score(batches(), loss, **options)


def test_an_optimiser_of_another_network_is_refused() -> None:
    network, x = make(Base)
    other = torch.optim.SGD(Base().parameters(), 0.1)
    with pytest.raises(
        WiringError, match="the SGD holds none of the network's parameters; give the optimiser"
    ):
        apply_cut(network, trace(network, x), Cut.of({"one": [0]}), other)
    assert network.one.out_channels == 12


def test_two_optimisers_and_a_foreign_parameter_are_carried() -> None:
    network, x = make(Base)
    weight = nn.Parameter(torch.zeros(3))
    first = torch.optim.AdamW([*network.stem.parameters(), weight])
    second = torch.optim.AdamW([*network.one.parameters(), *network.head.parameters()])
    (network(x).mean() + weight.sum()).backward()
    first.step()
    second.step()
    graph = trace(network, x)
    then = snapshot(network, graph, first)
    apply_cut(network, graph, Cut.of({"one": [0], "stem.0": [1]}), [first, second])
    held = {id(p) for o in (first, second) for g in o.param_groups for p in g["params"]}
    assert held == {id(p) for p in network.parameters()} | {id(weight)}
    assert first.state[weight]["step"] == 1
    restore(network, first, then)
    assert any(p is weight for p in first.param_groups[0]["params"]) and weight in first.state


def test_a_failure_in_the_middle_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from stampseg.channels import surgery

    network, x = make(Base)
    optimizer = torch.optim.AdamW(network.parameters())
    network(x).mean().backward()
    optimizer.step()
    graph, count = trace(network, x), 0
    real = surgery._select

    def failing(*arguments: Any) -> Tensor:
        nonlocal count
        count += 1
        if count > 14:
            raise MemoryError("no memory")
        return real(*arguments)

    before, parameters = copy.deepcopy(optimizer.state_dict()), [id(p) for p in network.parameters()]
    monkeypatch.setattr(surgery, "_select", failing)
    with pytest.raises(MemoryError):
        apply_cut(network, graph, Cut.of({"one": [0], "stem.0": [1]}), optimizer)
    assert [id(p) for p in network.parameters()] == parameters
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == parameters
    for index, state in before["state"].items():
        assert all(torch.equal(v, optimizer.state_dict()["state"][index][k]) for k, v in state.items())


def test_hooks_and_marks_of_parameters_survive() -> None:
    network, x = make(Base)
    calls: list[int] = []
    network.one.weight.register_hook(lambda gradient: calls.append(1))
    network.one.weight.no_decay = True
    apply_cut(network, trace(network, x), Cut.of({"one": [0]}))
    network(x).mean().backward()
    assert calls and network.one.weight.no_decay


def test_averages_with_buffers_go_through_a_run() -> None:
    network, _ = make(Base)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    ema = AveragedModel(network, use_buffers=True)

    def train(steps: int) -> None:
        for step in range(steps):
            batch = batches()[step % 2]
            optimizer.zero_grad()
            loss(network.train()(batch["image"]), batch["label"]).backward()
            optimizer.step()
            ema.update_parameters(network)

    run = stampseg.stamp(
        network, torch.zeros(1, 1, 8, 8), optimizer, train, batches=batches(), loss=loss, steps=30,
        target="40%", rounds=3, copies=ema,
    )  # fmt: skip
    *_, last = run
    assert [p.shape for p in ema.module.parameters()] == [p.shape for p in network.parameters()]
    assert last.parameters == sum(p.numel() for p in network.parameters())
    assert not any(isinstance(m, TargetedDropout) for m in (*network.modules(), *ema.modules()))
    stopped = stampseg.stamp(
        network, torch.zeros(1, 1, 8, 8), optimizer, train, batches=batches(), loss=loss, target="90%"
    )
    stopped.close()
    assert not any(isinstance(m, TargetedDropout) for m in network.modules())


def test_targets_that_no_cut_reaches_are_refused() -> None:
    network, x = make(Base)
    graph = stampseg.trace(network, x)
    scores = graph.score(batches(), loss)
    message = "the smallest network that is left has"
    with pytest.raises(ConfigError, match=message):
        graph.lowest(scores, target="0.1%")
    with pytest.raises(ConfigError, match=message):
        optimizer = torch.optim.SGD(network.parameters())
        stampseg.stamp(network, x, optimizer, print, batches=batches(), loss=loss, target="0.1%")
    graph.cut({"one": [0]})
    with pytest.raises(
        WiringError, match=r"'one' has 11 channels and 12 scores.*before a cut; score it again"
    ):
        graph.lowest(scores, count=1)
    with pytest.raises(WiringError, match="a cut names channels by whole numbers"):
        graph.cut({"one": [1.5]})
    with pytest.raises(ConfigError, match="a batch has img, seg; expected image and label"):
        graph.score([{"img": x, "seg": x}], loss)


class Normed(Base):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.utils.parametrizations.weight_norm(self.one)


def test_flops_of_layers_that_are_not_followed_count_too() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for kind in (Base, Normed):
        network, _ = make(kind)
        x = torch.randn(1, 1, 8, 8)
        counter = FlopCounterMode(display=False)
        with counter:
            network(x)
        assert stampseg.trace(network, x).flops == counter.get_total_flops()


class Late(Base):
    """A branch that is switched on later."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.on = nn.Conv2d(12, 2, 1), False

    def forward(self, x: Tensor) -> Any:
        y = super().forward(x)
        return [y, self.deep(self.stem(x))] if self.on else y


def test_parameters_that_were_not_reached_are_named() -> None:
    assert trace(*make(Late)).unreached == ("deep.weight", "deep.bias")
    assert trace(*make(Base)).unreached == ()


class Spellings(Base):
    """Squeeze-excite and crops as they are usually written."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(12, 4), nn.Linear(4, 12)

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        gate = self.excite(self.squeeze(y.mean((2, 3))).relu()).sigmoid()
        y = y * gate[:, :, None, None] + y * gate.view(*gate.shape, 1, 1).expand_as(y)
        return y[..., 1:-1, 1:-1] + torch.zeros_like(x)[..., 2:, 2:]


def test_usual_spellings_of_gates_and_crops_are_followed() -> None:
    network, x = make(Spellings)
    graph = trace(network, x)
    assert [g.name for g in graph.groups if g.frozen] == ["head"] and graph.unknown == ()
    assert max(prove(network, graph, x).values()) < 1e-10
