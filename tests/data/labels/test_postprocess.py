"""Laws of post-processing: physical sizes, any turn, nothing else touched."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from stampseg.data.labels.postprocess import (
    LabelSteps,
    Postprocessing,
    check_steps,
    postprocessed,
    steps_in_words,
)

ALL = (LabelSteps(label=1, fill_holes=True, least=6.0), LabelSteps(label=2, fill_holes=True, largest=True))


def blobs(shape: tuple[int, ...] = (14, 12, 10)) -> np.ndarray:
    """Random classes 0, 1, 2 in pieces with holes."""
    noise = np.random.default_rng(3).normal(size=shape)
    for axis in range(noise.ndim):
        noise = noise + np.roll(noise, 1, axis)
    return np.digitize(noise, (0.4, 1.6)).astype(np.uint8)


def slowly(classes: np.ndarray, steps: Postprocessing, spacing: tuple[float, ...]) -> np.ndarray:
    """The same by walking from voxel to voxel."""
    result = classes.copy()
    for each in steps:
        if each.fill_holes:
            for piece in pieces(result != each.label, faces=True):
                at_border = any(p in (0, n - 1) for v in piece for p, n in zip(v, classes.shape, strict=True))
                for voxel in () if at_border else piece:
                    result[voxel] = each.label if result[voxel] == 0 else result[voxel]
        found = pieces(result == each.label, faces=False)
        most = max(map(len, found), default=0)
        for piece in found:
            small = len(piece) * np.prod(spacing) < each.least - 1e-9
            if small or (each.largest and len(piece) < most):
                for voxel in piece:
                    result[voxel] = 0
    return result


def pieces(mask: np.ndarray, faces: bool) -> list[list[tuple[int, ...]]]:
    steps = [
        s for s in product((-1, 0, 1), repeat=mask.ndim) if any(s) and (not faces or sum(map(abs, s)) == 1)
    ]
    left, found = {tuple(map(int, v)) for v in np.argwhere(mask)}, []
    while left:
        piece = [left.pop()]
        for voxel in piece:
            for step in steps:
                other = tuple(a + b for a, b in zip(voxel, step, strict=True))
                if other in left:
                    left.remove(other)
                    piece.append(other)
        found.append(piece)
    return found


@pytest.mark.parametrize("shape", [(14, 12, 10), (24, 20), (12, 11, 1)])
def test_it_does_what_a_slow_twin_does(shape: tuple[int, ...]) -> None:
    classes, spacing = blobs(shape), (1.0, 0.5, 2.0)[: len(shape)]
    if shape[-1] == 1:  # one slice: what it encloses is enclosed in the plane
        expected = slowly(classes[..., 0], ALL, (1.0, 1.0))[..., None]
    else:
        expected = slowly(classes, ALL, spacing)
    found = postprocessed(classes, ALL, spacing)
    assert (found != classes).any()
    np.testing.assert_array_equal(found, expected)


def test_a_turned_scan_is_treated_alike() -> None:
    classes, spacing = blobs(), (1.0, 0.5, 2.0)
    straight = postprocessed(classes, ALL, spacing)
    for order in permutations(range(3)):
        for axis in range(3):
            turned = np.flip(classes.transpose(order), axis)
            found = postprocessed(turned, ALL, tuple(spacing[a] for a in order))
            np.testing.assert_array_equal(found, np.flip(straight.transpose(order), axis))


def test_sizes_are_physical() -> None:
    classes = blobs((24, 20))
    fine = classes.repeat(2, 0).repeat(3, 1)
    steps = (LabelSteps(label=1, least=7.0),)
    coarse = postprocessed(classes, steps, (1.2, 0.9))
    assert (coarse != classes).sum() > 0
    np.testing.assert_array_equal(postprocessed(fine, steps, (0.6, 0.3)), coarse.repeat(2, 0).repeat(3, 1))
    # the same voxels, larger: nothing is small any more
    np.testing.assert_array_equal(postprocessed(classes, steps, (3.0, 3.0)), classes)


def test_twice_is_once_and_the_mask_stays_as_it_was() -> None:
    classes = blobs()
    before = classes.copy()
    once = postprocessed(classes, ALL, (1, 1, 1))
    np.testing.assert_array_equal(postprocessed(once, ALL, (1, 1, 1)), once)
    np.testing.assert_array_equal(classes, before)
    assert postprocessed(classes, (), (1, 1, 1)) is classes


def test_equal_pieces_both_stay_and_holes_keep_other_labels() -> None:
    classes = np.zeros((9, 9), np.uint8)
    classes[1, 1], classes[7, 7] = 1, 1
    np.testing.assert_array_equal(
        postprocessed(classes, (LabelSteps(label=1, largest=True),), (1, 1)), classes
    )
    classes[2:7, 2:7] = 1
    classes[4, 3:6] = (0, 2, 0)
    filled = postprocessed(classes, (LabelSteps(label=1, fill_holes=True),), (1, 1))
    assert filled[4, 3:6].tolist() == [1, 2, 1]


def test_words_and_what_cannot_be() -> None:
    steps = (LabelSteps(label=1, fill_holes=True, least=12.34), LabelSteps(label=2, largest=True))
    words = steps_in_words(steps, ("background", "liver", "tumour"), "mm³")
    assert words == "liver: holes filled, pieces below 12.3 mm³ dropped; tumour: largest piece kept"
    check_steps(steps, 3)
    check_steps((), 0)  # of a model without a plan
    for wrong, classes in ((steps, 2), ((*steps, steps[0]), 3)):
        with pytest.raises(ValueError, match=rf"expected each once, below {classes}"):
            check_steps(wrong, classes)
