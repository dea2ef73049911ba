"""The loss of segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss
from torch import Tensor, nn

from ..core.config import TrainOptions
from ..networks.outputs import main_map, score_maps


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


def make_loss(options: TrainOptions) -> nn.Module:
    """Soft Dice over all classes and the whole batch, with cross-entropy unless `dice` is asked."""
    common = {"include_background": True, "to_onehot_y": True, "softmax": True, "batch": True}
    return SegmentationLoss(DiceCELoss(**common) if options.loss == "dice-ce" else DiceLoss(**common))


def in_float32(output: Any) -> Any:
    """Maps of a network, alone or in lists and dictionaries, as float32 for the loss."""
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, Mapping):
        return {name: in_float32(value) for name, value in output.items()}
    if isinstance(output, list | tuple):
        return [in_float32(value) for value in output]
    return output
