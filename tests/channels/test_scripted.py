"""Modules of TorchScript in a network: their code is not followed, the rest of the network is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stampseg.channels.graph import Cut
from stampseg.channels.proof import prove
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import WiringError

from .small_networks import Net

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")


class WithScript(Net):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.one, self.block = nn.Conv2d(12, 12, 3, padding=1), block
        self.two = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.two(self.block(functional.relu(self.one(x)))))


def block() -> nn.Module:
    return nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.ReLU()).double()


@pytest.mark.parametrize("kind", ["scripted", "traced", "activation"])
def test_channels_in_torchscript_stay_and_others_are_cut(kind: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    made = {
        "scripted": lambda: torch.jit.script(block()),
        "traced": lambda: torch.jit.trace(block(), torch.randn(1, 12, 8, 8, dtype=torch.float64)),
        "activation": lambda: torch.jit.script(nn.ReLU()),
    }[kind]()
    network = WithScript(made).double().eval()
    graph = trace(network, x)
    assert graph["one"].frozen == "TorchScript, which cannot be followed, in block"
    assert graph["two"].frozen is None and not graph.unreached
    assert prove(network, graph, x)["two"] < 1e-10
    apply_cut(network, graph, Cut.of({"two": [0, 5]}))
    assert network(x).shape == (2, 2, 8, 8)


def test_a_network_that_is_all_torchscript_is_refused() -> None:
    with pytest.raises(WiringError, match=r"is compiled by TorchScript.*; trace the module that it was made"):
        trace(torch.jit.script(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())), torch.zeros(1, 1, 8, 8))
