"""What was to be expected of the validation cases' masks, each by what the others showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..data.calibration import LEAST_PEOPLE, LabelCalibration
from ..evaluation.calibration import calibrate
from .cases import PredictedCase, PredictedCases
from .vega import COLOURS, compiled

SHOWN = 5  # cases of which least is expected
TRUE = "true Dice (0 of a label found in vain)"
DICE, CERTAINTY = "expected Dice", "certainty"


def with_expected(predicted: PredictedCases) -> PredictedCases:
    """The cases with what was to be expected of each case, its mean over labels.

    The calibration of a case is made of the cases of other people, so that its own Dice has no part in it.
    Where these are fewer than `LEAST_PEOPLE` for some label, what is given is the certainty.
    """
    known = [case for case in predicted.cases if case.certainty]
    if not known:
        return predicted
    fits = {
        (label, person): calibrate(_points(known, label, person))
        for label in predicted.labels
        for person in {_person(case) for case in known}
    }
    calibrated = all(fits.values())
    cases = [replace(c, expected=_expected(c, fits if calibrated else {})) for c in predicted.cases]
    return replace(predicted, cases=tuple(cases), expected_as=DICE if calibrated else CERTAINTY)


def _person(case: PredictedCase) -> str:
    return case.group or case.id


def _points(
    cases: Sequence[PredictedCase], label: str, but: str
) -> dict[str, list[tuple[float | None, float]]]:
    """Certainty and Dice of a label, of all people but one; 1 where it is in neither mask nor case."""
    points: dict[str, list[tuple[float | None, float]]] = {}
    for case in cases:
        if _person(case) != but and label in case.certainty:
            certainty, dice = case.certainty[label], (case.per_label or {}).get(label)
            right = certainty is None and dice is None
            points.setdefault(_person(case), []).append((certainty, 1.0 if right else dice or 0.0))
    return points


def _expected(case: PredictedCase, fits: dict[tuple[str, str], LabelCalibration | None]) -> float | None:
    """Mean over the labels that the case holds or the network finds.

    One that it does not find counts what such masks of the others were worth, or 0.
    """
    values = []
    for label in _held_or_found(case):
        certainty = case.certainty[label]
        fit = fits.get((label, _person(case)))
        if certainty is None:
            values.append(0.0 if fit is None else fit.right_if_empty or 0.0)
        else:
            values.append(certainty if fit is None else fit.expected(certainty)[0])
    return sum(values) / len(values) if values else None


def _held_or_found(case: PredictedCase) -> list[str]:
    """Labels that a mean is over: those that the case holds or the network finds."""
    per_label = case.per_label or {}
    return [name for name, sure in case.certainty.items() if (sure, per_label.get(name)) != (None, None)]


def _dice(case: PredictedCase) -> float | None:
    """Mean over the same labels as is expected, 0 where one is found that the case does not hold."""
    found = [(case.per_label or {}).get(label) or 0.0 for label in _held_or_found(case)]
    return sum(found) / len(found) if found else None


def least_expected(predicted: PredictedCases) -> list[PredictedCase]:
    """The cases of which least was to be expected, the least first."""
    known = [case for case in predicted.cases if case.expected is not None]
    return sorted(known, key=lambda case: case.expected or 0.0)[:SHOWN]


def words_of(predicted: PredictedCases) -> str:
    """What the figures are."""
    if predicted.expected_as == DICE:
        return (
            "Expected Dice: by the certainty of a mask and what it was worth in the cases of the other "
            "people here. Where they chose the model, as by validation, both are a little high."
        )
    return (
        "Certainty: how far the network agrees with itself when a scan is turned. It ranks masks and is no "
        f"Dice: here that takes more than {LEAST_PEOPLE} people who validate and hold each label, as "
        "each one's is told by the others."
    )


def chart_of(predicted: PredictedCases) -> dict[str, Any] | None:
    """Vega specification: a point for each case, and the line of equal values; None without points."""
    points = [
        {"case": case.id, "person": case.group, "expected": case.expected, "Dice": dice}
        for case in predicted.cases
        if case.expected is not None and (dice := _dice(case)) is not None
    ]
    if not points:
        return None
    axes = {
        "x": {"field": "expected", "type": "quantitative", "title": predicted.expected_as, "scale": _UNIT},
        "y": {"field": "Dice", "type": "quantitative", "title": TRUE, "scale": _UNIT},
    }
    equal = {"values": [{"expected": 0, "Dice": 0}, {"expected": 1, "Dice": 1}]}
    line = {"type": "line", "color": {"expr": "ink"}, "opacity": 0.25, "strokeDash": [4, 4], "aria": False}
    dots = {"type": "point", "filled": True, "size": 70, "color": COLOURS[0], "opacity": 0.9}
    tooltip = [{"field": name} for name in ("case", "person")]
    tooltip += [{"field": name, "format": ".3f"} for name in ("expected", "Dice")]
    return compiled(
        {
            "description": f"True Dice against {predicted.expected_as}, one point per validation case",
            "height": 320,
            "data": {"values": points},
            "layer": [
                {"data": equal, "mark": line, "encoding": axes},
                {"mark": dots, "encoding": {**axes, "tooltip": tooltip}},
            ],
        }
    )


_UNIT = {"domain": [0, 1]}
