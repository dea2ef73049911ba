"""Resampling by weighted rows: against torch and SciPy, at any sizes, in any pieces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from stampseg.data.resampling import apply_map, linear_map, low_pass_map, nearest_map, resample
from stampseg.data.spline import resample_spline, spline_map

SIZES = st.integers(1, 70)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def torch_resample(image, shape):
    """The oracle: torch's interpolation with low-pass, one axis after the other."""
    tensor = torch.from_numpy(image)
    for axis, size in enumerate(shape, start=1):
        last = tensor.movedim(axis, -1)
        rows = last.reshape(1, 1, -1, last.shape[-1])
        rows = torch.nn.functional.interpolate(
            rows, size=(rows.shape[2], size), mode="bilinear", antialias=True
        )
        tensor = rows.reshape(*last.shape[:-1], size).movedim(-1, axis)
    return tensor.numpy()


@given(SIZES, SIZES)
@settings(max_examples=150, deadline=None)
def test_one_axis_is_torchs(size, new):
    image = noise(1, 3, size)
    np.testing.assert_allclose(resample(image, (3, new)), torch_resample(image, (3, new)), atol=2e-5)


@pytest.mark.parametrize(
    ("shape", "new"),
    [((30, 21, 17), (15, 40, 17)), ((5, 64, 9), (11, 7, 9)), ((1, 1, 8), (3, 1, 20)), ((40, 50), (13, 99))],
)
def test_images_are_torchs_in_any_memory_layout(shape, new):
    turned = noise(*shape[::-1], 2).transpose()  # as files lie in memory
    for image in (noise(2, *shape), np.asfortranarray(noise(2, *shape)), turned):
        found = resample(image, new)
        assert found.flags["C_CONTIGUOUS"] and found.dtype == np.float32
        oracle = torch_resample(np.ascontiguousarray(image), new)
        np.testing.assert_allclose(found, oracle, atol=2e-5)


@given(SIZES, SIZES, st.sampled_from([low_pass_map, linear_map, nearest_map, spline_map]))
@settings(max_examples=150, deadline=None)
def test_weights_of_a_row_add_up_and_rows_come_in_order(size, new, make):
    rows = make(size, new)
    np.testing.assert_allclose(rows.weights.sum(1), 1, atol=1e-5)
    assert len(rows) == new and (np.diff(rows.first) >= 0).all() and (np.diff(rows.last) >= 0).all()
    assert (rows.first >= 0).all() and (rows.last <= size).all() and (rows.first < rows.last).all()
    assert rows.ready(size) == new and rows.ready(0) == 0
    constant = np.full((2, size, 3), 7, np.float32)
    np.testing.assert_allclose(apply_map(constant, rows, 1), 7, atol=1e-4)


@given(SIZES, SIZES, st.sampled_from([low_pass_map, linear_map, nearest_map, spline_map]), st.data())
@settings(max_examples=100, deadline=None)
def test_a_part_of_the_rows_is_made_from_what_it_needs(size, new, make, data):
    rows, image = make(size, new), noise(2, size, 3)
    start = data.draw(st.integers(0, new - 1))
    stop = data.draw(st.integers(start + 1, new))
    low, high = rows.needs(start, stop)
    part = apply_map(image[:, low:high], rows.part(start, stop), 1)
    np.testing.assert_allclose(part, apply_map(image, rows, 1)[:, start:stop], atol=1e-5)
    ready = rows.ready(high)
    assert ready >= stop or rows.last[stop - 1] > high


@given(SIZES, st.integers(2, 70), st.sampled_from([1, 3]))
@settings(max_examples=100, deadline=None)
def test_splines_are_scipys(size, new, order):
    if new == size:
        return
    image = noise(1, 4, size)
    oracle = zoom(image[0].astype(np.float64), (1, new / size), order=order, mode="nearest", grid_mode=True)
    oracle = np.clip(oracle, image.min(), image.max())
    np.testing.assert_allclose(resample_spline(image, (4, new), None, order)[0], oracle, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "new"), [((20, 30, 12), (31, 22, 25)), ((20, 30, 5), (31, 22, 9)), ((9, 40), (30, 11))]
)
def test_a_cubic_spline_in_all_axes_is_scipys(shape, new):
    image = noise(2, *shape)
    factors = [n / s for n, s in zip(new, shape, strict=True)]
    for found, channel in zip(resample_spline(image, new, None), image.astype(np.float64), strict=True):
        oracle = zoom(channel, factors, order=3, mode="nearest", grid_mode=True)
        np.testing.assert_allclose(found, np.clip(oracle, channel.min(), channel.max()), atol=1e-5)


def test_within_thick_slices_each_is_a_picture_of_its_own():
    image = noise(1, 6, 20, 24)
    image[0, 3] *= 50
    found = resample_spline(image, (6, 31, 17), 0)
    for plane, source in zip(found[0], image[0], strict=True):
        alone = resample_spline(source[None], (31, 17), None)[0]
        np.testing.assert_allclose(plane, alone, atol=1e-4)
        assert plane.min() >= source.min() and plane.max() <= source.max()
