"""Half precision and compiled networks train, and go through cuts."""

from __future__ import annotations

import shutil
from itertools import pairwise

import pytest
import torch

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.loss import in_float32
from stampseg.train.trainer import Trainer, learning_rate
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


def rates(steps: int, **options: object) -> list[float]:
    """The rate of every step."""
    chosen = TrainOptions(learning_rate=0.01, **options)  # type: ignore[arg-type]
    return [learning_rate(step, steps, chosen) for step in range(steps)]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_held_rate_is_the_highest_until_its_share_and_then_falls_to_zero(share: float) -> None:
    found, held = rates(1000, schedule="hold", hold_share=share), round(1000 * share)
    assert found[:20] == pytest.approx([0.01 * (step + 1) / 20 for step in range(20)])
    assert found[19 : held + 1] == [0.01] * (held - 18)
    falling = found[held:]
    assert all(later < earlier for earlier, later in pairwise(falling))
    assert falling[len(falling) // 2] == pytest.approx(0.005, rel=1e-6)
    assert falling[-1] < 0.01 * 0.001


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 400])
def test_held_for_no_step_is_the_cosine_exactly(steps: int) -> None:
    assert rates(steps, schedule="hold", hold_share=0) == rates(steps, schedule="cosine")


@pytest.mark.parametrize("steps", [1, 7, 400])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_the_share_is_of_held_rates_alone(steps: int, share: float) -> None:
    rise = max(1, min(20, steps // 20))
    constant = [0.01 * min(1.0, (step + 1) / rise) for step in range(steps)]
    assert rates(steps, schedule="constant", hold_share=share) == constant
    assert rates(steps, schedule="cosine", hold_share=share) == rates(steps, schedule="cosine")


def test_the_trainer_takes_the_rate_of_the_schedule() -> None:
    torch.manual_seed(0)
    options = TrainOptions(schedule="hold", hold_share=0.5)
    trainer = Trainer(UNet(2, 1, 2, 4, [(2, 2)]), Discs(), options, 8, torch.device("cpu"))
    taken = []
    for _ in range(8):
        trainer.train(1)
        taken.append(trainer.optimizer.param_groups[0]["lr"])
    assert taken == [learning_rate(step, 8, options) for step in range(8)]
    assert taken[:5] == [options.learning_rate] * 5 and taken[7] < taken[6] < taken[5] < taken[4]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_the_same_and_is_compiled_anew_after_a_cut() -> None:
    trainer, losses = trained(compile=True)
    _, expected = trained()
    assert losses == pytest.approx(expected, rel=1e-2)
    assert trainer._compiled_shapes == tuple(p.shape for p in trainer.network.parameters())


def test_a_gradient_that_is_not_finite_changes_no_weight_in_the_last_step_of_a_stretch_either() -> None:
    torch.manual_seed(0)
    network, told = UNet(2, 1, 2, 4, [(2, 2)]), list[str]()
    trainer = Trainer(
        network, Discs(), TrainOptions(schedule="constant"), 20, torch.device("cpu"), warn=told.append
    )
    weight = next(network.parameters())
    steps = iter(range(100))
    weight.register_hook(lambda grad: grad * float("nan") if next(steps) == 4 else grad)
    trainer.train(5)
    assert all(bool(p.isfinite().all()) for p in network.parameters())
    assert told == [
        "a gradient of step 5 is not finite; try a lower train.learning_rate (now 0.003) or look for extreme "
        "intensities with `examine`; back to step 0, with 0.1 times the learning rate"
    ]
