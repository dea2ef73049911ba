"""Masks of people who were left out against their labels: what the model file's expected Dice rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from ..data.calibration import Calibration
from ..data.cases import Case
from ..data.plan import Plan
from ..data.preprocess import Geometry, Prepared
from ..evaluation.calibration import calibrate
from ..evaluation.metrics import dice_score
from ..runtime.confidence import segment_confidently
from ..runtime.torch_scorer import scoring

# Of each class but the background, in order: certainty and Dice of each person's masks.
Measured = list[dict[str, list[tuple[float, float]]]]


def measure(
    network: nn.Module, cases: Iterable[tuple[Case, Prepared]], plan: Plan, device: torch.device
) -> Measured:
    """Certainty and Dice of labelled cases that the network did not learn from, on the working grid.

    A label that is in neither the mask nor the case says nothing; one that is in only one of them has a Dice
    of 0.
    """
    measured: Measured = [{} for _ in plan.label_names[1:]]
    with scoring(network, device) as scorer:
        for case, prepared in cases:
            assert prepared.label is not None
            working = Prepared(prepared.image, None, Geometry.working(prepared.image.shape[1:]))
            found, truth = segment_confidently(working, plan, scorer), prepared.label[0]
            found.mask[truth == plan.unknown_class] = 0  # nobody said what is there
            for value, of in enumerate(measured, 1):
                certainty, there = found.certainty[value], truth == value
                if certainty is not None or there.any():
                    dice = dice_score(found.mask == value, there)
                    of.setdefault(case.group, []).append((certainty or 0.0, dice))
    return measured


def joined(parts: Iterable[Measured]) -> Measured:
    """Measurements of several networks, each on people of its own, as one."""
    first, *others = parts
    for other in others:
        for of, more in zip(first, other, strict=True):
            for person, points in more.items():
                of.setdefault(person, []).extend(points)
    return first


def calibration_of(measured: Measured, source: Literal["folds", "validation"]) -> Calibration | None:
    """The calibration of all labels; None where too few people hold any of them."""
    labels = [calibrate(people) for people in measured]
    return Calibration(labels=(None, *labels), source=source) if any(labels) else None
