"""What masks of people who were left out are worth: also of those who do not have what was found in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.data.cases import Case
from stampseg.data.plan import Plan
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.train.calibration import Measured, calibration_of, measure

PLAN = Plan(
    spatial_dims=2, in_channels=1, label_values=(0, 1), label_names=("background", "tumour"),
    orientation=None, spacing=(1.0, 1.0), crop="none", patch_size=(16, 16), normalization="zscore", ct=None,
    strides=((2, 2),), ignored_value=9,
)  # fmt: skip


class Bright(nn.Module):
    """The tumour is where it is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([-x, x], 1)


def square(start: int, stop: int) -> np.ndarray:
    inside = np.zeros((16, 16), np.uint8)
    inside[start:stop, start:stop] = 1
    return inside


def measured(*cases: tuple[str, np.ndarray, np.ndarray]) -> Measured:
    """Of cases of a person, what is bright in them, and their label."""
    prepared = [
        (
            Case(str(number), person, (Path(f"{number}.png"),), None),
            Prepared(np.float32(8 * seen - 4.0)[None], label[None], Geometry.working((16, 16))),
        )
        for number, (person, seen, label) in enumerate(cases)
    ]
    return measure(Bright(), prepared, PLAN, torch.device("cpu"))


def test_what_only_one_of_mask_and_label_has_is_a_dice_of_0() -> None:
    there, nothing = square(4, 8), square(0, 0)
    (of,) = measured(
        *(("right", there, there), ("in vain", there, nothing)),
        *(("missed", nothing, there), ("none", nothing, nothing)),
    ).labels
    dice = {person: points[0][1] for person, points in of.items()}
    assert dice == {"right": 1, "in vain": 0, "missed": 0, "none": 1}
    certainty = {person: points[0][0] for person, points in of.items()}
    assert certainty["in vain"] is not None and certainty["in vain"] > 0.9
    assert certainty["missed"] is None and certainty["none"] is None


def test_nothing_found_is_right_only_where_the_whole_case_has_a_label() -> None:
    part, nothing = PLAN.unknown_class * square(4, 8), square(0, 0)
    (of,) = measured(("unknown", nothing, part), ("missed", nothing, part + square(9, 11))).labels
    assert of == {"missed": [(None, 0.0)]}


def test_what_is_found_where_nobody_said_what_is_there_says_nothing() -> None:
    (of,) = measured(("a", square(4, 8), PLAN.unknown_class * square(4, 8))).labels
    assert of == {}


def test_people_without_the_label_are_part_of_the_calibration() -> None:
    """Slices of a brain, half of them without a tumour: what is found in vain is a Dice of 0."""
    there, nothing = square(4, 8), square(0, 0)
    cases = [(str(person), there, there if person % 2 else nothing) for person in range(6)]
    found = calibration_of(measured(*cases), "validation")
    assert found is not None and found.labels[1] is not None
    assert found.labels[1].dice[-1] == pytest.approx(0.5) and found.labels[1].people == 6
    assert (found.labels[1].found, found.labels[1].vain) == (6, 3)
