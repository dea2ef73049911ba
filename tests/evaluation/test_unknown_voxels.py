"""Metrics where part of the reference is unknown."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.evaluation.evaluation import Evaluation
from stampseg.evaluation.folders import evaluate_folder
from stampseg.evaluation.metrics import evaluate_case

NAMES = {0: "background", 1: "organ"}


def square(shape: tuple[int, int], top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_nothing_depends_on_what_is_predicted_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = square((20, 24), 4, 5, 8)
    reference[:, 10:] = 2
    prediction = square((20, 24), 5, 6, 8)
    other = prediction.copy()
    other[:, 10:] = rng.integers(0, 2, (20, 14))
    rows = [evaluate_case(p, reference, (1, 1), NAMES, unknown=2) for p in (prediction, other)]
    assert rows[0] == rows[1]


def test_it_is_the_metric_of_the_known_part() -> None:
    reference, prediction = square((20, 24), 4, 3, 6), square((20, 24), 5, 3, 6)
    partly = reference.copy()
    partly[:, 14:] = 2
    known = evaluate_case(prediction[:, :14], reference[:, :14], (1, 1), NAMES)
    assert evaluate_case(prediction, partly, (1, 1), NAMES, unknown=2) == known


def test_a_border_with_the_unknown_is_no_surface() -> None:
    """The reference is cut in half by the unknown, the prediction is its exact completion."""
    reference = square((20, 24), 4, 4, 10)
    prediction = reference.copy()
    reference[:, 9:] = 2
    row = evaluate_case(prediction, reference, (1, 1), NAMES, unknown=2)[0]
    assert (row.dice, row.hd95, row.surface_dice) == (1, 0, 1)
    assert row.reference_volume == row.predicted_volume == 50


def test_without_any_surface_there_is_no_distance() -> None:
    reference = np.full((9, 9), 2, np.uint8)
    reference[4, 4], reference[0, 0] = 1, 0
    row = evaluate_case(square((9, 9), 3, 3, 3), reference, (1, 1), NAMES, unknown=2)[0]
    assert row.dice == 1
    assert math.isnan(row.hd95) and math.isnan(row.surface_dice)


def folders(root: Path, reference: np.ndarray) -> tuple[Path, Path]:
    for part in ("out", "labels"):
        (root / part).mkdir()
    Image.fromarray(square((12, 12), 2, 2, 5)).save(root / "out" / "a.png")
    Image.fromarray(reference).save(root / "labels" / "a.png")
    return root / "out", root / "labels"


def test_folders_take_the_value_as_the_files_have_it(tmp_path: Path) -> None:
    reference = square((12, 12), 2, 2, 5)
    reference[:, 5:] = 255
    result = evaluate_folder(*folders(tmp_path, reference), ignored=255)
    assert result.labels == ("foreground",)
    assert result.rows[0].dice == 1
    assert result.notes[-1].startswith("ignore label 255: 58.3% of the voxels, in 1 label(s), are left out")
    assert not result.warnings


def test_folders_take_it_from_the_dataset_json(tmp_path: Path) -> None:
    reference = square((12, 12), 2, 2, 5)
    reference[:, 5:] = 2
    paths = folders(tmp_path, reference)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "organ": 1, "ignore": 2}}')
    result = evaluate_folder(*paths)
    assert (result.labels, result.rows[0].dice) == (("organ",), 1)


def test_a_mean_leaves_out_what_could_not_be_measured(tmp_path: Path) -> None:
    reference = np.full((12, 12), 2, np.uint8)
    reference[3, 3], reference[0, 0] = 1, 0
    found = evaluate_folder(*folders(tmp_path, reference), ignored=2)
    numbers = found.summary()[found.labels[0]]
    assert (numbers["dice"].mean, numbers["dice"].cases) == (1, 1)
    assert (numbers["hd95"].mean, numbers["hd95"].cases) == (None, 0)


def test_nothing_known_at_all_is_refused(tmp_path: Path) -> None:
    paths = folders(tmp_path, np.full((12, 12), 2, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: every voxel has the ignore label 2"):
        evaluate_folder(*paths, ignored=2)


@pytest.mark.parametrize(("known", "told"), [(True, True), (False, False)])
def test_a_label_that_may_lie_where_nobody_looked_is_not_called_absent(known: bool, told: bool) -> None:
    """ "1 case without tumour: none is found there" was said of a case labelled in a corner alone."""
    reference, prediction = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    prediction[4:, 4:] = 1
    reference[2:, 2:] = 0 if known else 9
    (row,) = evaluate_case(prediction, reference, (1, 1), {0: "background", 1: "tumour"}, unknown=9)
    assert row.told == told and row.absent
    assert row.false_positive_volume == (16 if known else None)
    found = Evaluation((row,), 1.0, "px").false_positives()["tumour"]
    assert found.cases == int(known)
    prediction[0, 0] = 1  # a rate over cases that count where something is found would be too high
    (row,) = evaluate_case(prediction, reference, (1, 1), {0: "background", 1: "tumour"}, unknown=9)
    assert row.told == told and row.false_positive_volume == (17 if known else None)
