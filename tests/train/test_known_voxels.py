"""Voxels of which nobody said what they are: nothing that is learnt or measured depends on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from stampseg.channels.importance import importance
from stampseg.channels.trace import trace
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.train.loss import make_loss, one_hot
from stampseg.train.mean_teacher import MeanTeacher, soft_loss
from stampseg.train.validation import training_fit

CLASSES = 3
LOSSES = ("dice-ce", "dice")


def loss_of(kind: str) -> nn.Module:
    return make_loss(TrainOptions(loss=kind))  # type: ignore[arg-type]


def usual(kind: str) -> nn.Module:
    """MONAI's, which knows of no voxels that are left out."""
    options = {"include_background": True, "to_onehot_y": True, "softmax": True, "batch": True}
    return DiceCELoss(**options) if kind == "dice-ce" else DiceLoss(**options)


def scores_and_label(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores (2, 3, 6, 7) and a label of classes 0 to 2, and 3 where nobody said what is there."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, CLASSES, 6, 7, generator=random)
    return scores, torch.randint(0, CLASSES + 1, (2, 1, 6, 7), generator=random)


@pytest.mark.parametrize("kind", LOSSES)
def test_where_all_is_known_it_is_the_usual_loss(kind: str) -> None:
    scores, label = scores_and_label()
    label = label.clamp(max=CLASSES - 1)
    assert loss_of(kind)(scores, label).item() == pytest.approx(usual(kind)(scores, label).item(), abs=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_it_depends_on_nothing_that_is_said_of_unknown_voxels(kind: str) -> None:
    scores, label = scores_and_label()
    unknown = (label == CLASSES).expand_as(scores)
    other = torch.where(unknown, 50 * torch.randn(scores.shape), scores)
    assert loss_of(kind)(scores, label).item() == loss_of(kind)(other, label).item()


@pytest.mark.parametrize("kind", LOSSES)
def test_no_gradient_comes_from_unknown_voxels(kind: str) -> None:
    scores, label = scores_and_label()
    scores.requires_grad_(True)
    loss_of(kind)(scores, label).backward()
    unknown = (label == CLASSES).expand_as(scores)
    assert scores.grad is not None
    assert not scores.grad[unknown].any()
    assert scores.grad[~unknown].any()


@pytest.mark.parametrize("kind", LOSSES)
def test_it_is_the_loss_of_the_known_voxels_alone(kind: str) -> None:
    """The loss of an image whose right half is unknown is that of its left half."""
    scores, label = scores_and_label()
    label = label.clamp(max=CLASSES - 1)
    half = label.clone()
    half[..., 3:] = CLASSES
    alone = usual(kind)(scores[..., :3], label[..., :3])
    assert loss_of(kind)(scores, half).item() == pytest.approx(alone.item(), abs=1e-6)


def test_without_any_known_voxel_it_is_zero_and_teaches_nothing() -> None:
    scores, label = scores_and_label()
    scores.requires_grad_(True)
    loss = loss_of("dice-ce")(scores, torch.full_like(label, CLASSES))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None and not scores.grad.any()


def test_deep_supervision_leaves_them_out_at_every_size() -> None:
    scores, label = scores_and_label()
    label[..., 3:] = CLASSES
    small = scores[..., ::2, ::2]
    wild = [scores.clone(), small.clone()]
    wild[0][..., 3:], wild[1][..., 2:] = 40.0, -40.0
    criterion = loss_of("dice-ce")
    assert criterion(wild, label).item() == criterion([scores, small], label).item()


def test_no_class_is_hot_where_nothing_is_known() -> None:
    label = torch.tensor([[[[0, 2, 3]]]])
    assert one_hot(label, CLASSES)[0, :, 0].T.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(RuntimeError, match="out of bounds"):  # a number that means nothing
        one_hot(torch.tensor([[[[0, 9]]]]), CLASSES)


def test_the_teacher_learns_nothing_from_pasted_voxels_that_are_unknown() -> None:
    """A labelled box in an unlabelled window: where its label is unknown, so is the mixed target."""
    network = nn.Conv2d(1, CLASSES, 1)
    options = TeacherOptions(labelled_share=1.0)
    teacher = MeanTeacher(network, loss_of("dice-ce"), options, CLASSES, seed=1)
    image, strong = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    certain = one_hot(torch.ones(1, 1, 8, 8), CLASSES)
    nothing = one_hot(torch.full((1, 1, 8, 8), CLASSES), CLASSES)
    windows, targets = teacher.mix(strong, certain, image, nothing)
    pasted = windows[:, 0] == 1
    assert 0 < pasted.sum() < 64
    assert torch.equal(targets.sum(1) == 0, pasted)
    scores = torch.randn(1, CLASSES, 8, 8)
    other = torch.where(pasted[:, None], torch.randn(1, CLASSES, 8, 8), scores)
    assert soft_loss(scores, targets).item() == soft_loss(other, targets).item()


@pytest.mark.parametrize("criterion", ["taylor", "taylor-abs"])
def test_scores_of_channels_do_not_depend_on_them(criterion: str) -> None:
    """Of a network that looks at single pixels, what lies at unknown ones changes no score."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 6, 1), nn.ReLU(), nn.Conv2d(6, CLASSES, 1))
    graph = trace(network, torch.zeros(1, 1, 8, 8))
    image, label = torch.randn(2, 1, 8, 8), torch.randint(0, CLASSES, (2, 1, 8, 8))
    label[..., 4:] = CLASSES
    other = image.clone()
    other[..., 4:] = 9.0
    scores = [
        importance(network, graph, [{"image": x, "label": label}], loss_of("dice-ce"), criterion=criterion)
        for x in (image, other)
    ]
    for name in scores[0]:
        np.testing.assert_allclose(scores[0][name], scores[1][name], rtol=1e-5, atol=1e-8)


class Says(nn.Module):
    """A network that finds one class everywhere."""

    def forward(self, image: Tensor) -> Tensor:
        scores = torch.zeros(len(image), CLASSES, *image.shape[2:])
        scores[:, 1] = 1
        return scores


def test_training_dice_counts_known_voxels_alone() -> None:
    label = torch.tensor([[[[1, 1, 0, 3, 3, 3, 3, 3]]]])
    batch = {"image": torch.zeros(1, 1, 1, 8), "label": label}
    fit = training_fit(Says(), [batch], ["one", "two"], loss_of("dice-ce"))
    assert fit.per_label == {"one": pytest.approx(2 * 2 / (3 + 2))} and math.isfinite(fit.loss)
