"""Caches of helper modules, closures and functions hold nothing of a trace, whether it succeeds or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import stampseg
from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError, WiringError

from . import helper_caches
from .small_networks import Net, build

HELPERS = [
    helper_caches.from_dictionary, helper_caches.from_list, helper_caches.from_object,
    helper_caches.from_global, helper_caches.from_lru_cache, helper_caches.from_cache,
]  # fmt: skip

Ramp = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    helper_caches.clear()
    yield
    helper_caches.clear()


class Ramped(Net):
    """Multiplies by a ramp that a helper makes once for a size."""

    ramp: Ramp

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(12, 12, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        return functional.relu(self.one(x)) * type(self).ramp(x)


def ramped(helper: Ramp) -> type[Net]:
    return type("RampedBy", (Ramped,), {"ramp": staticmethod(helper)})


def by_dictionary() -> Ramp:
    kept: dict[int, Tensor] = {}

    def ramp(x: Tensor) -> Tensor:
        if x.shape[3] not in kept:
            kept[x.shape[3]] = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
        return kept[x.shape[3]]

    return ramp


def by_name() -> Ramp:
    kept: Tensor | None = None

    def ramp(x: Tensor) -> Tensor:
        nonlocal kept
        if kept is None:
            kept = torch.linspace(0, 1, x.shape[3], device=x.device, dtype=x.dtype)
        return kept

    return ramp


@pytest.mark.parametrize("helper", [*HELPERS, by_dictionary(), by_name()])
def test_the_network_runs_after_a_trace_as_before(helper: Ramp) -> None:
    network, x = build(ramped(helper))
    graph = trace(network, x)
    assert graph["stem.0"].frozen is None and graph["one"].frozen is None
    assert torch.isfinite(network(x)).all()


@pytest.mark.parametrize("helper", HELPERS)
def test_what_was_kept_before_a_trace_stays(helper: Ramp) -> None:
    network, x = build(ramped(helper))
    before = helper(x)
    trace(network, x)
    assert helper(x) is before


class LooksAtValues(Ramped):
    """Fails on the meta device, behind the helper."""

    def body(self, x: Tensor) -> Tensor:
        y = super().body(x)
        return y if float(y.detach().sum()) == float("inf") else y * 1.0


@pytest.mark.parametrize("helper", HELPERS)
def test_a_network_that_has_to_run_for_real_does_not_meet_them(helper: Ramp) -> None:
    network, x = build(type("Looks", (LooksAtValues,), {"ramp": staticmethod(helper)}))
    trace(network, x)
    assert torch.isfinite(network(x)).all()


@pytest.mark.parametrize("helper", HELPERS)
def test_a_refused_run_leaves_nothing(helper: Ramp) -> None:
    network, x = build(ramped(helper))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)

    def run() -> object:
        return stampseg.stamp(
            network, x, optimizer, lambda count: None, batches=[(x, x)],
            loss=functional.mse_loss, target="1%",
        )  # fmt: skip

    with pytest.raises(ConfigError, match="the smallest network that is left"):
        run()
    assert torch.isfinite(network(x)).all()
    with pytest.raises(WiringError, match="does not run"):
        trace(network, torch.zeros(1, 3, 8, 8, dtype=x.dtype))
    assert torch.isfinite(network(x)).all()
