"""The less usual ways to write the same: keywords, containers, operators of one's own, compiled networks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.call import output_tensors
from stampseg.channels.graph import Cut
from stampseg.channels.proof import prove
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import WiringError

from .small_networks import Net, build


class One(Net):
    def __init__(self, width: int = 12) -> None:
        super().__init__(width)
        self.one = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.one(x))


class Axis(One):
    """NumPy's name of the dimension."""

    def __init__(self) -> None:
        super().__init__(30)

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        first, second = torch.chunk(y, 2, axis=1)
        return torch.cat([x * y.mean(axis=(2, 3), keepdim=True), y, first * second], axis=1)


class EmptyStart(One):
    """A list of maps that begins with nothing, as older code has it."""

    def __init__(self) -> None:
        super().__init__(24)

    def body(self, x: Tensor) -> Tensor:
        y = torch.tensor([], dtype=x.dtype, device=x.device)
        for part in (x, self.one(x)):
            y = torch.cat([y, part], 1)
        return y


class Keywords(One):
    """Attention by keywords: not followed, and counted."""

    def body(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        y = functional.scaled_dot_product_attention(query=flat, key=flat, value=flat)
        y = torch.bmm(input=y, mat2=torch.matmul(input=flat.mT, other=flat))
        return super().body(y.view_as(x))


@pytest.mark.parametrize(
    ("kind", "able"), [(Axis, {"stem.0"}), (EmptyStart, {"stem.0", "one"}), (Keywords, {"one"})]
)
def test_keywords_and_legacy_forms_are_followed(kind: type[nn.Module], able: set[str]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    found = prove(network, graph, x)
    assert found.keys() == able and max(found.values()) < 1e-10
    assert (graph.fixed_flops > 0) == (kind is Keywords)


class TwoGroups(One):
    """A convolution in two groups: one of them can go, and what is left has none."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(12, 12, 3, padding=1, groups=2)


class TwoGroupsThenASize(TwoGroups):
    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y.view(len(y), 12, -1).view(len(y), 12, *x.shape[2:])


def test_one_of_two_groups_of_a_convolution_can_go() -> None:
    network, x = build(TwoGroups)
    graph = trace(network, x)
    assert graph["stem.0"].size == 2
    assert prove(network, graph, x)["stem.0"] < 1e-10
    apply_cut(network, graph, Cut.of({"stem.0": [0]}))
    assert network.one.groups == 1 and network(x).shape == (2, 2, 8, 8)
    assert not trace(*build(TwoGroupsThenASize)).prunable


@dataclass(slots=True)
class Slots:
    scores: Tensor
    features: Tensor


class Node:
    """Knows its parent, as the outputs of some libraries do."""

    def __init__(self, network: nn.Module, scores: Tensor, features: Tensor) -> None:
        self.network, self.scores, self.features, self.parent = network, scores, features, self


class InSlots(One):
    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        return Slots(self.head(self.body(x)), x)


class InCycle(One):
    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        return Node(self, self.head(self.body(x)), x)


@pytest.mark.parametrize("kind", [InSlots, InCycle])
def test_outputs_are_found_in_slots_and_in_cycles(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    graph = trace(network, x)
    assert {g.name: g.frozen for g in graph.groups} == {
        "stem.0": "the network's output", "one": None, "head": "the network's output"
    }  # fmt: skip
    assert len(output_tensors(network(x))) == 2


@torch.library.custom_op("stampseg_tests::turn_", mutates_args=["x"])
def turn_(x: Tensor) -> None:
    x.copy_(x.flip(1))


turn_.register_fake(lambda x: None)


class Written(One):
    """An operator of its own writes into a map and gives nothing back."""

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x).clone()
        torch.ops.stampseg_tests.turn_(y)
        return functional.relu(y)


class WrittenByFunction(Written):
    def body(self, x: Tensor) -> Tensor:
        y = self.one(x).clone()
        turn_(y)
        return functional.relu(y)


@pytest.mark.parametrize("kind", [Written, WrittenByFunction])
def test_an_operator_that_writes_into_a_map_freezes_it(kind: type[nn.Module]) -> None:
    network, x = build(kind)
    assert "is not understood" in str(trace(network, x)["one"].frozen)


def test_lazy_layers_are_refused() -> None:
    network, x = nn.Sequential(nn.LazyConv2d(4, 3), nn.Conv2d(4, 2, 1)), torch.zeros(1, 1, 8, 8)
    with pytest.raises(WiringError, match="lazy layers without a size so far; run it on an example first"):
        trace(network, x)
    network(x)
    assert trace(network, x).prunable


def test_the_steps_of_lbfgs_are_refused() -> None:
    network, x = build(One)
    with pytest.raises(WiringError, match=r"LBFGS keeps its past steps .*; use SGD, Adam or AdamW"):
        apply_cut(network, trace(network, x), Cut.of({"one": [0]}), torch.optim.LBFGS(network.parameters()))
    assert network.one.out_channels == 12


def test_hooks_behind_the_gradient_survive_a_cut() -> None:
    network, x = build(One)
    calls: list[str] = []
    for name, parameter in network.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: calls.append(name))
    apply_cut(network, trace(network, x), Cut.of({"one": [0], "stem.0": [1]}))
    network(x).mean().backward()
    assert sorted(calls) == sorted(name for name, _ in network.named_parameters())


def test_a_compiled_network_is_traced_as_it_is_written() -> None:
    network, x = build(One)
    passes: list[int] = []

    def backend(module: Any, inputs: Any) -> Any:
        passes.append(1)
        return module.forward

    compiled = torch.compile(network, backend=backend)
    graph = trace(compiled, x)
    assert {g.name for g in graph.prunable} == {"_orig_mod.stem.0", "_orig_mod.one"}
    assert max(prove(compiled, graph, x).values()) < 1e-10
    assert "torch._dynamo" in sys.modules and not passes
