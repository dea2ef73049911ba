"""What masks of people who were left out are worth: also of those who do not have what was found in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stampseg.data.cases import Case
from stampseg.data.io.readers import read_image, read_label
from stampseg.data.plan import Plan
from stampseg.data.preprocess import prepare
from stampseg.train.calibration import Measured, calibration_of, measure

PLAN = Plan(
    spatial_dims=2, in_channels=1, label_values=(0, 1), label_names=("background", "tumour"),
    orientation=None, spacing=(1.0, 1.0), crop="none", patch_size=(16, 16), normalization="zscore", ct=None,
    strides=((2, 2),), ignored_value=9,
)  # fmt: skip


class Bright(nn.Module):
    """The tumour is where it is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([-40 * x, 40 * x], 1)


def square(start: int, stop: int) -> np.ndarray:
    inside = np.zeros((16, 16), np.uint8)
    inside[start:stop, start:stop] = 1
    return inside


Measure = Callable[..., Measured]


@pytest.fixture
def measured(tmp_path: Path) -> Measure:
    """Measures cases of a person: what is bright in them, and their label."""

    def measure_cases(*cases: tuple[str, np.ndarray, np.ndarray], plan: Plan = PLAN) -> Measured:
        prepared = []
        for number, (person, seen, label) in enumerate(cases):
            paths = [tmp_path / f"{number}{kind}.png" for kind in ("", "_label")]
            for path, array in zip(paths, (200 * seen, label), strict=True):
                Image.fromarray(array.astype(np.uint8)).save(path)
            image = read_image([paths[0]])
            case = Case(str(number), person, (paths[0],), paths[1])
            prepared.append((case, prepare(image, plan, read_label(paths[1]))))
        return measure(Bright(), prepared, plan, torch.device("cpu"))

    return measure_cases


def test_what_only_one_of_mask_and_label_has_is_a_dice_of_0(measured: Measure) -> None:
    there, nothing = square(4, 8), square(0, 0)
    (of,) = measured(
        *(("right", there, there), ("in vain", there, nothing)),
        *(("missed", nothing, there), ("none", nothing, nothing)),
    ).labels
    dice = {person: points[0][1] for person, points in of.items()}
    assert dice == {"right": 1, "in vain": 0, "missed": 0, "none": 1}
    certainty = {person: points[0][0] for person, points in of.items()}
    assert certainty["in vain"] is not None and certainty["in vain"] > 0.85
    assert certainty["missed"] is None and certainty["none"] is None


def test_nothing_found_is_right_only_where_the_whole_case_has_a_label(measured: Measure) -> None:
    part, nothing = PLAN.ignored_value * square(4, 8), square(0, 0)
    (of,) = measured(("unknown", nothing, part), ("missed", nothing, part + square(9, 11))).labels
    assert of == {"missed": [(None, 0.0)]}


def test_what_is_found_where_nobody_said_what_is_there_says_nothing(measured: Measure) -> None:
    (of,) = measured(("a", square(4, 8), PLAN.ignored_value * square(4, 8))).labels
    assert of == {}


def test_people_without_the_label_are_part_of_the_calibration(measured: Measure) -> None:
    """Slices of a brain, half of them without a tumour: what is found in vain is a Dice of 0."""
    there, nothing = square(4, 8), square(0, 0)
    cases = [(str(person), there, there if person % 2 else nothing) for person in range(6)]
    found = calibration_of(measured(*cases), "validation")
    assert found is not None and found.labels[1] is not None
    assert found.labels[1].dice[-1] == pytest.approx(0.5) and found.labels[1].people == 6
    assert (found.labels[1].found, found.labels[1].vain) == (6, 3)


def test_dice_is_that_of_the_grid_of_the_files(measured: Measure) -> None:
    """On a grid of four pixels the network is right everywhere, and its mask has lost the edges."""
    stripes = np.zeros((64, 64), np.uint8)
    stripes[10:22, 10:51] = stripes[33:46, 13:31] = 1
    coarse = PLAN.model_copy(update={"spacing": (4.0, 4.0)})
    (fine,) = measured(("a", stripes, stripes)).labels
    (of,) = measured(("a", stripes, stripes), plan=coarse).labels
    assert fine["a"][0][1] == 1 and 0.8 < of["a"][0][1] < 0.97
