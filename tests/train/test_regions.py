"""Regions in training: their Dice in loss and figures, from the classes that they are made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import Identity, functional

from stampseg.core.train_options import TrainOptions
from stampseg.data.labels.regions import Region
from stampseg.train.loss import KnownVoxelsLoss, make_loss
from stampseg.train.validation import training_fit

REGIONS = (Region(name="whole", classes=(1, 2), written=1), Region(name="core", classes=(2,), written=2))
SURE = 40.0


def test_dice_of_the_loss_is_that_of_the_regions() -> None:
    """The classes of a region may be mistaken for one another without a loss of that region."""
    label = torch.tensor([[[[0, 1, 1, 2]]]])
    scores = SURE * functional.one_hot(torch.tensor([[[0, 2, 2, 2]]]), 3).movedim(-1, 1).float()
    of_regions = KnownVoxelsLoss(entropy=False, regions=REGIONS)(scores, label)
    core = 1 - 2 * 1 / (3 + 1)  # background and whole are found exactly
    assert of_regions.item() == pytest.approx((0 + 0 + core) / 3, abs=1e-4)


def test_probabilities_of_a_region_are_summed() -> None:
    label = torch.tensor([[[[1, 1]]]])
    scores = torch.log(torch.tensor([0.2, 0.5, 0.3])).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    whole = 1 - 2 * 0.8 * 2 / (0.8 * 2 + 2)
    dice = KnownVoxelsLoss(entropy=False, regions=REGIONS[:1])(scores, label)
    background = 1.0  # none is there, and some is said to be
    assert dice.item() == pytest.approx((whole + background) / 2, abs=1e-3)


def test_unknown_voxels_and_weights_go_with_regions() -> None:
    loss = make_loss(TrainOptions(), weights=(1, 2, 3), regions=REGIONS)
    label = torch.tensor([[[[0, 1, 2, 3]]]])
    scores = torch.randn(1, 3, 1, 4, requires_grad=True)
    loss(scores, label).backward()
    assert scores.grad is not None
    assert not scores.grad[..., 3].any() and scores.grad[..., :3].any()


def test_figures_are_of_regions() -> None:
    """A voxel may be of the whole though background is the likeliest class."""
    truth = torch.tensor([[[0, 1, 2, 2]]])
    shares = torch.tensor(
        [[1.0, 0, 0], [0.4, 0.3, 0.3], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]]
    ).T.reshape(1, 3, 1, 4)  # fmt: skip
    batch = {"image": shares.clamp(min=1e-6).log(), "label": truth[:, None]}
    network: nn.Module = Identity()
    fit = training_fit(network, [batch], ("a", "b"), lambda output, label: torch.tensor(0.0), REGIONS)
    assert fit.per_label == {"whole": 1.0, "core": pytest.approx(2 * 1 / (1 + 2))}
