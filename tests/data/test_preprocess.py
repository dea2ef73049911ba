"""Preparing a case and the way back: flips, crops and spacing leave no trace on the source grid."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from stampseg.core.errors import DataError
from stampseg.data.intensities import normalise
from stampseg.data.inverse import restore
from stampseg.data.io.readers import read_image, read_label
from stampseg.data.io.volume import Header, Volume
from stampseg.data.plan import Intensity, Plan
from stampseg.data.preprocess import Geometry, prepare, resample_classes, working_shape
from stampseg.data.resampling import resample

DATA = Path(os.environ.get("STAMPSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def plan(dims=3, **changes):
    values = {
        "spatial_dims": dims,
        "in_channels": 1,
        "label_values": (0, 1, 2),
        "label_names": ("background", "one", "two"),
        "orientation": "RAS" if dims == 3 else None,
        "spacing": (1.0,) * dims,
        "crop": "none",
        "patch_size": (16,) * dims,
        "normalization": "zscore",
        "ct": None,
        "strides": ((2,) * dims,),
    }
    return Plan(**{**values, **changes})


def volume(array, affine=None, spacing=None, path="scan.nii.gz"):
    shape = array.shape[1:]
    if len(shape) == 3:
        affine = np.eye(4) if affine is None else affine
        spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    header = Header(
        shape, spacing or (1.0, 1.0), affine, array.shape[0], "float32", Path(path), len(shape) == 2
    )
    return Volume(array.astype(np.float32), header)


def label_of(image, classes):
    return Volume(classes, replace(image.header, channels=1, path=Path("mask.nii.gz")))


def one_hot(classes, count=3):
    return np.moveaxis(np.eye(count, dtype=np.float32)[classes], -1, 0)


def scene(seed=0, shape=(9, 12, 15)):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(1, *shape)) + np.arange(np.prod(shape)).reshape(shape) / 50
    return image, rng.integers(0, 3, shape).astype(np.uint8)


ORIENTATIONS = [
    "".join(axes)
    for kinds in itertools.permutations(("RL", "AP", "SI"))
    for axes in itertools.product(*kinds)
]


def turned(image, affine, codes):
    """The same scan, stored along other axes."""
    change = axcodes2ornt(tuple(codes))
    back = np.stack([np.argsort(change[:, 0]), change[np.argsort(change[:, 0]).astype(int), 1]], axis=1)
    array = np.stack([apply_orientation(channel, back) for channel in image])
    return array, affine @ inv_ornt_aff(back, image.shape[1:])


# --- laws ---


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_file_stored_along_other_axes_gives_the_same_mask(codes):
    image, _ = scene()
    affine = np.diag([0.8, 1.0, 2.5, 1.0])
    affine[:3, 3] = (-12, 7, 3)
    affine[0, 1] = 0.1  # a little oblique
    array, own = turned(image, affine, codes)
    assert "".join(aff2axcodes(own)) == codes
    straight = prepare(volume(image, affine), plan(spacing=(1.0, 1.0, 1.5)))
    other = prepare(volume(array, own), plan(spacing=(1.0, 1.0, 1.5)))
    assert np.array_equal(straight.image, other.image)
    scores = np.stack([straight.image[0], -straight.image[0], 0.5 + 0 * straight.image[0]])
    mask = restore(scores, straight.geometry)
    mask_other = restore(scores, other.geometry)
    assert mask_other.shape == array.shape[1:]
    assert np.array_equal(turned(mask[None], affine, codes)[0][0], mask_other)


@pytest.mark.parametrize("crop", ["none", "nonzero"])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "IAL"])
def test_there_and_back_is_the_identity_at_unchanged_spacing(codes, crop):
    image, classes = scene(1)
    classes[:2] = 0
    image[:, :2] = 0
    array, affine = turned(image, np.eye(4), codes)
    stored = turned(classes[None], np.eye(4), codes)[0][0]
    source = volume(array, affine)
    prepared = prepare(source, plan(crop=crop), label_of(source, stored))
    assert prepared.image.shape[1:] == ((7, 12, 15) if crop == "nonzero" else (9, 12, 15))
    assert np.array_equal(restore(one_hot(prepared.label[0]), prepared.geometry), stored)


def test_pictures_go_there_and_back():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 3, (21, 34)).astype(np.uint8)
    source = volume(rng.normal(size=(3, 21, 34)))
    prepared = prepare(source, plan(2, in_channels=3), label_of(source, classes))
    assert prepared.image.shape == (3, 21, 34)
    assert np.array_equal(restore(one_hot(prepared.label[0]), prepared.geometry), classes)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.5, 0.7, 1.3), (1.0, 3.0, 1.0)])
def test_a_smooth_object_survives_another_spacing_in_place(spacing):
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (40, 44, 48)], indexing="ij"))
    ball = (np.sqrt(((grid - np.array([18, 22, 25])[:, None, None, None]) ** 2).sum(0)) < 14).astype(np.uint8)
    source = volume(ball[None].astype(float))
    prepared = prepare(source, plan(spacing=spacing), label_of(source, ball))
    back = restore(one_hot(prepared.label[0]), prepared.geometry)
    assert 2 * (back & ball).sum() / (back.sum() + ball.sum()) > 0.95
    for axis in range(3):  # no shift
        centres = [np.average(grid[axis], weights=mask) for mask in (back, ball)]
        assert centres[0] == pytest.approx(centres[1], abs=0.1)


def test_resampling_keeps_a_ramp_and_its_mean():
    ramp = np.broadcast_to(np.arange(24.0), (1, 6, 10, 24))
    half = resample(ramp, (6, 10, 12))
    assert np.allclose(half[0, 0, 0, 2:-2], np.arange(0.5, 24, 2)[2:-2], atol=1e-4)
    noise = np.random.default_rng(0).random((1, 32, 32, 32), dtype=np.float32)
    small = resample(noise, (8, 8, 8))
    assert small.mean().item() == pytest.approx(noise.mean().item(), abs=0.01)
    assert small.std() < 0.2 * noise.std()  # averaged, not picked
    assert resample(noise, (32, 32, 32)) is noise


def test_resampling_in_two_dimensions_is_torch_interpolation():
    image = torch.rand(2, 17, 23, generator=torch.Generator().manual_seed(1))
    for size in ((9, 40), (30, 11)):
        oracle = torch.nn.functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
        assert np.allclose(resample(image.numpy(), size), oracle, atol=1e-5)


def test_classes_go_to_the_largest_share_and_stay_classes():
    classes = np.zeros((16, 16), dtype=np.uint8)
    classes[:, 8:] = 5
    small = resample_classes(classes, (8, 8))
    assert small.dtype == np.uint8
    assert np.array_equal(small, classes[::2, ::2])


def test_scores_are_resampled_before_the_choice():
    """Oracle: interpolate all classes, then argmax."""
    scores = torch.rand(4, 5, 6, 7, generator=torch.Generator().manual_seed(3))
    geometry = Geometry((10, 9, 8), ((0, 1), (1, 1), (2, 1)), ((0, 10), (0, 9), (0, 8)), (5, 6, 7))
    oracle = torch.nn.functional.interpolate(scores[None], (10, 9, 8), mode="trilinear")[0].argmax(0)
    assert (restore(scores.numpy(), geometry) == oracle.numpy()).mean() > 0.999


TURNS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("axes", TURNS)
@pytest.mark.parametrize(
    ("orientation", "codes"), [("file", "PSR"), ("RAS", "LAS"), ("LPS", "IRP"), ("SAR", "RAS")]
)
def test_any_planned_axes_go_there_and_back(axes, orientation, codes):
    image, classes = scene(4)
    classes[:2] = 0
    image[:, :2] = 0
    array, affine = turned(image, np.diag([0.8, 1.0, 2.5, 1.0]), codes)
    stored = turned(classes[None], np.eye(4), codes)[0][0]
    sizes = {"R": 0.8, "L": 0.8, "A": 1.0, "P": 1.0, "S": 2.5, "I": 2.5}
    along = [sizes[letter] for letter in (codes if orientation == "file" else orientation)]
    settings = plan(
        orientation=orientation, axes=axes, crop="nonzero", spacing=tuple(along[axis] for axis in axes)
    )
    prepared = prepare(volume(array, affine), settings, label_of(volume(array, affine), stored))
    assert np.array_equal(restore(one_hot(prepared.label[0]), prepared.geometry), stored)
    # The oracle: nibabel turns the whole file, numpy orders its axes.
    straight = array[0]
    if orientation != "file":
        change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(orientation)))
        straight = apply_orientation(straight, change)
    straight = straight.transpose(axes)
    straight = straight[np.ix_(*((straight != 0).any(tuple({0, 1, 2} - {a})) for a in range(3)))]
    expected = normalise(straight[None].astype(np.float32), settings)
    assert np.array_equal(prepared.image, expected)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (0.6, 1.3, 0.9), (0.9, 4.0, 1.1)])
def test_nnunets_convention_keeps_an_object_in_place(spacing):
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (40, 44, 48)], indexing="ij"))
    ball = (np.sqrt(((grid - np.array([18, 22, 25])[:, None, None, None]) ** 2).sum(0)) < 14).astype(np.uint8)
    settings = plan(spacing=spacing, axes=(2, 1, 0), orientation="file", convention="nnunet")
    prepared = prepare(volume(ball[None].astype(float)), settings, label_of(volume(ball[None]), ball))
    assert prepared.image.shape[1:] == tuple(
        round(n / s) for n, s in zip(ball.shape[::-1], spacing, strict=True)
    )
    back = restore(one_hot(prepared.label[0]), prepared.geometry)
    assert 2 * (back & ball).sum() / (back.sum() + ball.sum()) > 0.9


def test_normalisations_by_mean_and_deviation():
    rng = np.random.default_rng(0)
    image = rng.normal(50, 20, (2, 8, 9, 10)).astype(np.float32)
    image[:, :2] = 0
    image[:, 5, 5, 5] = 0  # a hole: inside the filled mask, outside the voxels that are not 0
    image[1, 4] = 0
    inside = np.zeros((8, 9, 10), bool)
    inside[2:] = True

    def standard(values, mask):
        return np.where(mask, (values - values[mask].mean()) / values[mask].std(), values)

    everywhere = np.ones_like(inside)
    for scheme, masks in (
        ("mean-std", (everywhere, everywhere)),
        ("mean-std-mask", (inside, inside)),
        ("mean-std-nonzero", (image[0] != 0, image[1] != 0)),
    ):
        found = normalise(image, plan(in_channels=2, normalization=scheme))
        expected = np.stack([standard(v, m) for v, m in zip(image, masks, strict=True)])
        assert np.allclose(found, expected, atol=1e-4), scheme
    scaled = normalise(image, plan(in_channels=2, normalization=("min-max", "mean-std")))
    assert (scaled[0].min(), scaled[0].max()) == (0, 1)
    assert scaled[1].std() == pytest.approx(1, abs=1e-4)
    assert np.isfinite(normalise(np.zeros((1, 4, 4, 4)), plan(normalization="mean-std-mask"))).all()


def test_a_hole_of_a_picture_is_not_filled():
    """nnU-Net fills it as a slice of a volume, of which every pixel lies at the outside."""
    image = np.random.default_rng(0).normal(50, 20, (1, 12, 12)).astype(np.float32)
    image[0, 5:7, 5:7] = 0
    found = normalise(image, plan(2, normalization="mean-std-mask"))[0]
    seen = image[0] != 0
    assert not found[~seen].any() and abs(found[seen].mean()) < 1e-4


def test_a_window_may_turn_dark_into_bright():
    window = Intensity(low=0, high=255, mean=255, std=-255)
    found = normalise(
        np.array([[[0.0, 51, 255, 300]]], np.float32), plan(2, normalization="ct", ct=(window,))
    )
    assert found[0, 0].tolist() == pytest.approx([1, 0.8, 0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": (0, 1, 1)}, "no order of 3 axes"),
        ({"mirror_axes": (0, 3)}, "not some of 3 axes"),
        ({"mirror_axes": (1, 1)}, "not some of 3 axes"),
        ({"orientation": "RAA"}, "three axis codes"),
        ({"orientation": "RAX"}, "three axis codes"),
        ({"normalization": ("mean-std", "ct")}, r"2 normalizations for 1 channel"),
        ({"normalization": "ct"}, "channel 0 is normalised by a window"),
    ],
)
def test_plans_that_contradict_themselves(changes, message):
    with pytest.raises(ValidationError, match=message):
        plan(**changes)


def test_units_of_volumes_and_pictures():
    slices = plan(2, orientation="RAS")
    assert [(each.unit, each.size_unit) for each in (plan(3), slices, plan(2))] == [
        ("mm", "mm³"), ("mm", "mm²"), ("px", "px"),
    ]  # fmt: skip


def test_plans_of_older_files_are_read():
    old = {name: value for name, value in plan().model_dump().items() if name not in ("axes", "convention")}
    assert Plan.model_validate(old) == plan()


# --- details ---


def test_sizes_within_a_hundredth_are_not_resampled():
    assert working_shape((256, 256), (1.005, 1.0), (1.0, 1.0)) == (256, 256)
    assert working_shape((256, 256), (2.0, 0.5), (1.0, 1.0)) == (512, 128)
    assert working_shape((3, 1), (0.1, 0.1), (1.0, 1.0)) == (1, 1)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [("stampseg", (512, 16, 8)), ("nnunet", (509, 16, 8))],  # 509: of nnU-Net's compute_new_shape
)
def test_nnunets_convention_resamples_what_is_almost_of_the_planned_size(convention, expected):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 512, 16, 8)).astype(np.float32)
    scan = volume(image, np.diag([0.7754, 0.78, 3.0, 1.0]))
    settings = plan(spacing=(0.78, 0.78, 3.0), orientation="file", convention=convention)
    settings = settings.model_copy(update={"normalization": "mean-std"})
    prepared = prepare(scan, settings)
    assert prepared.geometry.prepared_shape == prepared.image.shape[1:] == expected
    straight = normalise(image, settings)
    if convention == "nnunet":  # each row through a spline of its own, the slices untouched
        places = (np.arange(509) + 0.5) * 512 / 509 - 0.5
        row = map_coordinates(straight[0, :, 3, 5], places[None], order=3, mode="nearest")
        inside = np.clip(row, straight[0, :, :, 5].min(), straight[0, :, :, 5].max())
        assert np.allclose(prepared.image[0, :, 3, 5], inside, atol=1e-4)
    else:
        assert np.array_equal(prepared.image, straight)
    classes = np.zeros((512, 16, 8), np.uint8)
    classes[100:300, 4:12, 2:6] = 1
    label = prepare(scan, settings, label_of(scan, classes)).label
    assert label.shape[1:] == expected
    back = restore(one_hot(label[0]), prepared.geometry)
    assert back.shape == classes.shape and (back != classes).sum() <= 2 * 8 * 4  # single faces


def test_zscore_keeps_a_few_bright_spots_that_are_all_there_is():
    """Both percentiles are those of the dark around them."""
    image = np.zeros((1, 64, 64), np.float32)
    image[0, 10:12, 10:14] = 200
    found = normalise(image, plan(2))
    assert np.ptp(found) > 0 and found[0, 10, 10] == found.max() and found.std() == pytest.approx(1, rel=0.05)


def test_zscore_ignores_spikes_and_constant_images():
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (1, 30, 30, 30)).astype(np.float32)
    clean = normalise(image, plan())
    assert abs(clean.mean()) < 0.01
    assert clean.std() == pytest.approx(1, abs=0.05)
    spiked = image.copy()
    spiked[0, 0, 0, :20] = 1.7e6
    assert np.abs(normalise(spiked, plan())[0, 1:] - clean[0, 1:]).max() < 0.05
    assert normalise(spiked, plan()).max() < 12
    assert not normalise(np.full((1, 4, 4), 7.0, np.float32), plan(2)).any()


def test_ct_window():
    window = Intensity(low=-10, high=190, mean=90, std=50)
    ct = plan(normalization="ct", ct=(window,))
    values = np.array([-1000.0, -10, 90, 140, 3000], np.float32).reshape(1, 5, 1, 1)
    assert normalise(values, ct).ravel() == pytest.approx([-2, -2, 0, 1, 2])


def test_one_case_prepared_twice_is_the_same():
    image, classes = scene(4)
    source = volume(image)
    first, second = (
        prepare(source, plan(spacing=(1.3, 1.3, 1.3)), label_of(source, classes)) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.label, second.label)


# --- errors ---


def test_a_picture_does_not_fit_a_plan_for_volumes():
    with pytest.raises(DataError, match=r"scan\.nii\.gz: 2 spatial axes \(5, 6\), expected 3; use volumes"):
        prepare(volume(np.zeros((1, 5, 6))), plan())


def test_a_lone_slice_does_not_fit_a_plan_for_pictures():
    message = r"3 spatial axes \(5, 6, 1\), expected 2; a slice that lies in space counts as a volume; save"
    with pytest.raises(DataError, match=message):
        prepare(volume(np.zeros((1, 5, 6, 1))), plan(2))


def test_channels_that_differ_from_the_plan():
    with pytest.raises(DataError, match=r"scan\.nii\.gz: 2 channels, expected 1; give the channels"):
        prepare(volume(np.zeros((2, 5, 6, 7))), plan())


def test_a_label_on_another_grid_or_of_unknown_values():
    image, classes = scene()
    source = volume(image)
    with pytest.raises(DataError, match=r"mask\.nii\.gz: label of shape 9 x 12 x 14"):
        other = volume(image[..., :-1])
        prepare(source, plan(), label_of(other, classes[..., :-1]))
    moved = np.eye(4)
    moved[0, 3] = 40
    with pytest.raises(DataError, match=r"mask\.nii\.gz: the label's affine puts it 40 voxels away"):
        prepare(source, plan(), label_of(volume(image, moved), classes))
    with pytest.raises(DataError, match=r"mask\.nii\.gz: label value 5, 6, 7"):
        prepare(source, plan(), label_of(source, classes + 5))


def test_a_voxel_size_that_would_fill_all_memory():
    image = volume(scene()[0], np.diag([900.0, 900, 900, 1]))
    with pytest.raises(
        DataError, match=r"voxels of 900 x 900 x 900 brought to the model's 1 x 1 x 1 make 8100 x"
    ):
        prepare(image, plan())


def test_scores_of_another_image():
    prepared = prepare(volume(scene()[0]), plan())
    with pytest.raises(
        ValueError, match=r"scores have spatial shape \(4, 4, 4\), the prepared image had \(9, 12, 15\)"
    ):
        restore(np.zeros((2, 4, 4, 4)), prepared.geometry)


# --- real files ---

REAL = [
    ("hippocampus_mri/imagesTr/hippocampus_052.nii.gz", "hippocampus_mri/labelsTr/hippocampus_052.nii.gz"),
    ("liver_ct/ct_half_inplane.nii.gz", "liver_ct/liver_half_inplane.nii.gz"),
    ("spinal_cord_mri/t2/t2.nii.gz", "spinal_cord_mri/t2/t2_seg-manual.nii.gz"),
    ("spinal_cord_mri/t2s/t2s.nii.gz", "spinal_cord_mri/t2s/t2s_gmseg_manual.nii.gz"),
    ("odd_headers/monai/anatomical.nii", "odd_headers/monai/anatomical_label.nii.gz"),
    ("cardiac_mri/images/SC-HF-I-01-IM-0001-0048.png", "cardiac_mri/masks/SC-HF-I-01-IM-0001-0048.png"),
    ("nerve_ultrasound/images/0010.png", "nerve_ultrasound/masks/0010.png"),
]


@pytest.mark.parametrize(("image", "label"), REAL)
def test_real_files_go_there_and_back(image, label):
    if not (DATA / image).exists():
        pytest.skip(f"real data not found at {DATA / image}; set STAMPSEG_DATA")
    source, mask = read_image([DATA / image]), read_label(DATA / label)
    values = tuple(sorted({0, *np.unique(mask.array).tolist()}))
    dims = len(source.header.shape)
    codes = "" if source.header.affine is None else io_orientation(source.header.affine)
    order = np.argsort(codes[:, 0]) if dims == 3 else range(dims)
    spacing = tuple(float(source.header.spacing[int(axis)]) for axis in order)
    same = plan(
        dims,
        spacing=spacing,
        label_values=values,
        label_names=tuple(map(str, values)),
        in_channels=len(source.array),
    )
    prepared = prepare(source, same, mask)
    back = restore(one_hot(prepared.label[0], len(values)), prepared.geometry)
    assert np.array_equal(np.asarray(values)[back], mask.array)
    assert np.isfinite(prepared.image).all()


def test_real_file_turned_on_disk_gives_the_same_case(tmp_path):
    nib = pytest.importorskip("nibabel")
    path = DATA / "spinal_cord_mri/t2/t2.nii.gz"
    if not path.exists():
        pytest.skip(f"real data not found at {path}; set STAMPSEG_DATA")
    nib.save(nib.as_closest_canonical(nib.load(path)), tmp_path / "turned.nii.gz")
    settings = plan(spacing=(1.5, 1.5, 1.5))
    first, second = (prepare(read_image([file]), settings) for file in (path, tmp_path / "turned.nii.gz"))
    assert first.geometry.source_shape != second.geometry.source_shape
    assert np.array_equal(first.image, second.image)
