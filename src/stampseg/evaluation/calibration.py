"""Certainty against Dice on people who were left out: an isotonic fit, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from ..data.calibration import LEAST_PEOPLE, LEVEL, LabelCalibration

Points = Sequence[tuple[float, float]]  # certainty and Dice


def calibrate(people: Mapping[str, Points]) -> LabelCalibration | None:
    """The calibration of one label.

    A Dice of 0 at a certainty of 0 is one more point. The interval is the conformal one of the residuals of
    people who took no part in the fit (jackknife; Barber et al. 2021): of n people the ceil((n + 1) LEVEL)-th
    smallest, at most the largest.

    Args:
        people: of each person who was left out in training, certainty and Dice of their masks.

    Returns:
        None of fewer than `LEAST_PEOPLE`.
    """
    if len(people) < LEAST_PEOPLE:
        return None
    residuals = []
    for person, points in people.items():
        certainty, dice = _fit([point for other, of in people.items() if other != person for point in of])
        residuals.append(np.mean([abs(np.interp(c, certainty, dice) - d) for c, d in points]))
    rank = min(math.ceil((len(people) + 1) * LEVEL), len(people))
    certainty, dice = _fit([point for points in people.values() for point in points])
    return LabelCalibration(
        certainty=tuple(certainty.tolist()), dice=tuple(dice.tolist()),
        margin=min(float(np.sort(residuals)[rank - 1]), 1.0), people=len(people),
    )  # fmt: skip


def _fit(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Rising points: the middle of each stretch of equal Dice of the isotonic regression."""
    certainty, dice = np.array(sorted([(0.0, 0.0), *points])).T
    found = isotonic_regression(dice)
    blocks = list(zip(found.blocks[:-1], found.blocks[1:], strict=True))
    middles = np.array([certainty[start:stop].mean() for start, stop in blocks])
    return middles, np.clip(found.x[found.blocks[:-1]], 0.0, 1.0)
