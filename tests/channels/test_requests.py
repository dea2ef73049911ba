"""Cuts that are asked for in the wrong form, and parameters that a cut would pass by."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import stampseg
from stampseg.channels.graph import Cut
from stampseg.core.errors import WiringError

from .small_networks import Net, build


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": [False, True]},
        {"a": np.array([True, False])},
        {"a": torch.tensor([True, False])},
        {"a": [1.0]},
        {"a": 3},
        {"a": "12"},
        [("a", 0)],
        None,
    ],
)
def test_a_cut_names_channels_by_whole_numbers(wrong: Any) -> None:
    with pytest.raises(WiringError, match="a cut names channels by whole numbers"):
        Cut.of(wrong)


@pytest.mark.parametrize("right", [[2, 1], np.array([1, 2]), torch.tensor([2, 1]), range(1, 3)])
def test_whole_numbers_of_any_kind_are_taken(right: Any) -> None:
    assert Cut.of({"a": right, "b": []}).removed == {"a": (1, 2)}


class ForOddSizes(Net):
    """A layer that only images of odd widths use."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.fix = nn.Conv2d(12, 12, 3, padding=1), nn.Conv2d(12, 12, 2, padding=1)

    def body(self, x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            x = functional.relu(self.fix(x))[..., :-1, :-1]
        return functional.relu(self.one(x))


def test_parameters_that_the_example_does_not_use_are_told() -> None:
    network, x = build(ForOddSizes)
    told = r"the example does not use fix.weight, fix.bias of ForOddSizes: .*; give an example that uses them"
    with pytest.warns(UserWarning, match=told) as seen:
        graph = stampseg.trace(network, x)
    assert seen[0].filename == __file__
    assert repr(graph).endswith("; not used by the example: fix.weight, fix.bias")
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    with pytest.warns(UserWarning, match=told) as seen:
        stampseg.stamp(
            network, x, optimizer, lambda count: None, batches=[(x, x)],
            loss=functional.mse_loss, target="90%", rankable="all",
        )  # fmt: skip
    assert seen[0].filename == __file__


def test_an_example_that_uses_all_of_a_network_is_not_warned_of() -> None:
    network, x = build(ForOddSizes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = stampseg.trace(network, x[..., :-1])
    assert "not used" not in repr(graph)
