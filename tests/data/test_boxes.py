"""Boxes around what is not zero, and windows, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from stampseg.data.boxes import as_slices, cut_window, filled_box, nonzero_box


@pytest.mark.parametrize("seed", range(8))
def test_the_box_holds_every_filled_voxel_and_no_smaller_one_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 5, 6)[: 2 + seed % 2]) > 0.9
    mask.flat[0] = False
    mask[tuple(size // 2 for size in mask.shape)] = True
    places = np.argwhere(mask)
    box = filled_box(mask)
    assert box == tuple(zip(places.min(axis=0), places.max(axis=0) + 1, strict=True))
    assert mask[as_slices(box)].sum() == mask.sum()


def test_any_channel_fills_a_voxel_and_an_empty_image_is_kept_whole() -> None:
    image = np.zeros((2, 6, 7))
    image[0, 2, 3] = image[1, 4, 5] = -1
    assert nonzero_box(image) == ((2, 5), (3, 6))
    assert nonzero_box(np.zeros((1, 6, 7))) == ((0, 6), (0, 7))


@pytest.mark.parametrize("start", [(0, 0, 0), (2, 1, 0), (-2, -1, -1), (4, 4, 6), (-1, 2, 5)])
@pytest.mark.parametrize("size", [(3, 2, 2), (9, 9, 9)])
def test_a_window_is_the_padded_image_at_its_place(start: tuple[int, ...], size: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).normal(size=(2, 6, 5, 7)).astype(np.float32)
    pad = 12
    padded = np.pad(image, ((0, 0), *((pad, pad),) * 3))
    expected = padded[(slice(None), *(slice(s + pad, s + pad + n) for s, n in zip(start, size, strict=True)))]
    np.testing.assert_array_equal(cut_window(image, start, size), expected)
