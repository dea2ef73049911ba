"""Masks of people who were left out against their labels: what the model file's expected Dice rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..data.calibration import MEASURE, Calibration
from ..data.cases import Case
from ..data.io.readers import read_header
from ..data.labels.regions import in_classes
from ..data.plan import Plan
from ..data.preprocess import Prepared
from ..evaluation.calibration import calibrate
from ..evaluation.metrics import mask_agreement
from ..evaluation.predicted import reference_of
from ..evaluation.temperature import Heat, temperature_of
from ..runtime.confidence import segment_confidently
from ..runtime.sliding import walking_axis
from ..runtime.torch_scorer import scoring


@dataclass(frozen=True, eq=False)
class Measured:
    """Of people who were left out.

    Attributes:
        labels: of each of the plan's structures, in order: certainty and Dice of each person's masks; where
            nothing was found the certainty is None, and the Dice 1 if nothing is there.
        heats: how surprising what is there was, of each person's cases.
    """

    labels: list[dict[str, list[tuple[float | None, float]]]]
    heats: dict[str, list[Heat]]


def measure(
    network: nn.Module, cases: Iterable[tuple[Case, Prepared]], plan: Plan, device: torch.device
) -> Measured:
    """Certainty and Dice of labelled cases that the network did not learn from, on the files' own grids.

    That is where masks are used: on a coarse working grid the Dice of a good network is higher. A label that
    is in only one of mask and case has a Dice of 0. Where the mask holds none of it, and part of the case has
    no label, nobody knows whether it is there: that says nothing.

    Raises:
        DataError: the files of a case cannot be read any more.
    """
    measured = Measured([{} for _ in plan.structures], {})
    with scoring(network, device) as scorer:
        for case, prepared in cases:
            assert prepared.label is not None
            heat = Heat(
                prepared.label[0], walking_axis(prepared.image.shape[1:], plan.patch_size), plan.unknown_class
            )
            found = segment_confidently(prepared, plan, scorer, listener=heat)
            measured.heats.setdefault(case.group, []).append(heat)
            truth = reference_of(case, read_header(case.images), plan)
            known = truth != plan.unknown_class  # elsewhere nobody said what is there
            for (_, classes), certainty, of in zip(
                plan.structures, found.certainty[1:], measured.labels, strict=True
            ):
                whole, there = in_classes(found.mask, classes), in_classes(truth, classes)
                said = whole & known
                if known.all() or said.any() or there.any():
                    sure = (certainty or 0.0) if whole.any() else None
                    of.setdefault(case.group, []).append((sure, mask_agreement(said, there)))
    return measured


def joined(parts: Iterable[Measured]) -> Measured:
    """Measurements of several networks, each on people of its own, as one."""
    first, *others = parts
    for other in others:
        for of, more in zip(first.labels, other.labels, strict=True):
            for person, points in more.items():
                of.setdefault(person, []).extend(points)
        for person, heats in other.heats.items():
            first.heats.setdefault(person, []).extend(heats)
    return first


def calibration_of(measured: Measured, source: Literal["folds", "validation"]) -> Calibration | None:
    """The calibration of all labels; None where too few people have any of them found."""
    labels = [calibrate(people) for people in measured.labels]
    if not any(labels):
        return None
    temperature = temperature_of(measured.heats)
    return Calibration(labels=(None, *labels), source=source, temperature=temperature, measure=MEASURE)
