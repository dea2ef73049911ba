"""The table of layer times: what it measures, how it interpolates, and that it keeps what it knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from stampseg.channels.choice import Limit, choose, limit_of
from stampseg.channels.cost import Tally
from stampseg.channels.graph import LayerCall
from stampseg.channels.trace import trace
from stampseg.core.target import Target
from stampseg.networks.unet import UNet
from stampseg.timing.layer_table import GRID, LayerTable
from stampseg.timing.stopwatch import measure

CALL = LayerCall("w", 36, 36, (6, 6), ((1, 1), (1, 1), (1, 1)))


class Counting:
    """A timer that runs the layer once and says how many channels it took and gave."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, work: Callable[[], object]) -> float:
        work()
        self.calls += 1
        return float(self.calls)


@pytest.mark.parametrize("runtime", ["eager", "onnxruntime", "openvino"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_every_kind_of_layer_runs_in_every_runtime(
    tmp_path: Path, axes: int, transposed: bool, runtime: str
) -> None:
    if runtime != "eager":
        pytest.importorskip(runtime)
        pytest.importorskip("onnx")
    options = ((2,) * axes, (0,) * axes, (1,) * axes) if transposed else ((1,) * axes,) * 3
    call = LayerCall("w", 1, 1, (4,) * axes, options, transposed)
    table = LayerTable(runtime, tmp_path / "times.json")  # type: ignore[arg-type]
    assert table.milliseconds(call, (2 if transposed else 3,) * axes, 3, 2) > 0


def test_measuring_a_layer_leaves_the_random_numbers_of_the_training_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    LayerTable("eager", tmp_path / "times.json", Counting()).milliseconds(CALL, (3, 3), 4, 8)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_width_of_the_grid_is_measured_once_and_kept(tmp_path: Path) -> None:
    timer, path = Counting(), tmp_path / "folder" / "times.json"
    table = LayerTable("eager", path, timer)
    first = table.milliseconds(CALL, (3, 3), 4, 8)
    assert table.milliseconds(CALL, (3, 3), 4, 8) == first and timer.calls == 1
    assert not path.exists()
    table.save()
    again = LayerTable("eager", path, timer)
    assert again.milliseconds(CALL, (3, 3), 4, 8) == first and timer.calls == 1
    assert again.milliseconds(CALL, (3, 3), 8, 4) != first and timer.calls == 2


def test_between_the_grid_it_is_bilinear_and_beyond_proportional(tmp_path: Path) -> None:
    table = LayerTable("eager", tmp_path / "t.json", lambda work: 0.0)
    for a in GRID:
        for b in GRID:
            table._known[f"conv 3x3 6x6 1x1 1x1 1x1 {a}-{b}"] = 2.0 * a + 3.0 * b
    for a, b in ((5, 7), (4, 9), (13, 100), (1, 1)):
        assert table.milliseconds(CALL, (3, 3), a, b) == pytest.approx(2 * a + 3 * b)
    assert table.milliseconds(CALL, (3, 3), 2048, 1) == pytest.approx(2 * (2 * 1024 + 3))
    assert table.milliseconds(CALL, (3, 3), 0, 4) == 0


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "b", "c": -1, "d": Infinity}'])
def test_a_damaged_cache_holds_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "times.json"
    path.write_text(content)
    table = LayerTable("eager", path, lambda work: 1.5)
    assert table._known == {}
    assert table.milliseconds(CALL, (3, 3), 1, 1) == 1.5
    table.save()
    assert list(json.loads(path.read_text()).values()) == [1.5]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    table = LayerTable("eager", tmp_path / "file" / "times.json", lambda work: 1.0)
    table.milliseconds(CALL, (3, 3), 1, 1)
    table.save()


class Steps:
    """A machine on which a layer takes as long as the next multiple of 4 of its output."""

    def milliseconds(self, call: LayerCall, kernel: tuple[int, ...], taken: int, made: int) -> float:
        return call.voxels * -(-made // 4)


def test_where_time_falls_in_steps_channels_go_in_steps() -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 8, [(2, 2)] * 2)
    graph = trace(network, torch.randn(1, 1, 16, 16))
    scores = {g.name: np.random.default_rng(0).uniform(1, 1.1, g.size) for g in graph.prunable}
    dense = Tally(network, graph, Steps())
    limit = limit_of(Target.parse("latency:60%"), dense.total)
    assert limit == Limit("latency", 0.6 * dense.latency)
    cut = choose(network, graph, scores, limit=limit, cost="latency", times=Steps())
    left = graph.without(cut)
    odd = [g.size % 4 for g in left.prunable if g.size % 4]
    assert len(odd) <= 1, "only the layer in which the limit was met may stop between two steps"
    assert cut.count


def test_memory_is_that_of_the_convolutions_maps() -> None:
    network = UNet(2, 1, 3, 2, [(2, 2)])
    x, seen = torch.randn(1, 1, 8, 8), []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda m, a, out: seen.append(out.numel() * 4))
    graph = trace(network, x)
    seen.clear()
    network(x)
    assert Tally(network, graph).memory == sum(seen)


def test_a_stopwatch_calls_often_enough_and_orders_its_figures() -> None:
    calls = []
    timing = measure(lambda: calls.append(1), seconds=0, least=7, warm_up=2)
    assert len(calls) == 9 and timing.calls == 7
    assert 0 <= timing.least <= timing.low <= timing.median <= timing.high
