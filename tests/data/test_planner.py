"""The plan of known fingerprints, of real data sets, and every option that overrules it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.data_options import DataOptions
from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import Case, find_dataset
from stampseg.data.fingerprint import fingerprint, object_radius
from stampseg.data.labels.label_table import label_table
from stampseg.data.planner import PATCH_BUDGET, make_plan, plan_strides, total_stride
from tests.data.fingerprints import TABLE, WINDOW, facts

DATA = Path(os.environ.get("STAMPSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def plan_of(found, data=None, poolings=None):
    return make_plan(found, TABLE, data or DataOptions(), poolings)


def real_plan(folder, count=None, **options):
    root = DATA / folder
    if not root.is_dir():
        pytest.skip(f"real data not found at {root}; set STAMPSEG_DATA")
    dataset = find_dataset(root, **options)
    cases = dataset.cases[:count]
    table = label_table(cases, dataset.label_names)
    return make_plan(fingerprint(cases, table, dataset.channel_names), table, DataOptions(), None)


# --- depth ---


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((41, 60, 46), (1, 1, 1), ((2, 2, 2),) * 3),
        ((256, 256), (1, 1), ((2, 2),) * 4),
        ((64, 64, 64), (1, 1, 1), ((2, 2, 2),) * 3),
        ((160, 160, 12), (0.5, 0.5, 7.5), ((2, 2, 1),) * 3 + ((2, 2, 2),)),
        ((96, 96, 24), (1, 1, 3), ((2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1))),
        ((128, 128, 1), (1, 1, 1), ((2, 2, 1),) * 4),
        ((10, 10), (1, 1), ((2, 2),)),
    ],
)
def test_strides(size, spacing, expected):
    assert plan_strides(size, spacing) == expected


def test_forced_poolings_go_deeper_until_one_voxel_would_be_left():
    assert plan_strides((48, 64, 48), (1, 1, 1), 4) == ((2, 2, 2),) * 4
    assert plan_strides((48, 64, 48), (1, 1, 1), 1) == ((2, 2, 2),)
    with pytest.raises(
        ConfigError, match=r"poolings: found 6, but a patch of 20 x 20 carries at most 4; lower"
    ):
        plan_strides((20, 20), (1, 1), 6)


def test_too_small_for_any_pooling():
    with pytest.raises(DataError, match="images of 2 x 1 voxels are too small"):
        plan_strides((2, 1), (1, 1))


@pytest.mark.parametrize("poolings", [None, 1, 3, 5])
def test_patch_is_a_multiple_of_the_stride_and_keeps_two_voxels(poolings):
    rng = np.random.default_rng(0)
    for _ in range(30):
        dims = int(rng.integers(2, 4))
        shape = tuple(rng.integers(70, 500, dims).tolist())
        plan = plan_of(facts([shape], [tuple(rng.uniform(0.5, 3, dims).tolist())]), poolings=poolings)
        stride = total_stride(plan.strides)
        assert all(p % s == 0 and p // s >= 2 for p, s in zip(plan.patch_size, stride, strict=True))
        assert np.prod(plan.patch_size) < 2.5 * PATCH_BUDGET[dims]
        assert poolings is None or len(plan.strides) == poolings


# --- spacing ---


def test_one_spacing_is_kept_exactly_and_header_noise_ignored():
    noisy = [(1.0, 1.0, 1.00001), (1.0, 0.999999, 1.0), (1.0, 1.0, 1.0)]
    assert plan_of(facts([(40, 40, 40)] * 3, noisy)).spacing == (1.0, 1.0, 1.0)


def test_slice_axis_takes_the_thinner_slices():
    spacings = [(0.5, 0.5, z) for z in (2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 8.0, 8.0, 8.0)]
    plan = plan_of(facts([(64, 64, 20)] * 9, spacings))
    assert plan.spacing[:2] == (0.5, 0.5)
    assert 2.0 <= plan.spacing[2] < 5.0
    assert any("10th percentile" in note for note in plan.notes)


def test_large_images_of_large_objects_are_coarsened_and_thin_ones_are_not():
    thick, thin = (0.998, 0.997, 0.996, 0.995, 0.99), (0.93, 0.9, 0.86, 0.83, 0.8)
    heads = plan_of(facts([(540, 800)] * 3, grid_ceilings=tuple((c,) for c in thick)))
    assert heads.spacing == (5.0, 5.0)  # the long side is then at most 192 pixels
    assert heads.patch_size == (112, 160)
    assert any("shows more of the picture; allows Dice up to 0.995" in note for note in heads.notes)
    vessels = plan_of(facts([(960, 999)] * 3, grid_ceilings=tuple((c,) for c in thin)))
    assert vessels.spacing == (1.0, 1.0)
    assert vessels.patch_size == (336, 336)
    assert any("on a coarser grid no Dice above 0.930 could be reached" in note for note in vessels.notes)
    both = plan_of(facts([(540, 800)] * 3, grid_ceilings=tuple(zip(thick, thin, strict=True))))
    assert both.spacing == (1.0, 1.0)
    native = plan_of(facts([(540, 800)] * 3, grid_ceilings=((0.99,),) * 5), DataOptions(grid="native"))
    assert native.spacing == (1.0, 1.0)


def test_a_grid_is_no_coarser_than_the_window_needs():
    fine = ((0.999,),) * 8
    for side, factor in ((150, 1), (192, 1), (200, 1), (256, 2), (384, 2), (390, 3), (1000, 6)):
        assert plan_of(facts([(side, side // 2)], grid_ceilings=fine)).spacing == (factor, factor), side


def test_coarsening_leaves_thick_slices_alone():
    plan = plan_of(facts([(512, 512, 20)], [(0.5, 0.5, 5.0)], object_radius=(40.0,)))
    assert plan.spacing[2] == 5.0
    assert plan.spacing[0] == plan.spacing[1] > 0.5


def test_given_spacing_is_taken_as_it_is():
    plan = plan_of(facts([(540, 800)], object_radius=(158.0,)), DataOptions(spacing=(3.0, 3.0)))
    assert plan.spacing == (3.0, 3.0)
    assert plan.patch_size == (192, 272)


# --- patch, crop, intensities ---


@pytest.mark.parametrize("dims", [2, 3])
def test_one_given_spacing_is_that_of_every_axis(dims):
    plan = plan_of(facts([(96,) * dims]), DataOptions(spacing=(1.5,)))
    assert plan.spacing == (1.5,) * dims


def test_window_of_a_thin_stack_is_square_in_mm_and_keeps_all_slices():
    plan = plan_of(facts([(512, 512, 10)], [(0.5, 0.5, 5.0)]))
    assert plan.patch_size == (160, 160, 10)


def test_given_patch_is_rounded_up_to_the_stride():
    plan = plan_of(facts([(100, 100, 100)]), DataOptions(patch_size=(50, 50, 50)))
    assert plan.patch_size == (56, 56, 56)
    assert any("the given 50 x 50 x 50 rounded up" in note for note in plan.notes)


def test_crop_where_most_of_a_volume_is_empty():
    assert plan_of(facts([(60, 60, 60)], cropped_shapes=((30, 30, 30),))).crop == "nonzero"
    assert plan_of(facts([(60, 60, 60)], cropped_shapes=((59, 59, 59),))).crop == "none"
    assert plan_of(facts([(60, 60)], cropped_shapes=((30, 30),))).crop == "none"
    assert (
        plan_of(facts([(60, 60)], cropped_shapes=((30, 30),)), DataOptions(crop="nonzero")).crop == "nonzero"
    )


AIR = ((-1024.0, 900.0),)


@pytest.mark.parametrize(
    ("changes", "given", "expected"),
    [
        ({"channel_names": ("CT",)}, None, "ct"),
        ({"channel_names": ("MRI",), "intensity_ranges": ((-1000.0, 900.0),)}, None, "zscore"),
        ({"channel_names": ("direct",)}, None, "zscore"),
        ({"intensity_ranges": ((-1024.0, 900.0),)}, None, "ct"),
        ({}, None, "zscore"),
        ({"channel_names": ("CT_venous",)}, None, "ct"),
        ({"channel_names": ("ct-portal",)}, None, "ct"),
        ({"channel_names": ("venous", "arterial"), "intensity_ranges": AIR}, None, "ct"),
        ({"channel_names": ("image_0",), "intensity_ranges": AIR}, None, "ct"),
        ({"channel_names": ("image",), "intensity_ranges": ((0.0, 4000.0),)}, None, "zscore"),
        ({"channel_names": ("PET_CT",), "intensity_ranges": ((0.0, 40.0),)}, None, "zscore"),
        ({"channel_names": ("PET-CT",), "intensity_ranges": AIR}, None, "ct"),
        ({"channel_names": ("t1_venous",), "intensity_ranges": AIR}, None, "zscore"),
        ({"channel_names": ("T2", "image"), "intensity_ranges": AIR}, None, "zscore"),
        ({"channel_names": ("phase",), "intensity_ranges": ((-4096.0, 4095.0),)}, None, "zscore"),
        ({"channel_names": ("CT", "PET"), "intensity_ranges": AIR}, None, "zscore"),
        ({"channel_names": ("CT", "venous"), "intensity_ranges": AIR}, None, "ct"),
        ({"channel_names": ("NCCT",)}, None, "ct"),
        ({"channel_names": ("non-contrast",), "intensity_ranges": AIR}, None, "ct"),
        ({}, "ct", "ct"),
        ({"channel_names": ("CT",)}, "zscore", "zscore"),
        ({"channel_names": ("CT",), "foreground": ()}, None, "zscore"),
    ],
)
def test_normalization(changes, given, expected):
    windows = (WINDOW,) * len(changes.get("channel_names") or "1")
    changes = {"in_channels": len(windows), "foreground": windows, **changes}
    plan = plan_of(facts([(40, 40, 40)], **changes), DataOptions(normalization=given))
    assert plan.normalization == expected
    assert plan.ct == (windows if expected == "ct" else None)


def test_every_decision_leaves_a_note():
    notes = plan_of(facts([(40, 40, 40)])).notes
    assert [note.split(":")[0] for note in notes] == ["crop", "spacing", "patch", "depth", "intensities"]
    assert all("\n" not in note for note in notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": (1.0, 1.0)}, r"`data.spacing` \[1.0, 1.0\]: expected 3 values above 0"),
        ({"spacing": (1.0, 1.0, 0.0)}, "data.spacing"),
        ({"patch_size": (32, 32)}, r"`data.patch_size` \[32, 32\]: expected 3 .*volumes \(x, y, z\)"),
    ],
)
def test_options_of_the_wrong_number_of_axes(options, message):
    with pytest.raises(ConfigError, match=message):
        plan_of(facts([(40, 40, 40)]), DataOptions(**options))


def test_ct_without_a_labelled_voxel():
    with pytest.raises(ConfigError, match="no training case has a labelled voxel"):
        plan_of(facts([(40, 40, 40)], foreground=()), DataOptions(normalization="ct"))


# --- fingerprint ---


def test_object_radius_is_in_the_unit_of_the_spacing():
    disc = np.hypot(*np.mgrid[-30:31, -30:31]) < 20
    assert object_radius(disc.astype(np.uint8), 1, (1, 1)) == pytest.approx(20, abs=1)
    assert object_radius(disc.astype(np.uint8), 1, (0.5, 0.5)) == pytest.approx(10, abs=0.5)
    assert object_radius(disc.astype(np.uint8), 2, (1, 1)) is None
    assert object_radius(np.ones((8, 20), np.uint8), 1, (1, 1)) == pytest.approx(4)
    ball = (np.sqrt((np.mgrid[-80:81, -80:81, -80:81] ** 2).sum(0)) < 70).astype(np.uint8)
    assert object_radius(ball, 1, (1, 1, 1)) == pytest.approx(70, abs=2)  # thinned before it is measured


def picture_case(folder, name, image, label=None):
    folder.mkdir(exist_ok=True)
    files = (folder / f"{name}.png", folder / f"{name}_mask.png")
    Image.fromarray(image).save(files[0])
    if label is not None:
        Image.fromarray(label).save(files[1])
    return Case(name, name, (files[0],), files[1] if label is not None else None)


def test_grey_pictures_stored_in_colour_count_one_channel(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (20, 30), dtype=np.uint8)
    mask = (grey > 100).astype(np.uint8)
    in_colour = np.repeat(grey[..., None], 3, axis=-1)
    tinted = in_colour * np.array([1, 0, 1], dtype=np.uint8)
    cases = [picture_case(tmp_path, "a", grey, mask), picture_case(tmp_path, "b", in_colour, mask)]
    assert fingerprint(cases, TABLE, ()).in_channels == 1
    mixed = [*cases, picture_case(tmp_path, "c", tinted, mask)]
    found = fingerprint(mixed, TABLE, ())
    assert found.in_channels == 3
    assert found.warnings == ("channels: 3, as 2 of 3 pictures are in colour; grey is repeated",)
    assert len(found.foreground) == 3
    assert found.class_voxels == (3 * int((mask == 0).sum()), 3 * int(mask.sum()))


def test_pictures_and_volumes_do_not_mix(tmp_path):
    nib = pytest.importorskip("nibabel")
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    picture = picture_case(tmp_path, "a", grey, grey % 2)
    for name in ("v", "v_mask"):
        nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4)), tmp_path / f"{name}.nii.gz")
    volume = Case("v", "v", (tmp_path / "v.nii.gz",), tmp_path / "v_mask.nii.gz")
    with pytest.raises(DataError, match=r"a\.png is a picture and .*v\.nii\.gz a volume; expected one kind"):
        fingerprint([picture, volume], TABLE, ())
    with pytest.raises(DataError, match=r"a\.png is a picture and .*v\.nii\.gz a volume; expected one kind"):
        fingerprint([volume, picture], TABLE, ())


def test_channels_that_differ_between_volumes(tmp_path):
    nib = pytest.importorskip("nibabel")
    cases = []
    for name, shape in (("a", (8, 8, 8)), ("b", (8, 8, 8, 2))):
        nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), tmp_path / f"{name}.nii")
        nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4)), tmp_path / f"{name}_mask.nii")
        cases.append(Case(name, name, (tmp_path / f"{name}.nii",), tmp_path / f"{name}_mask.nii"))
    with pytest.raises(DataError, match=r"b\.nii: 2 channels, but .*a\.nii has 1; expected the same"):
        fingerprint(cases, TABLE, ())


def test_nothing_to_plan_from(tmp_path):
    with pytest.raises(DataError, match="no labelled case to plan from"):
        fingerprint([], TABLE, ())
    with pytest.raises(DataError, match=r"a\.png: no label for this image"):
        fingerprint([picture_case(tmp_path, "a", np.zeros((8, 8), np.uint8))], TABLE, ())


# --- real data ---


def test_hippocampus_gives_whole_crops():
    plan = real_plan("hippocampus_mri", 40)
    assert plan.patch_size == (48, 64, 48)
    assert plan.strides == ((2, 2, 2),) * 3
    assert plan.spacing == (1.0, 1.0, 1.0)
    assert (plan.normalization, plan.crop, plan.orientation) == ("zscore", "none", "RAS")
    assert plan.label_values == (0, 1, 2)


def test_cardiac_slices_are_halved():
    plan = real_plan("cardiac_mri", 30)
    assert (plan.patch_size, plan.spacing, len(plan.strides)) == ((128, 128), (2.0, 2.0), 4)
    assert plan.orientation is None


def test_fetal_heads_are_seen_whole_and_vessels_stay_fine():
    heads = real_plan("fetal_head_ultrasound", 6)
    assert (heads.spacing, heads.patch_size) == ((5.0, 5.0), (112, 160))
    root = DATA / "retina_vessels"
    vessels = real_plan("retina_vessels", 4, images=root / "images", masks=root / "first_observer")
    assert (vessels.spacing, vessels.patch_size, vessels.in_channels) == ((1.0, 1.0), (336, 336), 3)


def test_liver_is_ct_and_spinal_cord_slices_are_not_pooled():
    for folder in ("liver_ct", "spinal_cord_mri"):
        if not (DATA / folder).is_dir():
            pytest.skip(f"real data not found at {DATA / folder}; set STAMPSEG_DATA")
    liver = DATA / "liver_ct"
    case = Case("l", "l", (liver / "ct_half_inplane.nii.gz",), liver / "liver_half_inplane.nii.gz")
    found = fingerprint([case], TABLE, ())
    assert found.orientations == ("LPS",)
    plan = plan_of(found)
    assert plan.normalization == "ct"
    assert plan.ct is not None and 50 < plan.ct[0].mean < 200
    cord = DATA / "spinal_cord_mri" / "t2s"
    case = Case("c", "c", (cord / "t2s.nii.gz",), cord / "t2s_gmseg_manual.nii.gz")
    plan = plan_of(fingerprint([case], TABLE, ()))
    assert plan.strides == ((2, 2, 1),) * 3
    assert plan.patch_size == (56, 56, 9)
