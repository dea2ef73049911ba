"""Sliding windows in numpy: against MONAI's, slab by slab against all at once, in bounded memory."""

import itertools
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from scipy.ndimage import gaussian_filter, label

from stampseg.data.boxes import as_slices
from stampseg.data.inverse import Restorer, restore
from stampseg.data.plan import Plan
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.runtime.sliding import (
    segment_pieces,
    segment_windows,
    slide,
    softmax,
    walking_axis,
    window_starts,
    window_weight,
)


def plan(patch, convention="stampseg"):
    dims = len(patch)
    return Plan(
        spatial_dims=dims,
        in_channels=1,
        label_values=(0, 1, 2),
        label_names=("background", "one", "two"),
        orientation="RAS" if dims == 3 else None,
        spacing=(1.0,) * dims,
        crop="none",
        patch_size=patch,
        normalization="zscore",
        ct=None,
        strides=((2,) * dims,),
        convention=convention,
    )


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network_of(dims, classes=3):
    """A convolution with zero padding: what it gives depends on where the window's border is."""
    torch.manual_seed(dims)
    layer = (torch.nn.Conv2d if dims == 2 else torch.nn.Conv3d)(1, classes, 3, padding=1)
    return layer.requires_grad_(False)


def scorer_of(network):
    return lambda windows: network(torch.from_numpy(windows)).numpy()


# First voxels of the windows by (size of the image, size of the patch), of nnU-Net 2.8.1's
# compute_steps_for_sliding_window with steps of half a patch.
NNUNET_PLACES = {
    (40, 16): [0, 8, 16, 24],
    (33, 16): [0, 6, 11, 17],
    (40, 24): [0, 8, 16],
    (9, 8): [0, 1],
    (20, 8): [0, 4, 8, 12],
    (31, 8): [0, 4, 8, 12, 15, 19, 23],
    (30, 9): [0, 4, 8, 13, 17, 21],
    (17, 7): [0, 3, 7, 10],
    (17, 8): [0, 3, 6, 9],
    (40, 10): [0, 5, 10, 15, 20, 25, 30],
    (235, 64): [0, 28, 57, 86, 114, 142, 171],
    (300, 128): [0, 57, 115, 172],
    (512, 192): [0, 80, 160, 240, 320],
    (97, 96): [0, 1],
    (3, 1): [0, 1, 2],  # there 0, 0, 1, 2, 2: the same mean
}


def monai_scores(network, image, settings):
    """The oracle of our own convention: MONAI's sliding window."""
    return sliding_window_inference(
        torch.from_numpy(image)[None], settings.patch_size, 1, lambda x: torch.softmax(network(x), 1),
        mode="gaussian", overlap=0.5,
    )[0].numpy()  # fmt: skip


