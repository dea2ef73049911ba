"""Metrics against slow, obvious twins, MONAI, and the stated rules."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from stampseg.core.errors import ConfigError, DataError
from stampseg.evaluation import metrics as evaluation
from stampseg.evaluation.metrics import evaluate_case, surface_distances

SPACINGS = {2: (0.7, 1.9), 3: (0.5, 1.25, 3.0)}
SHAPES = {2: (9, 7), 3: (6, 7, 4)}


def brute_surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of the mask with a face neighbour that is outside the mask or the image."""
    found = []
    for point in itertools.product(*map(range, mask.shape)):
        if not mask[point]:
            continue
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            neighbour = list(point)
            neighbour[axis] += step
            inside = all(0 <= n < size for n, size in zip(neighbour, mask.shape, strict=True))
            if not inside or not mask[tuple(neighbour)]:
                found.append(point)
                break
    return found


def brute_distances(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]) -> list[float]:
    targets = brute_surface(second)
    return [
        min(
            math.dist(
                [a * s for a, s in zip(p, spacing, strict=True)],
                [b * s for b, s in zip(q, spacing, strict=True)],
            )
            for q in targets
        )
        for p in brute_surface(first)
    ]


def brute_percentile(values: list[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low, high = math.floor(position), math.ceil(position)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def random_masks(dims: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = rng.random((2, *SHAPES[dims])) < rng.uniform(0.1, 0.9, size=(2,) + (1,) * dims)
    masks[:, (0,) * dims] = True  # never empty, and touching the border
    return masks[0], masks[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_hd95_and_surface_dice_equal_the_brute_force_twin(dims: int, seed: int, tolerance: float) -> None:
    first, second = random_masks(dims, seed)
    spacing = SPACINGS[dims]
    there, back = brute_distances(first, second, spacing), brute_distances(second, first, spacing)
    row = evaluate_case(first * 1, second * 1, spacing, {1: "a"}, tolerance)[0]
    assert row.hd95 == pytest.approx(max(brute_percentile(there, 0.95), brute_percentile(back, 0.95)))
    near = sum(d <= tolerance + 1e-9 for d in there + back)
    assert row.surface_dice == pytest.approx(near / len(there + back))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dims", [2, 3])
def test_agrees_with_monai(dims: int, seed: int) -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    first, second = random_masks(dims, seed + 100)
    hot = [torch.from_numpy(m)[None, None].float() for m in (first, second)]
    spacing = SPACINGS[dims]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd95 = compute_hausdorff_distance(*hot, include_background=True, percentile=95, spacing=spacing)
        surface = compute_surface_dice(*hot, [1.0], include_background=True, spacing=spacing)
    row = evaluate_case(first * 1, second * 1, spacing, {1: "a"})[0]
    assert row.hd95 == pytest.approx(hd95.item(), rel=1e-5)
    assert row.surface_dice == pytest.approx(surface.item(), rel=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_dice_and_volumes_by_counting(dims: int) -> None:
    first, second = random_masks(dims, 3)
    row = evaluate_case(first * 1, second * 1, SPACINGS[dims], {1: "a"})[0]
    pairs = list(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    both, p, r = (sum(map(bool, c)) for c in ([a and b for a, b in pairs], first.flat, second.flat))
    assert row.dice == pytest.approx(2 * both / (p + r))
    assert row.volume_error == pytest.approx((p - r) / r)
    voxel = math.prod(SPACINGS[dims]) / (1000 if dims == 3 else 1)
    assert (row.predicted_volume, row.reference_volume) == pytest.approx((p * voxel, r * voxel))


@pytest.mark.parametrize("dims", [2, 3])
def test_perfect_prediction(dims: int) -> None:
    mask = random_masks(dims, 5)[0] * 1
    row = evaluate_case(mask, mask, SPACINGS[dims], {1: "a"}, 0.0)[0]
    assert (row.dice, row.hd95, row.surface_dice, row.volume_error) == (1, 0, 1, 0)


def test_surface_metrics_are_symmetric_and_follow_axes() -> None:
    first, second = random_masks(3, 8)
    spacing = SPACINGS[3]
    row = evaluate_case(first * 1, second * 1, spacing, {1: "a"})[0]
    swapped = evaluate_case(second * 1, first * 1, spacing, {1: "a"})[0]
    turned = evaluate_case(first.T * 1, second.T * 1, spacing[::-1], {1: "a"})[0]
    for other in (swapped, turned):
        assert (other.dice, other.hd95, other.surface_dice) == pytest.approx(
            (row.dice, row.hd95, row.surface_dice)
        )


def test_distance_is_in_mm_along_the_right_axis() -> None:
    first, second = np.zeros((5, 5, 5), int), np.zeros((5, 5, 5), int)
    first[0, 2, 2], second[3, 2, 2] = 1, 1
    assert evaluate_case(first, second, (2.0, 1.0, 1.0), {1: "a"})[0].hd95 == 6.0
    assert evaluate_case(first, second, (1.0, 2.0, 1.0), {1: "a"})[0].hd95 == 3.0


@pytest.mark.parametrize("dims", [2, 3])
def test_empty_mask_rule(dims: int) -> None:
    shape, spacing = SHAPES[dims], SPACINGS[dims]
    empty, full = np.zeros(shape, int), np.zeros(shape, int)
    full[(1,) * dims] = 1
    diagonal = math.hypot(*(n * s for n, s in zip(shape, spacing, strict=True)))

    def metrics(p: np.ndarray, r: np.ndarray) -> tuple[float, ...]:
        row = evaluate_case(p, r, spacing, {1: "a"})[0]
        return row.dice, row.hd95, row.surface_dice, row.volume_error

    assert metrics(empty, full) == pytest.approx((0, diagonal, 0, -1))
    for predicted in (empty, full):  # says nothing of how the label is outlined
        assert all(math.isnan(value) for value in metrics(predicted, empty))


def test_a_false_positive_is_kept_where_the_reference_holds_no_voxel_of_the_label() -> None:
    prediction, reference = np.zeros((4, 4, 4), int), np.zeros((4, 4, 4), int)
    prediction[0, 0, :3], reference[2, 2, 2] = 1, 2
    absent, missed, union = evaluate_case(prediction, reference, (10, 10, 10), {1: "a", 2: "b"})
    assert absent.absent and absent.false_positive_volume == 3
    assert not missed.absent and missed.false_positive_volume is None and missed.dice == 0
    assert union.dice == 0
    written = absent.to_json()
    assert (written["dice"], written["hd95"], written["false_positive_volume"]) == (None, None, 3)
    assert json.loads(json.dumps(written, allow_nan=False)) == written


def test_dice_of_a_label_and_agreement_of_two_masks() -> None:
    empty, one = np.zeros(3, bool), np.array([True, False, False])
    assert math.isnan(evaluation.dice_score(one, empty)) and math.isnan(evaluation.dice_score(empty, empty))
    assert evaluation.dice_score(empty, one) == 0 and evaluation.dice_score(one, one) == 1
    assert evaluation.mask_agreement(empty, empty) == 1 and evaluation.mask_agreement(one, empty) == 0


def test_one_empty_is_never_better_than_any_overlap() -> None:
    far, near = np.zeros((6, 6), int), np.zeros((6, 6), int)
    far[0, 0], near[5, 5] = 1, 1
    worst = evaluate_case(far, near, (1, 1), {1: "a"})[0].hd95
    assert evaluate_case(far * 0, near, (1, 1), {1: "a"})[0].hd95 > worst


def test_a_mask_that_fills_the_image_has_its_surface_on_the_border() -> None:
    full = np.ones((5, 5), bool)
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    there, back = surface_distances(full, dot, (1.0, 1.0))
    assert len(there) == 16 and back.tolist() == [2.0]


def test_a_volume_of_one_slice_is_measured_like_its_picture() -> None:
    first, second = random_masks(2, 11)
    flat = evaluate_case(first * 1, second * 1, (0.7, 1.9), {1: "a"})[0]
    thick = evaluate_case(first[:, None] * 1, second[:, None] * 1, (0.7, 5.0, 1.9), {1: "a"})[0]
    assert (thick.hd95, thick.surface_dice) == (flat.hd95, flat.surface_dice)


def test_single_voxel_image() -> None:
    one = np.ones((1, 1), int)
    assert evaluate_case(one, one, (1, 1), {1: "a"})[0].hd95 == 0


def test_tolerance_holds_for_a_spacing_rounded_to_float32() -> None:
    first, second = np.zeros((4, 4), int), np.zeros((4, 4), int)
    first[1, 1], second[2, 1] = 1, 1
    spacing = (float(np.nextafter(np.float32(1), np.float32(2))), 1.0)
    assert evaluate_case(first, second, spacing, {1: "a"})[0].surface_dice == 1.0


def test_works_while_denormals_are_flushed_to_zero() -> None:
    code = (
        "import numpy as np, torch; from stampseg.evaluation.metrics import evaluate_case\n"
        "a = np.zeros((20, 20, 20), int); a[2:9, 3:9, 4:15] = 1\n"
        "torch.set_flush_denormal(True)\n"
        "print(evaluate_case(a, np.roll(a, 1, 0), (1, 1, 1), {1: 'a'})[0].hd95)"
    )
    # In a process of its own: the failure is the end of the process, not an exception.
    environment = {**os.environ, "PYTHONPATH": str(Path(evaluation.__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout) == (0, "1.0\n"), run.stderr


def test_union_row_only_with_several_classes_and_background_left_out() -> None:
    prediction = np.array([[0, 1, 1], [2, 2, 0]])
    reference = np.array([[0, 2, 2], [1, 1, 0]])
    rows = evaluate_case(prediction, reference, (1, 1), {0: "background", 1: "a", 2: "b"}, case="x")
    assert [(r.case, r.label, r.value) for r in rows] == [("x", "a", 1), ("x", "b", 2), ("x", "union", None)]
    assert [r.dice for r in rows] == [0, 0, 1]
    assert [r.label for r in evaluate_case(prediction, reference, (1, 1), {0: "background", 1: "a"})] == ["a"]


def test_the_union_counts_only_named_classes() -> None:
    prediction = np.array([[0, 1, 2, 9]])
    rows = evaluate_case(prediction, np.array([[0, 1, 2, 0]]), (1, 1), {1: "a", 2: "b"})
    assert rows[-1].dice == 1


def test_errors_name_case_found_and_expected() -> None:
    mask = np.zeros((4, 5), int)
    with pytest.raises(DataError, match=r"case c1: .*\(4, 5\).*\(5, 4\).*same grid"):
        evaluate_case(mask, mask.T, (1, 1), {1: "a"}, case="c1")
    with pytest.raises(DataError, match=r"spacing \(1, 1, 1\) does not fit an array of 2 axes"):
        evaluate_case(mask, mask, (1, 1, 1), {1: "a"})
    with pytest.raises(DataError, match="one positive size per axis"):
        evaluate_case(mask, mask, (1, 0), {1: "a"})
    with pytest.raises(ConfigError, match="`tolerance` -1: expected 0 or more"):
        evaluate_case(mask, mask, (1, 1), {1: "a"}, -1)
