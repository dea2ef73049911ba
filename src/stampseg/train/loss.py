"""The loss of segmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.losses import DeepSupervisionLoss, DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import ConfigError
from ..core.train_options import TrainOptions
from ..data.labels.regions import Region
from ..networks.outputs import main_map, score_maps

TINY = 1e-6
RAREST = 10.0  # times the least weight, at most


class SegmentationLoss(nn.Module):
    """The loss of whatever a network gives: several maps of deep supervision weigh 1, 1/2, 1/4, ...

    Args:
        single: loss of scores (B, K, *S) and label (B, 1, *S); the label is brought to the size of
            a smaller map by the nearest voxel.
    """

    def __init__(self, single: nn.Module) -> None:
        super().__init__()
        self.single, self.several = single, DeepSupervisionLoss(single)

    def forward(self, output: Any, label: Tensor) -> Tensor:
        maps = score_maps(output, label.ndim - 2)
        if len(maps) > 1:
            return self.several(maps, label.float())
        return self.single(main_map(output, label.ndim - 2), label)


class KnownVoxelsLoss(nn.Module):
    """Soft Dice, and cross-entropy, over the voxels whose label is a class alone; of all, MONAI's DiceCELoss.

    With regions, Dice is of the background and of each region, whose probability is the sum of its classes';
    cross-entropy stays that of the classes, from which all regions follow.

    Neither the loss nor its gradients depend on what the network says of the others; without any known voxel
    the loss is 0.

    Args:
        entropy: whether cross-entropy is added.
        weights: (K) of the classes in both; None: all alike. Regions all count alike.
        regions: structures of several classes.
    """

    weights: Tensor | None

    def __init__(self, entropy: bool, weights: Tensor | None = None, regions: Sequence[Region] = ()) -> None:
        super().__init__()
        self.entropy, self.regions = entropy, tuple(regions)
        self.dice = DiceLoss(include_background=True, batch=True, weight=None if regions else weights)
        self.register_buffer("weights", weights)

    def forward(self, scores: Tensor, label: Tensor) -> Tensor:
        """Scores (B, K, *P) and label (B, 1, *P), K where it is not known."""
        classes = scores.shape[1]
        truth = one_hot(label, classes)
        known = truth.sum(1, keepdim=True)
        loss = self.dice(self._parts(known * scores.softmax(1)), self._parts(truth))
        if self.entropy:
            numbers = label[:, 0].long()
            total = functional.cross_entropy(
                scores, numbers, self.weights, ignore_index=classes, reduction="sum"
            )
            counts = torch.ones(classes, device=scores.device) if self.weights is None else self.weights
            weight = functional.pad(counts, (0, 1))[numbers].sum()
            loss = loss + total / weight.clamp(min=TINY)
        return loss

    def _parts(self, shares: Tensor) -> Tensor:
        """(B, K, *P) of classes -> of the background and the regions, where there are some."""
        if not self.regions:
            return shares
        sums = [shares[:, list(region.classes)].sum(1) for region in self.regions]
        return torch.stack([shares[:, 0], *sums], 1)


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(B, 1, *P) whole numbers -> (B, K, *P) of 0 and 1; all 0 for the number K, which is no class."""
    numbers = label.long()
    found = torch.zeros((len(label), classes + 1, *label.shape[2:]), device=label.device)
    return found.scatter_(1, numbers, 1.0)[:, :classes]


def make_loss(
    options: TrainOptions, *, weights: Sequence[float] | None = None, regions: Sequence[Region] = ()
) -> nn.Module:
    """Soft Dice over all classes and the whole batch, with cross-entropy unless `dice` is asked.

    Voxels are left out whose label is none of the classes. `weights` are of the classes. With `regions`, Dice
    is of these and the background.
    """
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    return SegmentationLoss(KnownVoxelsLoss(options.loss == "dice-ce", weight, regions))


def class_weights(options: TrainOptions, voxels: Sequence[int]) -> tuple[float, ...] | None:
    """What each class counts in the loss; None where all count alike.

    Args:
        options: with `class_weights`.
        voxels: of each class in the training masks, background first.

    Raises:
        ConfigError: a list of another length.
    """
    chosen = options.class_weights
    if chosen == "none":
        return None
    if isinstance(chosen, tuple):
        if len(chosen) != len(voxels):
            raise ConfigError(
                f"`train.class_weights` {list(chosen)}: {len(chosen)} numbers for {len(voxels)} classes; "
                "expected one each, background first"
            )
        return chosen
    rarity = [math.sqrt(sum(voxels) / max(count, 1)) for count in voxels]
    limited = [min(value, RAREST * min(rarity)) for value in rarity]
    return tuple(value * len(limited) / sum(limited) for value in limited)


def in_float32(output: Any) -> Any:
    """Maps of a network, alone or in lists and dictionaries, as float32 for the loss."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: in_float32(value) for name, value in output.items()}
    if isinstance(output, list | tuple):
        return [in_float32(value) for value in output]
    return output
