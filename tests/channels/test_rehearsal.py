"""Networks that cannot be copied, or whose code holds on to them, are rehearsed and proved like any other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.modes import evaluating
from stampseg.channels.proof import prove
from stampseg.channels.trace import trace

from .small_networks import Net, build


class ByWidth(Net):
    """Its code joins as many parts as its width says: no cut follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.tail = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.tail(self.turned(self.one(x))))

    def turned(self, y: Tensor) -> Tensor:
        return torch.cat(y.chunk(max(1, y.shape[1] // 4), 1)[::-1], 1)


class WithLock(ByWidth):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class WithFile(ByWidth):
    def __init__(self) -> None:
        super().__init__()
        self.log = Path(__file__).open(encoding="utf-8")  # noqa: SIM115

    def __del__(self) -> None:
        self.log.close()


class KeepsActivation(ByWidth):
    def body(self, x: Tensor) -> Tensor:
        self.last = self.one(x)
        return functional.relu(self.tail(self.turned(self.last)))


class OldWeightNorm(ByWidth):
    def __init__(self) -> None:
        super().__init__()
        self.tail = nn.utils.weight_norm(self.tail)


class HookOverSelf(ByWidth):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Tensor] = {}
        self.stem.register_forward_hook(lambda module, args, output: self.seen.update(stem=output))

    def body(self, x: Tensor) -> Tensor:
        return super().body(x + self.seen["stem"])


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("kind", [WithLock, WithFile, KeepsActivation, OldWeightNorm, HookOverSelf])
def test_networks_that_cannot_be_copied_are_rehearsed_and_proved(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    network.train()(x).mean().backward()  # what it keeps is no leaf
    before, weight = set(vars(network)), network.one.weight
    graph = trace(network, x)
    assert graph["one"].size == 4 and graph["one"].frozen, "code that joins parts by the width"
    assert graph["stem.0"].frozen is None
    found = prove(network, graph, x)
    assert found["stem.0"] < 1e-10
    assert network.one.weight is weight and weight.shape[0] == 12 and network.one.out_channels == 12
    assert set(vars(network)) == before


class Closure(Net):
    """Holds on to a parameter in a function: a cut would not reach it there."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.one = nn.PReLU(12), nn.Conv2d(12, 12, 3)
        weight = self.act.weight
        self.activate = lambda y: functional.prelu(y, weight)

    def body(self, x: Tensor) -> Tensor:
        return self.one(self.activate(x))


def test_a_parameter_held_by_a_function_freezes_its_channels() -> None:
    network, x = build(Closure)
    assert trace(network, x)["stem.0"].frozen


class InSingle(Net):
    """Its norm computes in single precision, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.norm(x.float()).to(x.dtype)


def test_a_network_is_proved_in_its_own_precision_where_it_has_one() -> None:
    network, x = build(InSingle)
    network, x = network.float(), x.float()
    found = prove(network, trace(network, x), x)
    assert 0 <= found["stem.0"] < 1e-4


class Embedded(Net):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.table(x[:, 0]).movedim(-1, 1))

    def body(self, x: Tensor) -> Tensor:
        return x


def test_a_network_of_whole_numbers_is_proved() -> None:
    network, _ = build(Embedded)
    x = torch.randint(0, 5, (2, 1, 8, 8))
    assert prove(network, trace(network, x), x)["stem.0"] < 1e-10


class LoopAsTrain(Net):
    def body(self, x: Tensor) -> Tensor:
        return functional.dropout(x, training=self.training)

    def train(self, loader: Any = None, epochs: int = 3) -> Any:  # type: ignore[override]
        raise RuntimeError("a training loop")


class TrainGivesNothing(Net):
    def body(self, x: Tensor) -> Tensor:
        return x

    def train(self, mode: bool = True) -> Any:  # type: ignore[override]
        super().train(mode)


@pytest.mark.parametrize("kind", [LoopAsTrain, TrainGivesNothing])
def test_a_train_of_ones_own_is_not_in_the_way(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network, x = kind().double(), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    graph = trace(network, x)
    assert prove(network, graph, x)["stem.0"] < 1e-10
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert all(module.training for module in network.modules())
