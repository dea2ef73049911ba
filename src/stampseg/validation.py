"""Dice over the validation cases, on the grid the network works on."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .data.loaders import ValidationCases
from .data.plan import Plan
from .errors import DataError
from .evaluation import dice_score
from .prediction import predict_prepared
from .stamp import Validation


def validate(
    network: nn.Module, cases: ValidationCases, plan: Plan, device: torch.device
) -> Validation | None:
    """Mean Dice of each label over the cases, and the mean of those; None without cases."""
    rows = []
    for case, prepared in cases:
        if prepared.label is None:
            raise DataError(f"validation case {case.id} has no label; name labelled cases")
        scores = predict_prepared(network, prepared.image, plan, device)
        found, truth = scores.argmax(0).cpu().numpy(), prepared.label[0].numpy()
        rows.append([dice_score(found == k, truth == k) for k in range(1, plan.out_channels)])
    if not rows:
        return None
    means = np.asarray(rows).mean(axis=0)
    return Validation(float(means.mean()), dict(zip(plan.label_names[1:], means.tolist(), strict=True)))
