"""Certainty against Dice on people who were left out: an isotonic fit, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from ..data.calibration import LEAST_PEOPLE, LEVEL, LabelCalibration

Points = Sequence[tuple[float | None, float]]  # certainty, None where nothing was found, and Dice


def calibrate(people: Mapping[str, Points]) -> LabelCalibration | None:
    """The calibration of one label.

    It is of masks in which the label was found; a false alarm has a Dice of 0. Of the others it says how
    often the label was there. A Dice of 0 at a certainty of 0 is one more point. The interval is the
    conformal one of the residuals of people who took no part in the fit (jackknife; Barber et al. 2021), for
    a mask of another person: every person counts once, whatever the number of their masks (Dunn, Wasserman &
    Ramdas 2022). Of n people no level above n / (n + 1) can be had.

    Args:
        people: of each person who was left out in training, certainty and Dice of their masks; where nothing
            was found the certainty is None, and the Dice 1 if nothing is there, else 0.

    Returns:
        None where the label was found in fewer than `LEAST_PEOPLE`.
    """
    empty = {person: [d for c, d in points if c is None] for person, points in people.items()}
    found = {person: [(c, d) for c, d in points if c is not None] for person, points in people.items()}
    found = {person: points for person, points in found.items() if points}
    if len(found) < LEAST_PEOPLE:
        return None
    residuals: list[np.ndarray] = []
    for person, points in found.items():
        certainty, dice = _fit([point for other, of in found.items() if other != person for point in of])
        residuals.append(np.array([abs(np.interp(c, certainty, dice) - d) for c, d in points]))
    everything = [point for points in found.values() for point in points]
    certainty, dice = _fit(everything)
    enough = sum(bool(of) for of in empty.values()) >= LEAST_PEOPLE
    nothing = [d for of in empty.values() for d in of] if enough else []
    return LabelCalibration(
        certainty=tuple(certainty.tolist()), dice=tuple(dice.tolist()),
        margin=min(_reach(residuals), 1.0), people=len(found),
        level=min(LEVEL, len(found) / (len(found) + 1)),
        found=len(everything), vain=sum(d == 0 for _, d in everything),
        empty=len(nothing), missed=sum(d == 0 for d in nothing),
    )  # fmt: skip


def _reach(residuals: Sequence[np.ndarray]) -> float:
    """The residual that (n + 1) LEVEL of n people's shares lie within, or the largest."""
    values = np.concatenate(residuals)
    shares = np.concatenate([np.full(len(of), 1 / len(of)) for of in residuals])
    order = np.argsort(values)
    within = np.cumsum(shares[order])
    place = int(np.searchsorted(within, (len(residuals) + 1) * LEVEL - 1e-9))
    return float(values[order][min(place, len(values) - 1)])


def _fit(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Rising points: the middle of each stretch of equal Dice of the isotonic regression.

    Points of the same certainty are one, with their mean.
    """
    values, dice = np.array([(0.0, 0.0), *points]).T
    certainty, place, count = np.unique(values, return_inverse=True, return_counts=True)
    found = isotonic_regression(np.bincount(place, dice) / count, weights=count)
    blocks = list(zip(found.blocks[:-1], found.blocks[1:], strict=True))
    middles = np.array([np.average(certainty[a:b], weights=count[a:b]) for a, b in blocks])
    return middles, np.clip(found.x[found.blocks[:-1]], 0.0, 1.0)
