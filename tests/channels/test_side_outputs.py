"""What a network keeps in an attribute, and does not return, is read by code that the trace does not see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import stampseg
from stampseg.channels.trace import trace


class Deep(nn.Module):
    """A side head whose classes a loss reads, and features for others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.aux, self.proj, self.head = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)
        self.side: Tensor | None = None
        self.kept: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        self.side, self.kept["z"] = self.aux(x), [self.proj(x)]
        return self.head(self.body(x).relu())


def test_side_heads_are_no_channels_to_cut() -> None:
    graph = trace(Deep(), torch.zeros(1, 1, 16, 16))
    frozen = {group.name: group.frozen for group in graph.groups if group.name in ("aux", "proj")}
    assert frozen["aux"] == "the network keeps it as side, where other code may read it"
    assert frozen["proj"] == "the network keeps it as kept, where other code may read it"
    assert {group.name for group in graph.prunable} == {"stem", "body"}


def test_a_loss_that_reads_a_side_head_lives_through_the_cuts() -> None:
    torch.manual_seed(0)
    network = Deep()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    image, label = torch.randn(2, 1, 16, 16), torch.randint(0, 3, (2, 16, 16))

    def loss(output: Tensor, label: Tensor) -> Tensor:
        assert network.side is not None
        return cross_entropy(output, label) + cross_entropy(network.side, label)

    def train(steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            value = loss(network(image), label)
            value.backward()
            optimizer.step()
        return float(value.detach())

    rounds = list(
        stampseg.stamp(
            network, image[:1], optimizer, train, batches=[(image, label)], loss=loss, steps=30, target="50%",
            ready_dice=0.0, rankable="all",
        )
    )  # fmt: skip
    assert rounds[-1].parameters <= 0.5 * rounds[0].parameters and network.aux.out_channels == 3
