"""A value of the label files that is left out: who declares it, and what becomes of its voxels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.core.config import Config
from stampseg.core.data_options import DataOptions
from stampseg.core.errors import ConfigError, DataError
from stampseg.data.cases import Case, find_dataset
from stampseg.data.fingerprint import fingerprint, object_radius
from stampseg.data.io.readers import read_image, read_label
from stampseg.data.labels.label_table import label_table, to_classes
from stampseg.data.labels.relabelling import ignored_value
from stampseg.data.layouts.declared import declared_labels
from stampseg.data.planner import make_plan
from stampseg.data.preprocess import Geometry, Prepared, prepare, resample_classes
from stampseg.data.transforms import TrainingTransform, find_locations
from tests.data.scans import disc


def scribbled(folder: Path, ignored: int = 2, share: float = 0.1) -> Path:
    """nnU-Net raw: five volumes, in whose labels most voxels are of the ignore label."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for i in range(5):
        image, mask = disc(rng, (20, 24, 16))
        label = np.where(rng.random(mask.shape) < share, mask, ignored).astype(np.int16)
        nib.Nifti1Image(image.astype(np.float32), np.eye(4)).to_filename(
            folder / "imagesTr" / f"c{i}_0000.nii.gz"
        )
        nib.Nifti1Image(label, np.eye(4)).to_filename(folder / "labelsTr" / f"c{i}.nii.gz")
    labels = {"background": 0, "organ": 1, "ignore": ignored}
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "MRI"}, "labels": labels}))
    return folder


def case_of(folder: Path, label: np.ndarray) -> Case:
    paths = folder / "i.nii.gz", folder / "l.nii.gz"
    for path, array in zip(paths, (np.ones(label.shape, np.float32), label), strict=True):
        nib.Nifti1Image(array, np.eye(4)).to_filename(path)
    return Case("c", "c", paths[:1], paths[1])


@pytest.mark.parametrize(
    "labels", [{"background": 0, "organ": 1, "ignore": 2}, {"1": "organ", "2": "Ignore"}]
)
def test_a_declared_ignore_is_no_class(labels: dict) -> None:
    declared = declared_labels({"labels": labels})
    assert declared.ignored == 2
    assert 2 not in declared.names and declared.names[1] == "organ"


