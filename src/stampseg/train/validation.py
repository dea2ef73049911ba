"""Dice while training: over the validation cases, and over the training set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..channels.modes import evaluating
from ..core.errors import DataError
from ..data.labels.regions import HALF, Region, in_classes, structures
from ..data.loaders import ValidationCases
from ..data.plan import Plan
from ..evaluation.false_positives import FalsePositives
from ..evaluation.metrics import dice_score
from ..networks.denormals import flushing_denormals
from ..networks.narrow_layers import narrow_layers
from ..networks.outputs import main_map
from ..runtime.torch_scorer import predict_working
from .round import Fit, Validation


def training_fit(
    network: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    names: Sequence[str],
    criterion: Callable[[Any, Tensor], Tensor],
    regions: Sequence[Region] = (),
) -> Fit:
    """Loss, and Dice of each label over all voxels of training batches, in eval mode.

    A label that no batch holds says nothing of what was learnt and is left out. Not in inference mode: what
    a network keeps of a pass, as a grid by size, is used in training.

    Args:
        network: (B, C, *P) -> class logits (B, K, *P).
        batches: `image` and `label` (B, 1, *P), on the network's device.
        names: of classes 1, 2, ...
        criterion: loss of the network's output and the label.
        regions: structures of several classes, which are looked at in place of the classes.
    """
    parts = structures(("", *names), regions)
    overlap, found_voxels, held = ([0] * len(parts) for _ in range(3))
    total, examples = 0.0, 0
    with evaluating(network), torch.no_grad(), flushing_denormals(), narrow_layers():
        for batch in batches:
            truth = batch["label"][:, 0]
            output = network(batch["image"])
            total += float(criterion(output, batch["label"])) * len(truth)
            examples += len(truth)
            found = _found(main_map(output, truth.ndim - 1), regions)
            found[(truth < 0) | (truth > len(names))] = 0  # nobody said what is there
            for place, (_, classes) in enumerate(parts):
                there, predicted = _is_of(truth, classes), _is_of(found, classes)
                overlap[place] += int((there & predicted).sum())
                found_voxels[place] += int(predicted.sum())
                held[place] += int(there.sum())
    counts = zip((name for name, _ in parts), overlap, found_voxels, held, strict=True)
    dice = {name: 2 * both / (predicted + there) for name, both, predicted, there in counts if there}
    return Fit(total / examples if examples else math.nan, dice)


def _found(scores: Tensor, regions: Sequence[Region]) -> Tensor:
    """Class (B, *P) by scores (B, K, *P); regions write over each other, in their order."""
    if not regions:
        return scores.argmax(1)
    shares, found = scores.softmax(1), torch.zeros_like(scores[:, 0], dtype=torch.long)
    for region in regions:
        found[shares[:, list(region.classes)].sum(1) > HALF] = region.written
    return found


def _is_of(classes: Tensor, some: Sequence[int]) -> Tensor:
    return torch.isin(classes, torch.tensor(some, device=classes.device))


def agreement(one: nn.Module, other: nn.Module, images: Iterable[Tensor], classes: int) -> float | None:
    """Mean over the labels of the Dice between what two networks find; None where neither finds any.

    Args:
        one, other: (B, C, *P) -> class logits (B, K, *P).
        images: (B, C, *P) each, on the networks' device.
        classes: background included.
    """
    both, sizes = [0] * classes, [0] * classes
    with evaluating(one), evaluating(other), torch.no_grad(), flushing_denormals(), narrow_layers():
        for image in images:
            first, second = (main_map(n(image), image.ndim - 2).argmax(1) for n in (one, other))
            for label in range(1, classes):
                both[label] += int(((first == label) & (second == label)).sum())
                sizes[label] += int((first == label).sum()) + int((second == label).sum())
    shares = [2 * b / s for b, s in zip(both, sizes, strict=True) if s]
    return float(np.mean(shares)) if shares else None


def validate(
    network: nn.Module, cases: ValidationCases, plan: Plan, device: torch.device
) -> Validation | None:
    """Mean Dice of each label, or region, over the cases that hold it, and the mean of those.

    Labels that no case holds are in neither; None where no case holds any label. Volumes of false positives
    are those of the working grid. Where part of a case has no label, and nothing is found in the rest, nobody
    knows whether the case holds it.
    """
    scores: dict[str, list[float]] = {name: [] for name, _ in plan.structures}
    wrong: dict[str, list[float]] = {name: [] for name, _ in plan.structures}
    voxel = math.prod(plan.spacing) / (1000.0 if plan.spatial_dims == 3 else 1.0)
    for case, prepared in cases:
        if prepared.label is None:
            raise DataError(f"validation case {case.id} has no label; name labelled cases")
        found, truth = predict_working(network, prepared.image, plan, device), prepared.label[0]
        unknown = truth == plan.unknown_class
        found[unknown] = 0  # nobody said what is there
        for name, classes in plan.structures:
            there, predicted = in_classes(truth, classes), in_classes(found, classes)
            if there.any():  # what is not there would reward a prediction of nothing
                scores[name].append(dice_score(predicted, there))
            elif predicted.any() or not np.any(unknown):
                wrong[name].append(int(predicted.sum()) * voxel)
    means = {name: float(np.mean(values)) for name, values in scores.items() if values}
    if not means:
        return None
    cases_of = {name: len(values) for name, values in scores.items()}
    false = {name: FalsePositives.of(volumes) for name, volumes in wrong.items() if volumes}
    return Validation(float(np.mean(list(means.values()))), means, cases_of, false)
