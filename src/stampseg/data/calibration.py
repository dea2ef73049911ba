"""From how much a network agrees with itself to the Dice that is to be expected; stored in the plan."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ..core.options import Options

# What `certainty` and `dice` are: 1 was without the entropy (see runtime/confidence.py), 2 had the Dice of
# masks on the working grid, which on coarse ones is too good.
MEASURE = 3
LEAST_PEOPLE = 5  # of whom a label's calibration is made
LEVEL = 0.9  # of the intervals: so many masks of other people lie within


class LabelCalibration(Options):
    """Of one label: Dice against certainty, both rising, linear between the points.

    Attributes:
        certainty, dice: the points, from 0 on.
        margin: what the interval reaches to either side.
        people: who were left out, and in whom the label was found.
        level: share of other people's masks that the largest residual is known to hold: n of n + 1.
        found: their masks in which the label was found.
        vain: of these, false alarms: nothing of what was found is there.
        empty: masks in which it was not found; 0 where they are of fewer than `LEAST_PEOPLE`, or not known.
        missed: of these, those whose scan holds the label.
    """

    certainty: tuple[float, ...]
    dice: tuple[float, ...]
    margin: float
    people: int
    level: float = LEVEL
    found: int = Field(0, ge=0)
    vain: int = Field(0, ge=0)
    empty: int = Field(0, ge=0)
    missed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rises(self) -> LabelCalibration:
        for values in (self.certainty, self.dice):
            if not values or len(values) != len(self.certainty) or not 0 <= min(values) <= max(values) <= 1:
                raise ValueError("certainty and dice need as many values each, from 0 to 1")
            if any(first > second for first, second in pairwise(values)):
                raise ValueError("certainty and dice must rise")
        if not 0 <= self.margin <= 1:
            raise ValueError(f"margin {self.margin} is not within 0 and 1")
        if self.vain > self.found or self.missed > self.empty:
            raise ValueError("more masks are wrong than there are")
        return self

    @property
    def has_interval(self) -> bool:
        """Whether people are enough for one: of n, no level above n / (n + 1) can be had."""
        return self.level >= LEVEL

    @property
    def right_if_empty(self) -> float | None:
        """Share of masks without the label whose scan does not hold it: the Dice to be expected of them."""
        return 1 - self.missed / self.empty if self.empty else None

    def expected(self, certainty: float) -> tuple[float, float, float]:
        """Dice that is to be expected where the label was found, and the ends of its interval.

        These are 0 and 1 where people are too few for an interval.
        """
        dice = float(np.interp(certainty, self.certainty, self.dice))
        if not self.has_interval:
            return dice, 0.0, 1.0
        return dice, max(dice - self.margin, 0.0), min(dice + self.margin, 1.0)


class Calibration(Options):
    """Of every class, or region, the background first, which has none; None too where too few people hold it.

    Attributes:
        labels: one per class, or with regions one per region.
        source: whose masks were held against their labels: cases of the folds, or of validation.
        temperature: by which logits are divided for probabilities that are right as often as they say.
        measure: which `MEASURE` the points are of; of another one than that of now no label is known.
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