def nnunet_scores(network, image, settings):
    """The oracle of nnU-Net's: its places and its spot, everything in memory at once."""
    shape, patch = image.shape[1:], settings.patch_size
    pads = [(max(p - n, 0) // 2, -(-max(p - n, 0) // 2)) for n, p in zip(shape, patch, strict=True)]
    padded = np.pad(image, [(0, 0), *pads])
    spot = np.zeros(patch)
    spot[tuple(size // 2 for size in patch)] = 1
    spot = gaussian_filter(spot, [size / 8 for size in patch], mode="constant")
    spot = np.maximum(spot / spot.max(), spot[spot > 0].min() / spot.max()).astype(np.float32)
    places = [NNUNET_PLACES[n, p] if n > p else [0] for n, p in zip(shape, patch, strict=True)]
    total = weights = np.float32(0)
    for place in itertools.product(*places):
        window = (slice(None), *(slice(start, start + p) for start, p in zip(place, patch, strict=True)))
        scores = network(torch.from_numpy(padded[window])[None])[0].numpy()
        here, weight = (np.zeros((count, *padded.shape[1:]), np.float32) for count in (len(scores), 1))
        here[window], weight[window] = scores * spot, spot
        total, weights = total + here, weights + weight
    inside = (slice(None), *(slice(pad, pad + n) for (pad, _), n in zip(pads, shape, strict=True)))
    return (total / weights)[inside]


SHAPES = [
    ((40, 33), (16, 16)),
    ((16, 16), (16, 16)),
    ((7, 40), (16, 24)),
    ((5, 6, 7), (8, 8, 8)),
    ((9, 20, 31), (8, 8, 8)),
    ((30, 17, 8), (9, 7, 12)),
    ((17, 8, 40), (8, 8, 10)),
]


@pytest.mark.parametrize(("convention", "scores"), [("stampseg", monai_scores), ("nnunet", nnunet_scores)])
@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_scores_are_those_of_the_program_whose_convention_it_is(shape, patch, convention, scores):
    image, settings, network = noise(1, *shape), plan(patch, convention), network_of(len(shape))
    oracle = scores(network, image, settings)
    for axis, batch_size in itertools.product(range(len(shape)), (1, 3)):
        rows = list(slide(image, settings, scorer_of(network), axis, batch_size=batch_size))
        found = np.moveaxis(np.concatenate(rows, axis=1), 1, 1 + axis)
        np.testing.assert_allclose(found, oracle, atol=2e-5)


@pytest.mark.parametrize(("size", "window"), NNUNET_PLACES)
def test_windows_of_nnunets_convention_stand_where_its_own_do(size, window):
    (starts,) = window_starts(
        (size,), plan((window, 8), "nnunet").model_copy(update={"patch_size": (window,)})
    )
    assert starts == NNUNET_PLACES[size, window]


@pytest.mark.parametrize(
    ("size", "window", "expected"),
    [
        (235, 64, [0, 32, 64, 96, 128, 160, 171]),
        (300, 128, [0, 64, 128, 172]),
        (31, 9, [0, 4, 8, 12, 16, 20, 22]),
        (3, 1, [0, 1, 2]),
        (20, 32, [-6]),
    ],
)
def test_windows_of_our_own_convention_stay_where_they_were(size, window, expected):
    """Results of studies and exported files depend on them."""
    (starts,) = window_starts((size,), plan((window, 8)).model_copy(update={"patch_size": (window,)}))
    assert starts == expected


@given(st.integers(1, 90), st.integers(2, 40), st.sampled_from(["stampseg", "nnunet"]))
@settings(max_examples=200, deadline=None)
def test_every_voxel_lies_in_a_window_and_windows_overlap_by_half(size, window, convention):
    (starts,) = window_starts(
        (size,), plan((window, 8), convention).model_copy(update={"patch_size": (window,)})
    )
    assert len(set(starts)) == len(starts) and starts == sorted(starts)
    if size <= window:
        assert starts == [-((window - size) // 2)]
        return
    assert starts[0] == 0 and starts[-1] == size - window
    assert all(1 <= b - a <= max(math.ceil(window / 2), 1) for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("patch", [(16, 24), (8, 9, 12), (48, 64, 48)])
def test_weights_are_a_spot_in_the_middle(patch):
    for convention in ("stampseg", "nnunet"):
        weight = window_weight(patch, convention)
        assert weight.shape == patch and weight.dtype == np.float32
        assert weight.min() > 0 and 0.8 < weight.max() <= 1
        assert np.unravel_index(weight.argmax(), patch) in (
            tuple(n // 2 for n in patch), tuple((n - 1) // 2 for n in patch)
        )  # fmt: skip


def geometries():
    whole = ((0, 23), (0, 19), (0, 31))
    crop = ((2, 20), (3, 19), (0, 30))
    turned = ((1, -1), (2, 1), (0, -1))  # source axes (19, 31, 23) become (23, 19, 31), two flipped
    for box, low_pass, slices in itertools.product((whole, crop), (True, False), (None, 1)):
        size = tuple(stop - start for start, stop in box)
        for factor in ((1, 1, 1), (0.5, 1.7, 1), (1, 1, 1.3), (0.3, 1, 0.6), (2.1, 0.4, 1.2)):
            working = tuple(max(1, round(n * f)) for n, f in zip(size, factor, strict=True))
            if not (low_pass and slices is not None):
                yield Geometry((19, 31, 23), turned, box, working, low_pass, slices)


@pytest.mark.parametrize("geometry", list(geometries()))
def test_a_mask_made_in_pieces_is_the_mask_made_at_once(geometry):
    """Oracle: all scores interpolated at once, their argmax, pasted and turned back by hand."""
    scores = noise(3, *geometry.prepared_shape, seed=1)
    expected = restore(scores, geometry)
    for axis, pieces in itertools.product(range(3), (1, 4, 100)):
        restorer = Restorer(geometry, len(scores), axis)
        rows = np.moveaxis(scores, 1 + axis, 1)
        for part in np.array_split(rows, min(pieces, rows.shape[1]), axis=1):
            restorer.add(part)
        assert (restorer.mask == expected).mean() > 0.9999
    oriented = np.flip(expected, (0, 2)).transpose(2, 0, 1)
    inside = np.zeros(geometry.oriented_shape, bool)
    inside[as_slices(geometry.box)] = True
    assert not oriented[~inside].any()
    if geometry.prepared_shape == geometry.box_shape:
        assert np.array_equal(oriented[as_slices(geometry.box)], scores.argmax(0))


@pytest.mark.parametrize(("axes", "count"), [(None, 8), ((0, 1), 4), ((2,), 2), ((), 1)])
def test_mirrored_views_are_averaged(axes, count):
    """Oracle: the eight flips, one by one, or those along which a network was mirrored in training."""
    image, network = noise(1, 12, 10, 14), network_of(3)
    settings = plan((8, 8, 8)).model_copy(update={"mirror_axes": axes})
    found = np.concatenate(list(slide(image, settings, scorer_of(network), 0, mirror=True)), axis=1)
    flipped = range(2, 5) if axes is None else [2 + axis for axis in axes]
    views = [v for n in range(4) for v in itertools.combinations(flipped, n)]
    assert len(views) == count

    class Mean(torch.nn.Module):
        def forward(self, x):
            return sum(torch.softmax(network(x.flip(v)), 1).flip(v) for v in views) / len(views)

    oracle = sliding_window_inference(torch.from_numpy(image)[None], (8, 8, 8), 1, Mean(), 0.5, "gaussian")
    np.testing.assert_allclose(found, oracle[0].numpy(), atol=2e-5)


def test_the_longest_axis_in_windows_is_walked():
    assert walking_axis((512, 512, 600), (64, 64, 64)) == 2
    assert walking_axis((512, 512, 100), (128, 128, 16)) == 2
    assert walking_axis((10, 40), (64, 32)) == 1


def test_rows_of_another_image():
    restorer = Restorer(Geometry.working((9, 8, 7)), 2)
    with pytest.raises(ValueError, match=r"scores have \(8, 6\) voxels across the rows, .* had \(8, 7\)"):
        restorer.add(np.zeros((2, 3, 8, 6), np.float32))


def peak_of(shape, spacing_factor):
    """Bytes that a prediction takes beyond its image and its mask, most at one time."""
    image = np.zeros((1, *shape), np.float32)
    working = Geometry.working(shape)
    size = tuple(round(n * f) for n, f in zip(shape, spacing_factor, strict=True))
    geometry = replace(working, source_shape=size, box=tuple((0, n) for n in size))
    prepared = Prepared(image, None, geometry)
    window_weight((16, 16, 16), "stampseg")
    tracemalloc.start()
    mask = segment_windows(
        prepared, plan((16, 16, 16)), lambda x: np.zeros((len(x), 5, *x.shape[2:]), np.float32)
    )
    peak = tracemalloc.get_traced_memory()[1] - mask.nbytes
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("factor", [(1, 1, 1), (1.5, 1.5, 1.5)])
def test_memory_does_not_grow_with_the_length_of_the_volume(factor):
    short, long = peak_of((48, 48, 64), factor), peak_of((48, 48, 512), factor)
    assert long < 1.2 * short + 2**20
    assert short < 5 * 48 * 48 * 64 * 4 * 3  # far from one float volume per class and step


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_softmax_is_torchs(classes):
    logits = 60 * noise(2, classes, 5, 6)
    np.testing.assert_allclose(softmax(logits), torch.softmax(torch.from_numpy(logits), 1), atol=1e-6)


def test_a_mask_of_one_piece_is_the_surest_piece_of_the_whole_mask():
    image, network = noise(1, 20, 18, seed=3), network_of(2)
    whole = plan((8, 8))
    prepared = Prepared(image, None, Geometry.working((20, 18)))
    mask = segment_windows(prepared, whole, scorer_of(network))
    one, dropped = segment_pieces(prepared, whole.model_copy(update={"one_piece": (2,)}), scorer_of(network))
    probabilities = np.concatenate(list(slide(image, whole, scorer_of(network), 0)), axis=1)
    found, count = label(mask == 2, np.ones((3, 3)))
    sums = [(probabilities[2] - probabilities[0])[found == n].sum() for n in range(1, count + 1)]
    assert dropped == count - 1 > 0
    assert np.array_equal(one == 2, found == 1 + np.argmax(sums))
    assert np.array_equal(one == 1, mask == 1)
