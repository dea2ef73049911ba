"""From how much a network agrees with itself to the Dice that is to be expected; stored in the plan."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ..core.options import Options

MEASURE = 2  # what `certainty` is; 1 was without the entropy (see runtime/confidence.py)
LEAST_PEOPLE = 5  # of whom a label's calibration is made
LEVEL = (
    0.9  # of the intervals: so many masks of other people lie within, where nine people or more were left out
)


class LabelCalibration(Options):
    """Of one label: Dice against certainty, both rising, linear between the points.

    Attributes:
        certainty, dice: the points, from 0 on.
        margin: what the interval reaches to either side.
        people: who were left out and hold the label.
        level: share of other people's masks that the interval holds; n of n + 1 where people are few.
    """

    certainty: tuple[float, ...]
    dice: tuple[float, ...]
    margin: float
    people: int
    level: float = LEVEL

    @model_validator(mode="after")
    def _rises(self) -> LabelCalibration:
        for values in (self.certainty, self.dice):
            if not values or len(values) != len(self.certainty) or not 0 <= min(values) <= max(values) <= 1:
                raise ValueError("certainty and dice need as many values each, from 0 to 1")
            if any(first > second for first, second in pairwise(values)):
                raise ValueError("certainty and dice must rise")
        if not 0 <= self.margin <= 1:
            raise ValueError(f"margin {self.margin} is not within 0 and 1")
        return self

    def expected(self, certainty: float) -> tuple[float, float, float]:
        """Dice that is to be expected, and the ends of its interval."""
        dice = float(np.interp(certainty, self.certainty, self.dice))
        return dice, max(dice - self.margin, 0.0), min(dice + self.margin, 1.0)


class Calibration(Options):
    """Of every class, or region, the background first, which has none; None too where too few people hold it.

    Attributes:
        labels: one per class, or with regions one per region.
        source: whose masks were held against their labels: cases of the folds, or of validation.
        temperature: by which logits are divided for probabilities that are right as often as they say.
        measure: which certainty the points are of; of another one than that of now no label is known.
    """

    labels: tuple[LabelCalibration | None, ...]
    source: Literal["folds", "validation"]
    temperature: float = Field(1.0, gt=0, le=100)
    measure: int = 1

    @model_validator(mode="after")
    def _of_now(self) -> Calibration:
        if self.measure != MEASURE and any(self.labels):
            object.__setattr__(self, "labels", (None,) * len(self.labels))
        return self

    @property
    def known(self) -> bool:
        """Whether of any label."""
        return any(self.labels)
