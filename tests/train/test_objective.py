"""A training method is a value: what the trainer, the loop and checkpoints ask of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss
from stampseg.train.objective import Forward, Supervised
from stampseg.train.state import State
from stampseg.train.trainer import DAMPING, Trainer
from tests.train.batches import Discs

CPU = torch.device("cpu")


class Averaged(Supervised):
    """The supervised loss, and an average of the weights beside the network."""

    def __init__(self, network: nn.Module, fail_at: float = math.inf) -> None:
        super().__init__(make_loss(TrainOptions()))
        self.average, self.fail_at, self.seen = copy.deepcopy(network).eval(), fail_at, list[float]()
        self.copies = [self.average]

    def loss(self, forward: Forward, batch: Mapping[str, Tensor], progress: float) -> Tensor:
        self.seen.append(progress)
        loss = super().loss(forward, batch, progress)
        if progress >= self.fail_at:
            self.fail_at = math.inf
            return loss * math.nan
        return loss

    def after_step(self, network: nn.Module, progress: float) -> None:
        with torch.no_grad():
            for mine, theirs in zip(self.average.parameters(), network.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)

    def trained(self, network: nn.Module) -> nn.Module:
        return self.average

    def state(self, *, copy: bool = False) -> State:
        tensors = self.average.state_dict()
        return State({n: t.clone() if copy else t for n, t in tensors.items()}, {"seen": len(self.seen)})

    def put(self, state: State) -> None:
        self.average.load_state_dict(dict(state.tensors))
        del self.seen[state.values["seen"] :]


def make(objective: Any = None) -> tuple[Trainer, UNet]:
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 4, [(2, 2)])
    made = objective(network) if objective else None
    return Trainer(network, Discs(), TrainOptions(schedule="constant"), 20, CPU, made), network


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(mine, theirs) for mine, theirs in pairs)


def test_the_default_is_the_supervised_loss_of_the_options() -> None:
    trainer, network = make()
    assert isinstance(trainer.objective, Supervised) and trainer.objective.trained(network) is network
    batch = trainer.batches.batch(0)
    by_hand = make_loss(TrainOptions())(network(batch["image"]), batch["label"])
    assert trainer.objective.loss(trainer.forward, batch, 0.0).item() == pytest.approx(by_hand.item())
    assert not trainer.objective.copies and not trainer.objective.state().tensors


def test_an_objective_sees_every_step_and_follows_the_network() -> None:
    trainer, network = make(Averaged)
    expected = copy.deepcopy(network)
    for _ in range(3):
        trainer.train(1)
        with torch.no_grad():
            for mine, theirs in zip(expected.parameters(), network.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)
    assert trainer.objective.seen == pytest.approx([0.0, 0.05, 0.1])  # type: ignore[attr-defined]
    for mine, theirs in zip(
        expected.parameters(), trainer.objective.trained(network).parameters(), strict=True
    ):
        assert torch.allclose(mine, theirs)


def test_its_copies_are_cut_like_the_network() -> None:
    trainer, network = make(Averaged)
    graph = trace(network, torch.zeros(1, 1, 16, 16))
    trainer.train(2)
    name = graph.prunable[0].name
    apply_cut(network, graph, Cut.of({name: [1]}), trainer.optimizer, copies=trainer.objective.copies)
    shapes = [p.shape for p in network.parameters()]
    assert [p.shape for p in trainer.objective.trained(network).parameters()] == shapes
    trainer.train(2)


def test_what_it_remembers_goes_back_with_the_network_where_a_loss_was_not_finite() -> None:
    trainer, network = make(lambda network: Averaged(network, fail_at=0.1))
    twin, other = make(Averaged)
    twin.damping = DAMPING  # from the start: what was learnt before the failure is undone
    trainer.train(4)
    twin.train(4)
    assert trainer.damping == DAMPING and len(trainer.objective.seen) == 4  # type: ignore[attr-defined]
    assert same(trainer.objective.trained(network), twin.objective.trained(other))
