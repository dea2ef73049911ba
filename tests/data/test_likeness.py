"""A scan unlike those a network was trained on is told; so are labelled voxels that a crop would lose."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.core.data_options import DataOptions
from stampseg.data import planner
from stampseg.data.cases import find_dataset
from stampseg.data.fingerprint import fingerprint
from stampseg.data.io.readers import read_image
from stampseg.data.labels.label_table import label_table
from stampseg.data.likeness import remarks
from stampseg.data.plan import Plan
from stampseg.data.planner import make_plan
from tests.data.scans import disc

SHAPE = (20, 24, 16)


def scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """CT of a bright ball in soft tissue, with air around."""
    image, mask = disc(np.random.default_rng(seed), SHAPE)
    image = image - 60
    image[:3] = image[-3:] = -1000
    return image.astype(np.float32), mask.astype(np.uint8)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    nib.Nifti1Image(array, np.eye(4) if affine is None else affine).to_filename(path)
    return path


def plan_of(folder: Path, scale: str = "ct", **options: object) -> Plan:
    dataset = find_dataset(folder)
    table = label_table(dataset.cases, dataset.label_names)
    data = DataOptions(normalization=scale, **options)  # type: ignore[arg-type]
    return make_plan(fingerprint(dataset.cases, table, ()), table, data, None)


def data_in(folder: Path) -> Path:
    for i in range(3):
        image, mask = scan(i)
        save(folder / "images" / f"{i}.nii.gz", image)
        save(folder / "labels" / f"{i}.nii.gz", mask)
    return folder


def said(folder: Path, plan: Plan, image: np.ndarray, affine: np.ndarray | None = None) -> list[str]:
    return remarks(read_image([save(folder / "new.nii.gz", image, affine)]), plan)


def test_a_scan_like_the_others_is_passed_over(tmp_path: Path) -> None:
    plan = plan_of(data_in(tmp_path))
    assert said(tmp_path / "x", plan, scan(9)[0]) == []
    turned = np.ascontiguousarray(scan(9)[0].transpose(2, 0, 1)[::-1])
    to_ras = np.linalg.inv(nib.orientations.inv_ornt_aff([[2, -1], [0, 1], [1, 1]], turned.shape))
    assert said(tmp_path / "x", plan, turned, to_ras) == []


def test_a_ct_stored_with_an_offset_is_told(tmp_path: Path) -> None:
    (found,) = said(tmp_path / "x", plan_of(data_in(tmp_path)), scan(9)[0] + 1024)
    assert found.startswith("values of 24 to 11") and "(trained on -1000 to " in found


@pytest.mark.parametrize("padding", [-1024, -2000, -3024, -32768])
def test_padding_hides_no_offset_and_is_none(padding: float, tmp_path: Path) -> None:
    data = data_in(tmp_path)
    for number in range(3):
        image, _ = scan(number)
        image[:, :2] = padding
        save(data / "images" / f"{number}.nii.gz", image)
    plan, padded = plan_of(data), scan(9)[0]
    padded[:, -2:] = -3024
    assert not any(text.startswith("values of") for text in said(tmp_path / "x", plan, padded))
    (found,) = said(tmp_path / "x", plan, scan(9)[0] + 1024)
    assert found.startswith("values of 24 to 11") and "(trained on -10" in found


def test_metal_in_training_hides_no_offset(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    for number in range(3):
        image, _ = scan(number)
        image[8:10] = 3500
        save(data / "images" / f"{number}.nii.gz", image)
    (found,) = said(tmp_path / "x", plan_of(data), scan(9)[0] + 1024)
    assert found.startswith("values of 24 to 11")


def test_of_scans_that_are_normalised_by_themselves_the_scale_means_nothing(tmp_path: Path) -> None:
    assert said(tmp_path / "x", plan_of(data_in(tmp_path), "zscore"), scan(9)[0] * 50 + 7000) == []


def test_other_voxels_and_another_extent_are_told(tmp_path: Path) -> None:
    plan, image = plan_of(data_in(tmp_path)), scan(9)[0]
    assert said(tmp_path / "x", plan, image[::8, ::8, ::8], np.diag([8.0, 8, 8, 1])) == [
        "voxels of 8 x 8 x 8 mm (trained on 1 x 1 x 1)"
    ]
    assert said(tmp_path / "x", plan, np.tile(image, (3, 1, 1))) == [
        "60 x 24 x 16 mm in extent (trained on 20 x 24 x 16)"
    ]


def test_a_scan_of_one_value_is_told(tmp_path: Path) -> None:
    found = said(tmp_path / "x", plan_of(data_in(tmp_path), "zscore"), np.full(SHAPE, 7, np.float32))
    assert found == ["every voxel has the value 7"]


def test_a_label_in_place_of_a_scan_is_told(tmp_path: Path) -> None:
    """Of no more values than labels have, whole ones; not of a thresholded scan where training had such."""
    plan, mask = plan_of(data_in(tmp_path), "zscore"), scan(9)[1]
    words = "only the values 0, {}, as a mask has: is it a label in place of a scan?"
    for scale in (1, 255):
        (found,) = said(tmp_path / "x", plan, mask * np.float32(scale))
        assert found == words.format(scale)
    halves, few = mask * np.float32(0.5), mask.astype(np.float32)
    few[0, 0, 0] = 7
    for image in (halves, few):
        assert not any("as a mask has" in text for text in said(tmp_path / "x", plan, image))
    drawn = tmp_path / "drawn"
    for number in range(3):
        save(drawn / "images" / f"{number}.nii.gz", (scan(number)[1] * 255).astype(np.uint8))
        save(drawn / "labels" / f"{number}.nii.gz", scan(number)[1])
    image = (scan(9)[1] * 255).astype(np.float32)
    assert not any("as a mask has" in text for text in said(tmp_path / "x", plan_of(drawn, "zscore"), image))


def test_plans_of_before_know_nothing_to_compare_with(tmp_path: Path) -> None:
    plan = plan_of(data_in(tmp_path)).model_copy(update={"scans": None})
    assert said(tmp_path / "x", plan, scan(9)[0] + 5000) == []


@pytest.mark.parametrize(
    ("stray", "crop", "few"), [(0, "nonzero", 0.0), (1, "nonzero", 0.5), (9, "none", 0.0)]
)
def test_no_crop_loses_labelled_voxels_unsaid(
    stray: int, crop: str, few: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "LOST_BY_CROP", few)
    image, mask = scan()
    image[:6] = image[-6:] = 0
    image[:, :6] = image[:, -6:] = 0
    mask = np.where(image == 0, 0, mask).astype(np.uint8)
    mask[0].flat[:stray] = 1
    save(tmp_path / "images" / "a.nii.gz", image)
    save(tmp_path / "labels" / "a.nii.gz", mask)
    plan = plan_of(tmp_path, "zscore")
    assert plan.crop == crop
    lost = [note for note in plan.notes if "outside of the non-zero box" in note]
    assert bool(lost) == (stray > 0)
    forced = plan_of(tmp_path, "zscore", crop="nonzero")
    assert any("are cut away and can never be found" in note for note in forced.notes) == (stray > 0)


def test_a_grey_picture_is_told_where_colours_were_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for i in range(3):
        mask = np.zeros((40, 48), np.uint8)
        mask[10:24, 12 + i : 30] = 255
        colours = rng.integers(0, 60, (40, 48, 3)) + (mask > 0)[..., None] * [150, 20, 90]
        Image.fromarray(colours.astype(np.uint8)).save(tmp_path / "images" / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    plan = plan_of(tmp_path, "zscore")
    assert plan.in_channels == 3
    colour = Image.open(tmp_path / "images" / "0.png")
    for mode, count in (("RGB", 0), ("L", 1)):
        colour.convert(mode).save(tmp_path / "new.png")
        told = remarks(read_image([tmp_path / "new.png"], 3), plan)
        assert sum("only grey" in text and "in colour" in text for text in told) == count