def test_regions_name_their_values() -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    declared = declared_labels({"labels": labels})
    assert declared.names == {
        0: "background", 1: "whole without core", 2: "core without enhancing", 3: "enhancing"
    }  # fmt: skip
    assert declared.ignored == 4
    assert list(declared.regions.values) == ["whole", "core", "enhancing"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"a": 0, "background": 1}, "background is 1; expected 0"),
        ({"0": "a", "2": "Background"}, "Background is 2; expected 0"),
        ({"background": 0, "a": 1, "b": 1}, "a and b are both 1; expected a value of its own"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(labels: dict, said: str) -> None:
    with pytest.raises(DataError, match=f"dataset.json: {said}"):
        declared_labels({"labels": labels})


def test_an_option_agrees_with_the_file_or_is_refused() -> None:
    assert ignored_value(None, 2) == ignored_value(2, None) == ignored_value(2, 2) == 2
    assert ignored_value(None, None) is None
    with pytest.raises(ConfigError, match=r"`data.ignore_label` 3: dataset.json declares 2 as ignore"):
        ignored_value(3, 2)


@pytest.mark.parametrize("ignored", [-1, 2, 255, 70000])
def test_its_voxels_are_of_no_class(ignored: int, tmp_path: Path) -> None:
    label = np.array([[[0, 1, ignored, ignored]]], np.int32)
    table = label_table([case_of(tmp_path, label)], {}, ignored)
    assert (table.values, table.ignored) == ((0, 1), ignored)
    assert table.notes[-1] == (
        f"ignore label {ignored}: 50.0% of the voxels, in 1 label(s), are left out of every loss and Dice"
    )
    assert to_classes(label, table.values, "l", ignored).ravel().tolist() == [0, 1, 2, 2]


def test_zero_may_be_the_unknown_and_one_the_background(tmp_path: Path) -> None:
    label = np.array([[[0, 0, 0, 1, 1, 2]]], np.uint8)
    assert label_table([case_of(tmp_path, label)], {}, 0).values == (1, 2)


def test_an_ignore_label_that_never_occurs_is_said(tmp_path: Path) -> None:
    table = label_table([case_of(tmp_path, np.array([[[0, 1]]], np.uint8))], {}, 7)
    assert "ignore label 7: no label holds it" in table.notes


def test_a_negative_value_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label value -1; expected 0 or above; .*`data.ignore_label`"):
        label_table([case_of(tmp_path, np.array([[[0, 1, -1]]], np.int16))], {})


def test_a_coarser_grid_keeps_a_scribble(tmp_path: Path) -> None:
    """One known voxel among unknown ones is known on the coarse grid, and as itself."""
    classes = np.full((16, 16), 3, np.uint8)
    classes[4:6, 4:12], classes[10, 2] = 2, 0
    coarse = resample_classes(classes, (8, 8), unknown=3)
    assert coarse[2, 2:6].tolist() == [2, 2, 2, 2]
    assert coarse[5, 1] == 0
    assert coarse[7, 7] == 3


def test_a_finer_grid_makes_no_voxel_known_that_was_mostly_unknown() -> None:
    classes = np.full((8, 8), 2, np.uint8)
    classes[3, 3] = 1
    fine = resample_classes(classes, (16, 16), unknown=2)
    assert (fine == 1).sum() == 4 and (fine[6:8, 6:8] == 1).all()


def test_unknown_voxels_do_not_make_an_object_thin() -> None:
    inside = np.hypot(*(np.indices((81, 81)) - 40)) <= 20
    scribble = np.where(np.random.default_rng(0).random((81, 81)) < 0.3, inside, 2).astype(np.uint8)
    assert object_radius(scribble, 1, (1, 1), unknown=2) == pytest.approx(20, abs=2.5)
    assert object_radius(scribble, 1, (1, 1)) < 5


def test_no_window_is_centred_on_them_and_blanks_are_unknown_too() -> None:
    label = np.array([[[0, 1, 2, 2]]], np.uint8)
    assert set(find_locations(label, 2)) == {1}


def test_the_plan_and_the_fingerprint_leave_them_out(tmp_path: Path) -> None:
    dataset = find_dataset(scribbled(tmp_path))
    assert dataset.ignored == 2
    table = label_table(dataset.cases, dataset.label_names, dataset.ignored)
    seen = fingerprint(dataset.cases, table, ())
    assert len(seen.class_voxels) == 2 and sum(seen.class_voxels) < 0.15 * 5 * 20 * 24 * 16
    plan = make_plan(seen, table, DataOptions(), None)
    assert (plan.out_channels, plan.ignored_value, plan.unknown_class) == (2, 2, 2)
    case = dataset.cases[0]
    assert case.label is not None
    prepared = prepare(read_image(case.images), plan, read_label(case.label))
    assert prepared.label is not None
    assert np.array_equal(prepared.label[0], read_label(case.label).array)


@pytest.mark.parametrize("ignored", [None, 9])
@pytest.mark.parametrize("augment", [False, True])
def test_what_lies_beyond_the_image_is_unknown(augment: bool, ignored: int | None, tmp_path: Path) -> None:
    """Blanks of padding and turning would be many more voxels of background than were drawn, or are there."""
    dataset = find_dataset(scribbled(tmp_path))
    table = label_table(dataset.cases, dataset.label_names, dataset.ignored)
    plan = make_plan(fingerprint(dataset.cases, table, ()), table, DataOptions(patch_size=(32, 32, 32)), None)
    image = np.ones((1, 8, 8, 8), np.float32)
    label = np.zeros((1, 8, 8, 8), np.uint8)
    transform = TrainingTransform(plan.model_copy(update={"ignored_value": ignored}), augment=augment)
    for seed in range(4):
        sample = transform(Prepared(image, label, Geometry.working((8, 8, 8))), {}, seed)
        assert set(sample["label"].unique().tolist()) == {0, 2}
        assert (sample["label"] == 0).sum() < 8**3 * 2


def test_pictures_take_the_option(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        image, mask = disc(rng, (40, 48))
        drawn = np.where(rng.random(mask.shape) < 0.5, mask, 255).astype(np.uint8)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray(drawn).save(tmp_path / "masks" / f"{i}.png")
    from stampseg.run.survey import survey

    config = Config().merged({"data": {"ignore_label": 255}})
    assert survey(find_dataset(tmp_path), config).plan.label_values == (0, 1)
