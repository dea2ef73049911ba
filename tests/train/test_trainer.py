"""Half precision and compiled networks train, and go through cuts."""

from __future__ import annotations

import shutil

import pytest
import torch

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.config import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.loss import in_float32
from stampseg.train.trainer import Trainer
from tests.train.batches import Discs


def trained(**options: object) -> tuple[Trainer, list[float]]:
    """A network trained, cut in its first layer, and trained on; the losses."""
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 4, [(2, 2)])
    graph = trace(network, torch.zeros(1, 1, 16, 16))
    trainer = Trainer(
        network,
        Discs(),
        TrainOptions(schedule="constant", **options),
        40,
        torch.device("cpu"),  # type: ignore[arg-type]
    )
    losses = [trainer.train(10)]
    apply_cut(network, graph, Cut.of({graph.prunable[0].name: [0, 2]}), trainer.optimizer)
    losses += [trainer.train(10), trainer.train(10)]
    return trainer, losses


def test_bf16_learns_as_float32_does_with_float32_weights() -> None:
    trainer, losses = trained(precision="bf16")
    _, expected = trained()
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())
    assert losses[0] > losses[-1] and losses != expected
    assert losses == pytest.approx(expected, rel=0.1)


def test_maps_of_any_structure_become_float32() -> None:
    half = torch.ones(1, dtype=torch.bfloat16)
    found = in_float32({"a": [half, (half,)], "b": 3})
    assert found["a"][0].dtype == found["a"][1][0].dtype == torch.float32 and found["b"] == 3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_the_same_and_is_compiled_anew_after_a_cut() -> None:
    trainer, losses = trained(compile=True)
    _, expected = trained()
    assert losses == pytest.approx(expected, rel=1e-2)
    assert trainer._compiled_shapes == tuple(p.shape for p in trainer.network.parameters())
