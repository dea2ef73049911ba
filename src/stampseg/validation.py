"""Dice while training: over the validation cases, and over the training set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .algorithm import Validation
from .channels.modes import evaluating
from .data.loaders import ValidationCases
from .data.plan import Plan
from .denormals import flushing_denormals
from .errors import DataError
from .evaluation import dice_score
from .narrow_layers import narrow_layers
from .networks.outputs import main_map
from .prediction import predict_working


def training_dice(network: nn.Module, batches: Iterable[Mapping[str, Tensor]], classes: int) -> float:
    """Mean Dice of the labels over all voxels of training batches, in eval mode.

    A label that no batch holds says nothing of what was learnt and is left out; where none of them holds
    any, the Dice is not a number.
    """
    overlap, total, held = torch.zeros(classes), torch.zeros(classes), torch.zeros(classes)
    with evaluating(network), torch.inference_mode(), flushing_denormals(), narrow_layers():
        for batch in batches:
            truth = batch["label"][:, 0]
            found = main_map(network(batch["image"]), truth.ndim - 1).argmax(1)
            for k in range(1, classes):
                overlap[k] += 2 * ((found == k) & (truth == k)).sum().cpu()
                held[k] += (truth == k).sum().cpu()
                total[k] += ((found == k).sum() + (truth == k).sum()).cpu()
    present = held[1:] > 0
    return float((overlap[1:] / total[1:])[present].mean())


def validate(
    network: nn.Module, cases: ValidationCases, plan: Plan, device: torch.device
) -> Validation | None:
    """Mean Dice of each label over the cases, and the mean of those; None without cases."""
    rows = []
    for case, prepared in cases:
        if prepared.label is None:
            raise DataError(f"validation case {case.id} has no label; name labelled cases")
        found, truth = predict_working(network, prepared.image, plan, device), prepared.label[0]
        rows.append([dice_score(found == k, truth == k) for k in range(1, plan.out_channels)])
    if not rows:
        return None
    means = np.asarray(rows).mean(axis=0)
    return Validation(float(means.mean()), dict(zip(plan.label_names[1:], means.tolist(), strict=True)))
