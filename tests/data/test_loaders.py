"""Batches: a pure function of seed and step, every case in its turn, memory within its budget."""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import get_track_meta
from PIL import Image

from stampseg.core.data_options import DataOptions
from stampseg.core.errors import DataError
from stampseg.core.teacher_options import TeacherOptions
from stampseg.core.train_options import TrainOptions
from stampseg.data.cases import Case, find_dataset
from stampseg.data.fingerprint import fingerprint
from stampseg.data.labels.label_table import label_table
from stampseg.data.loaders import CaseCache, TrainingBatches, ValidationCases
from stampseg.data.plan import Plan
from stampseg.data.planner import make_plan
from stampseg.data.preprocess import Geometry, Prepared
from stampseg.data.transforms import TrainingTransform, find_locations

DATA = Path(os.environ.get("STAMPSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
PLAN = Plan(
    spatial_dims=2,
    in_channels=1,
    label_values=(0, 1, 2),
    label_names=("background", "one", "two"),
    orientation=None,
    spacing=(1.0, 1.0),
    crop="none",
    patch_size=(32, 48),
    normalization="zscore",
    ct=None,
    strides=((2, 2), (2, 2)),
)


def make_cases(folder, count, shape=(40, 40)):
    rng = np.random.default_rng(0)
    cases = []
    for number in range(count):
        name = f"case{number:02}"
        label = np.zeros(shape, np.uint8)
        label[5 + number : 15 + number, 8:20] = 1
        label[20:22, 30:32] = 2
        image = (label * 60 + rng.integers(0, 60, shape)).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(label).save(folder / f"{name}_mask.png")
        cases.append(Case(name, name, (folder / f"{name}.png",), folder / f"{name}_mask.png"))
    return cases


def batches_of(cases, plan=PLAN, seed=0, megabytes=64, **train):
    return TrainingBatches(cases, plan, TrainOptions(**train), DataOptions(cache_megabytes=megabytes), seed)


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def prepared_of(image, label):
    shape = tuple(image.shape[1:])
    geometry = Geometry(shape, tuple((a, 1) for a in range(len(shape))), tuple((0, n) for n in shape), shape)
    return Prepared(image.numpy(), None if label is None else label.numpy(), geometry)


# --- batches ---


@pytest.mark.parametrize(("count", "size"), [(7, 3), (5, 5), (2, 4), (1, 3)])
def test_every_case_once_per_epoch_and_batches_are_full(tmp_path, count, size):
    with batches_of(make_cases(tmp_path, count), batch_size=size) as batches:
        drawn = [case.id for step in range(6 * count) for case in batches.drawn(step)]
        assert len(drawn) == 6 * count * size
        epochs = [tuple(drawn[i : i + count]) for i in range(0, len(drawn), count)]
        assert all(len(set(epoch)) == count for epoch in epochs)
        assert count < 5 or len(set(epochs)) > 1
        batch = batches.batch(0)
    assert batch["image"].shape == (size, 1, 32, 48)
    assert batch["label"].shape == (size, 1, 32, 48)
    assert (batch["image"].dtype, batch["label"].dtype) == (torch.float32, torch.int64)
    assert type(batch["image"]) is torch.Tensor


def test_a_step_gives_the_same_batch_in_any_order_after_any_restart(tmp_path):
    cases = make_cases(tmp_path, 5)
    with batches_of(cases, batch_size=2) as first:
        expected = [first.batch(step) for step in range(6)]
    with batches_of(cases, batch_size=2, megabytes=0) as second:
        np.random.seed(1)
        torch.manual_seed(5)
        for step in (4, 5, 0, 3, 3, 1):
            assert equal(second.batch(step), expected[step])
    assert not equal(expected[0], expected[1])


def test_another_seed_gives_other_batches(tmp_path):
    cases = make_cases(tmp_path, 5)
    with batches_of(cases, seed=0) as first, batches_of(cases, seed=1) as second:
        assert not equal(first.batch(0), second.batch(0))


def test_global_random_state_and_monai_switch_are_left_alone(tmp_path):
    before, state = get_track_meta(), torch.get_rng_state()
    numbers = np.random.get_state()[1].copy()
    with batches_of(make_cases(tmp_path, 3)) as batches:
        batches.batch(0)
    assert get_track_meta() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)


@pytest.mark.parametrize(("count", "size", "sizes"), [(7, 3, [3, 3, 1]), (2, 4, [2]), (1, 1, [1])])
def test_scoring_sees_every_case_once_and_keeps_the_last_batch(tmp_path, count, size, sizes):
    cases = make_cases(tmp_path, count)
    with batches_of(cases, batch_size=size) as batches:
        found = list(batches.scoring_batches())
        again = list(batches.scoring_batches())
        few = list(batches.scoring_batches(1))
    assert [len(batch["image"]) for batch in found] == sizes
    assert all(equal(one, other) for one, other in zip(found, again, strict=True))
    assert len(few) == 1 and equal(few[0], found[0])
    labels = torch.cat([batch["label"] for batch in found])
    assert len({label.numpy().tobytes() for label in labels}) == count  # each case differs by its label


def test_watched_windows_hold_every_label_and_are_the_same_each_time(tmp_path):
    """Label 2 is in one small case of seven; windows are smaller than the images."""
    cases = make_cases(tmp_path, 7)
    plan = PLAN.model_copy(update={"patch_size": (16, 16)})
    for case in cases[:3] + cases[4:]:
        label = np.asarray(Image.open(case.label)).copy()
        label[label == 2] = 0
        Image.fromarray(label).save(case.label)
    for count, seed in ((2, 0), (4, 1), (1, 2), (100, 3)):
        with batches_of(cases, plan, seed=seed, batch_size=3) as batches:
            windows = list(batches.watch_batches(count))
            labels = torch.cat([batch["label"] for batch in windows])
            assert len(labels) == min(7, max(count, 2)) and set(labels.unique().tolist()) == {0, 1, 2}
            assert all(len(batch["label"]) <= 3 for batch in windows)
            again = list(batches.watch_batches(count))
            assert all(equal(one, other) for one, other in zip(windows, again, strict=True))


def test_windows_of_all_cases_leave_none_out_where_one_alone_holds_several_labels(tmp_path):
    cases = make_cases(tmp_path, 4)
    for case in cases[1:]:
        label = np.asarray(Image.open(case.label)).copy()
        label[label == 2] = 0
        Image.fromarray(label).save(case.label)
    with batches_of(cases[:1], batch_size=9) as alone, batches_of(cases, batch_size=9) as batches:
        (few,), (whole,) = alone.watch_batches(), batches.watch_batches()
        assert len(few["label"]) == 2  # of the one case, which holds two labels
        assert len(whole["label"]) == 4
        seen = {index for index, _ in batches._watched(None)}
        assert seen == {0, 1, 2, 3}


def test_cases_that_cannot_be_trained_on(tmp_path):
    cases = make_cases(tmp_path, 2)
    with pytest.raises(DataError, match="training cases: found no case, expected images"):
        batches_of([])
    with pytest.raises(DataError, match="found case case01 without a label"):
        batches_of([cases[0], replace(cases[1], label=None)])


def test_a_broken_file_is_reported_where_its_batch_is_asked_for(tmp_path):
    cases = make_cases(tmp_path, 1)
    cases[0].label.write_bytes(b"not a picture")
    with batches_of(cases) as batches, pytest.raises(DataError, match=r"case00_mask\.png"):
        batches.batch(0)


# --- cache ---


def test_memory_does_not_grow_with_the_number_of_cases(tmp_path):
    cases = make_cases(tmp_path, 12, shape=(256, 256))
    cache = CaseCache(PLAN, 1)
    first = cache.get(cases[0])
    assert cache.get(cases[0]) is first
    for case in cases:
        assert cache.get(case).image.shape == (1, 256, 256)
        assert cache.bytes <= 2**20
    assert len(cache) == 3
    assert cache.get(cases[0]) is not first  # dropped and read again
    assert cache.get(cases[11]) is cache.get(cases[11])
    nothing = CaseCache(PLAN, 0)
    assert np.array_equal(nothing.get(cases[0]).image, first.image)
    assert (len(nothing), nothing.bytes) == (0, 0)


def test_cases_of_one_id_from_two_data_sets_are_kept_apart(tmp_path):
    first, second = make_cases(tmp_path, 2)
    cache = CaseCache(PLAN, 1)
    cache.get(first)
    assert not np.array_equal(cache.get(replace(second, id=first.id)).label, cache.get(first).label)


def test_validation_cases_are_whole_and_in_order(tmp_path):
    cases = make_cases(tmp_path, 3)
    validation = ValidationCases(cases, CaseCache(PLAN, 1))
    assert len(validation) == 3
    assert [case.id for case, _ in validation] == ["case00", "case01", "case02"]
    assert all(prepared.image.shape == (1, 40, 40) for _, prepared in validation)


# --- windows and augmentation ---


@pytest.mark.parametrize("shape", [(20, 20), (40, 41), (40, 20), (32, 48)])
def test_without_augmentation_a_window_is_a_piece_of_the_case(shape):
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) + 1
    label = (image > 1.5).to(torch.uint8)
    transform = TrainingTransform(PLAN, augment=False, foreground_share=0.0)
    sample = transform(prepared_of(image, label), find_locations(label.numpy()), 3)
    inside = sample["image"] > 0
    kept = [min(n, p) for n, p in zip(shape, PLAN.patch_size, strict=True)]
    assert inside.sum() == np.prod(kept)
    assert torch.equal(sample["label"][inside], (sample["image"][inside] > 1.5).long())
    middle = [(p - k) // 2 for p, k in zip(PLAN.patch_size, kept, strict=True)]
    assert torch.equal(inside.nonzero()[0][1:], torch.tensor(middle))  # padded on both sides


def test_windows_on_labelled_voxels_reach_every_class():
    label = torch.zeros(1, 400, 400, dtype=torch.uint8)
    label[0, 10:200, 10:200] = 1
    label[0, 390, 395] = 2
    prepared = prepared_of(label.float(), label)
    transform = TrainingTransform(PLAN, augment=False, foreground_share=1.0)
    seen = [
        set(transform(prepared, find_locations(label.numpy()), s)["label"].unique().tolist())
        for s in range(60)
    ]
    assert all(found & {1, 2} for found in seen)
    assert 15 < sum(2 in found for found in seen) < 45  # one voxel, as often as the large class
    never = TrainingTransform(PLAN, augment=False, foreground_share=0.0)
    assert (
        sum(2 in never(prepared, find_locations(label.numpy()), s)["label"].unique() for s in range(60)) < 5
    )


@pytest.mark.parametrize(
    ("patch", "shape", "spacing"),
    [
        ((32, 48), (80, 90), (1.0, 1.0)),
        ((32, 48), (30, 40), (1.0, 1.0)),
        ((24, 32, 24), (22, 30, 50), (1.0, 1.0, 1.5)),
    ],
)
def test_image_and_label_move_together(patch, shape, spacing):
    plan = PLAN.model_copy(update={"spatial_dims": len(patch), "patch_size": patch, "spacing": spacing})
    label = torch.zeros(1, *shape, dtype=torch.uint8)
    label[(0, *(slice(n // 4, 3 * n // 4) for n in shape))] = 1
    transform = TrainingTransform(plan, augment=True)
    transform._intensity.transforms = ()
    moved = 0
    for seed in range(20):
        sample = transform(prepared_of(label.float(), label), find_locations(label.numpy()), seed)
        assert sample["image"].shape == sample["label"].shape == (1, *patch)
        inside = sample["label"] < 2  # the rest is beyond the image
        alike = (sample["image"] > 0.5).long() == sample["label"]
        assert inside.float().mean() > 0.4 and alike[inside].float().mean() > 0.98
        still = TrainingTransform(plan, augment=False)(
            prepared_of(label.float(), label), find_locations(label.numpy()), seed
        )
        moved += not equal(sample, still)
    assert moved > 5


def test_a_volume_of_one_slice_is_turned_within_it() -> None:
    """Turned about another axis, all but a strip would be beyond, and the loss would not see its border."""
    plan = PLAN.model_copy(update={"spatial_dims": 3, "patch_size": (24, 32, 1), "spacing": (1.0, 1.0, 1.0)})
    blank = torch.zeros(1, 24, 32, 1, dtype=torch.uint8)
    case, transform = prepared_of(blank.float(), blank), TrainingTransform(plan)
    known = [float((transform(case, {}, seed)["label"] == 0).float().mean()) for seed in range(40)]
    assert min(known) > 0.6 and np.mean(known) > 0.9


@pytest.mark.parametrize(
    ("patch_size", "spacing", "turned"),
    [
        ((320, 80, 1), (1.0, 1.0, 1.0), (0, 0, 1)),  # long, and one slice
        ((12, 64, 368), (4.0, 0.8, 0.8), (1, 0, 0)),
        ((40, 40, 160), (1.0, 1.0, 1.0), (1, 1, 1)),  # long, and no slices
        ((48, 64, 48), (1.0, 1.0, 1.0), (1, 1, 1)),
        ((128, 128, 48), (1.0, 1.0, 1.0), (1, 1, 1)),
        ((128, 128, 24), (1.0, 1.0, 1.0), (0, 0, 1)),
    ],
)
def test_windows_of_few_slices_are_turned_within_their_plane_alone(patch_size, spacing, turned):
    plan = PLAN.model_copy(update={"spatial_dims": 3, "patch_size": patch_size, "spacing": spacing})
    affine = TrainingTransform(plan)._affine.transforms[0].rand_affine.rand_affine_grid
    assert tuple(int(angle > 0) for angle in affine.rotate_range) == turned


def test_nothing_is_mirrored():
    label = torch.zeros(1, 32, 48, dtype=torch.uint8)
    label[0, 12:20, 4:12] = 1  # left half
    transform = TrainingTransform(PLAN, augment=True)
    for seed in range(40):
        sample = transform(prepared_of(label.float(), label), find_locations(label.numpy()), seed)
        assert (sample["label"][0] == 1).nonzero()[:, 1].float().mean() < 24


def test_intensities_change_with_the_seed_and_only_with_it():
    image = torch.randn(2, 32, 48, generator=torch.Generator().manual_seed(0))
    label = torch.ones(1, 32, 48, dtype=torch.uint8)
    transform = TrainingTransform(PLAN.model_copy(update={"in_channels": 2}), augment=True)
    draws = [transform(prepared_of(image, label), {}, (7, seed)) for seed in range(8)]
    again = [transform(prepared_of(image, label), {}, (7, seed)) for seed in reversed(range(8))][::-1]
    assert all(equal(one, other) for one, other in zip(draws, again, strict=True))
    assert len({draw["image"].numpy().tobytes() for draw in draws}) > 6
    assert all(torch.isfinite(draw["image"]).all() for draw in draws)


def test_a_sample_needs_a_label():
    transform = TrainingTransform(PLAN)
    with pytest.raises(ValueError, match="a training sample needs a prepared label"):
        transform(prepared_of(torch.zeros(1, 32, 48), None), find_locations(None), 0)


# --- real data ---


@pytest.mark.parametrize("folder", ["hippocampus_mri", "cardiac_mri", "nerve_ultrasound"])
def test_real_batches(folder):
    if not (DATA / folder).is_dir():
        pytest.skip(f"real data not found at {DATA / folder}; set STAMPSEG_DATA")
    dataset = find_dataset(DATA / folder)
    cases = list(islice(dataset.cases, 5))
    table = label_table(cases, dataset.label_names)
    plan = make_plan(fingerprint(cases, table, dataset.channel_names), table, DataOptions(), None)
    with batches_of(cases, plan) as batches:
        found = [batches.batch(step) for step in range(3)]
        whole = list(batches.scoring_batches())
    for batch in found:
        assert batch["image"].shape[1:] == (plan.in_channels, *plan.patch_size)
        assert torch.isfinite(batch["image"]).all()
        assert 0.2 < batch["image"].std() < 2
        assert batch["label"].max() <= plan.out_channels  # which is of what lies beyond the image
    assert sum(len(batch["image"]) for batch in whole) == 5
    drawn = [(batch["label"] > 0) & (batch["label"] < plan.out_channels) for batch in whole]
    assert all(each.flatten(1).any(1).all() for each in drawn)


def test_augmentation_leaves_the_threads_of_training_alone() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from stampseg.data.loaders import _compute_alone

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1, initializer=_compute_alone) as worker:
            assert worker.submit(torch.get_num_threads).result() == 1
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def unlabelled_batches(cases, unlabelled, plan=PLAN, **teacher):
    options = TrainOptions(batch_size=2, steps=100)
    data, chosen = DataOptions(cache_megabytes=64), TeacherOptions(**{"start": 0.0, **teacher})
    return TrainingBatches(cases, plan, options, data, 0, unlabelled=unlabelled, teacher=chosen)


def test_windows_without_labels_come_beside_the_labelled_ones_and_change_nothing_of_them(tmp_path):
    cases = make_cases(tmp_path, 5)
    with batches_of(cases[:2], batch_size=2) as alone, unlabelled_batches(cases[:2], cases[2:]) as both:
        for step in range(1, 4):
            one, other = alone.batch(step), both.batch(step)
            assert other.keys() == {"image", "label", "weak", "strong"}
            assert equal(one, {name: other[name] for name in one})
            assert other["weak"].shape == other["strong"].shape == (2, 1, 32, 48)
    with unlabelled_batches(cases[:2], cases[2:], batch_size=3) as three:
        assert len(three.batch(1)["weak"]) == 3


def test_scans_without_labels_are_not_read_before_they_count(tmp_path):
    cases = make_cases(tmp_path, 3)
    with unlabelled_batches(cases[:1], cases[1:], start=0.1) as batches:
        assert set(batches.batch(0)) == {"image", "label"}
        assert [case for case in batches.cache._entries if case.label is None] == []
        assert set(batches.batch(10)) == {"image", "label"}
        assert "weak" in batches.batch(11)


def test_a_large_scan_without_label_stays_for_as_many_steps_as_it_holds_windows(tmp_path):
    """Each is read once for them even where nothing is kept; whatever the step that training resumes from."""
    cases, plan = make_cases(tmp_path, 6), PLAN.model_copy(update={"patch_size": (20, 20)})  # 4 of 40 x 40
    with unlabelled_batches(cases[:1], cases[1:], plan) as batches:
        drawn = [[index for index, _ in batches._unlabelled_draws(step)] for step in range(40)]
        assert all(drawn[step] == drawn[step - step % 4] for step in range(40))
        assert {index for places in drawn for index in places} == set(range(5))
        draws = [draw for step in range(40) for _, draw in batches._unlabelled_draws(step)]
        assert draws == list(range(80))  # every window is another one
    with unlabelled_batches(cases[:1], cases[1:], plan) as other:
        assert [index for index, _ in other._unlabelled_draws(17)] == drawn[17]


def test_both_views_lie_on_the_same_voxels(tmp_path):
    cases = make_cases(tmp_path, 4)
    for view in ("noise", "full"):
        with unlabelled_batches(cases[:1], cases[1:], strong_view=view) as batches:
            for step in range(1, 5):
                batch = batches.batch(step)
                for weak, strong in zip(batch["weak"], batch["strong"], strict=True):
                    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.7
                    assert view == "full" or not torch.equal(weak, strong)


def test_labels_of_unlabelled_cases_are_never_read(tmp_path):
    cases = make_cases(tmp_path, 4)
    with unlabelled_batches(cases[:1], cases[1:]) as batches:
        known = [batches.batch(step) for step in range(1, 4)]
    for case in cases[1:]:
        case.label.write_bytes(b"nothing that could be read")
    with unlabelled_batches(cases[:1], cases[1:]) as batches:
        assert all(equal(batches.batch(step), known[step - 1]) for step in range(1, 4))
