"""Boxes of another window: image and label move together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stampseg.core.train_options import TrainOptions
from stampseg.networks.unet import UNet
from stampseg.train.loss import make_loss
from stampseg.train.mixing import generator, mix_labelled
from stampseg.train.objective import Supervised
from stampseg.train.trainer import Trainer

from .batches import Discs


def windows(count: int, dims: int) -> tuple[Tensor, Tensor]:
    """Every voxel of the image says which window it is of, and what its label is."""
    shape = (count, 1, *[12] * dims)
    label = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(0))
    return 10.0 * torch.arange(count).view(-1, *[1] * (dims + 1)) + label, label


@pytest.mark.parametrize("dims", [2, 3])
def test_a_box_brings_its_label_and_comes_from_another_window_of_the_batch(dims: int) -> None:
    image, label = windows(4, dims)
    foreign = 0
    for step in range(30):
        images, labels = mix_labelled(image, label, 0.5, generator(7, step))
        assert torch.equal(images % 10, labels.float())
        for i in range(4):
            others = {int(v) for v in (images[i] // 10).unique()} - {i}
            assert len(others) <= 1
            foreign += len(others)
    assert 0.3 < foreign / 120 < 0.7
    assert torch.equal(image, windows(4, dims)[0])  # the batch itself is left as it is


def test_nothing_is_mixed_in_a_batch_of_one_or_where_nothing_is_asked() -> None:
    image, label = windows(1, 2)
    assert torch.equal(mix_labelled(image, label, 1.0, generator(0, 0))[0], image)
    image, label = windows(3, 2)
    assert torch.equal(mix_labelled(image, label, 0.0, generator(0, 0))[0], image)


def test_the_boxes_of_a_step_are_the_same_after_a_stop() -> None:
    def losses(stop: int) -> list[float]:
        torch.manual_seed(0)
        network, found = UNet(2, 1, 2, 4, [(2, 2)]), list[float]()
        objective = Supervised(make_loss(TrainOptions()), mixing=0.8, seed=5)
        trainer = Trainer(
            network, Discs(), TrainOptions(schedule="constant"), 20, torch.device("cpu"), objective,
            on_step=lambda done, loss: found.append(loss),
        )  # fmt: skip
        trainer.train(stop)
        other = Supervised(objective.criterion, mixing=0.8, seed=5)
        other.put(objective.state())
        trainer.objective = other
        trainer.train(6 - stop)
        return found

    assert losses(2) == losses(5)
    assert len(losses(2)) == 6
