"""Parts of a cell that need no training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from SimpleITK import GetImageFromArray, WriteImage

from stampseg.core.data_options import DataOptions
from stampseg.data.cases import Case, Dataset
from stampseg.evaluation.metrics import Metrics
from stampseg.run.study import cell as cells
from stampseg.run.study.cell import mask_names, mean_dice


def row(case: str, label: str, dice: float) -> Metrics:
    return Metrics(case, label, 1, dice, 0, 0, 0, 0, 1)


def test_dice_is_the_mean_over_people_of_their_cases_and_labels() -> None:
    people = {"a1": "a", "a2": "a", "b1": "b"}
    rows = [
        row("a1", "x", 0.2), row("a1", "y", 0.4), row("a2", "x", 0.6), row("a2", "y", math.nan),
        row("b1", "x", 0.8), row("b1", "union", 0.0),
    ]  # fmt: skip
    assert mean_dice(rows, people) == pytest.approx(((0.3 + 0.6) / 2 + 0.8) / 2)  # a's cases count alike
    assert mean_dice(rows[3:4], people) is None


def test_masks_have_the_names_that_predict_gives_them(tmp_path: Path) -> None:
    """Of nnU-Net's x_0000.png the mask is x.png; of pictures that are only numbered it is not."""
    for names, found in ((["x_0000", "y_0000"], {"x", "y"}), (["x_0000", "z"], {"x_0000", "z"})):
        cases = [Case(name, name, (tmp_path / f"{name}.png",), None) for name in names]
        for case in cases:
            case.images[0].touch()
        assert set(mask_names(cases, 1)) == found


def test_masks_are_compared_with_the_labels_of_their_cases(tmp_path: Path) -> None:
    """Whatever the label files are called, and the links are gone afterwards."""
    (tmp_path / "masks").mkdir()
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    named = {}
    for name, other in (("x", "one"), ("y", "two")):
        Image.fromarray(half).save(tmp_path / "masks" / f"{name}.png")
        Image.fromarray(half if name == "x" else 255 - half).save(tmp_path / f"{other}_label.png")
        named[name] = Case(other, other, (tmp_path / f"{name}.png",), tmp_path / f"{other}_label.png")
    dataset = Dataset(tmp_path, "folders", tuple(named.values()), (), {255: "upper"}, (), ())
    found = cells._evaluate(tmp_path, named, dataset, DataOptions())
    assert [(row.case, row.label, row.dice) for row in found.rows] == [("x", "upper", 1), ("y", "upper", 0)]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["masks"]
    assert (tmp_path / "metrics.json").is_file()


def test_what_a_data_set_declares_counts_where_the_options_do_not_say_otherwise() -> None:
    dataset = Dataset(Path(), "decathlon", (), (), {}, ("CT",), (), ignored=9)
    free = {"data": DataOptions().model_dump()}
    assert cells._declared(dataset, free) == {"data": {"ignore_label": 9, "normalization": "ct"}}
    said = {"data": DataOptions(normalization="zscore").model_dump()}
    assert cells._declared(dataset, said) == {"data": {"ignore_label": 9}}


def test_labels_may_be_chosen_by_the_names_of_the_data_set() -> None:
    """A cell learns from a table of cases, which does not say what the values are called."""
    dataset = Dataset(Path(), "decathlon", (), (), {1: "liver", 2: "spleen"}, (), ())
    said = {"data": DataOptions(only=("liver",), names={2: "milt"}).model_dump()}
    assert cells._declared(dataset, said) == {"data": {"names": {1: "liver", 2: "milt"}}}
    assert cells._declared(dataset, {"data": DataOptions(only=(1,)).model_dump()}) == {"data": {}}


def test_masks_are_compared_with_labels_merged_and_named_as_they_were_learnt(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    drawn = np.repeat(np.arange(4, dtype=np.uint8), 4)[:, None].repeat(16, 1)
    Image.fromarray(drawn).save(tmp_path / "x_label.png")
    Image.fromarray(np.where(drawn == 2, 1, np.where(drawn == 3, 0, drawn))).save(
        tmp_path / "masks" / "x.png"
    )
    case = Case("x", "x", (tmp_path / "x.png",), tmp_path / "x_label.png")
    dataset = Dataset(tmp_path, "folders", (case,), (), {}, (), ())
    options = DataOptions(merge={"cord": (1, 2)}, only=("cord",))
    found = cells._evaluate(tmp_path, {"x": case}, dataset, options)
    assert [(row.label, row.dice) for row in found.rows] == [("cord", 1)]


def test_a_mask_is_not_taken_for_class_indices_because_of_who_tests(tmp_path: Path) -> None:
    """Nobody who tests has label 1, of which one stray voxel was predicted, and 3 was missed."""
    drawn = np.zeros((8, 8), np.uint8)
    drawn[:3], drawn[4:6] = 2, 3
    found = np.where(drawn == 3, 0, drawn).astype(np.uint8)
    found[7, 7] = 1
    (tmp_path / "masks").mkdir()
    Image.fromarray(drawn).save(tmp_path / "x_label.png")
    Image.fromarray(found).save(tmp_path / "masks" / "x.png")
    case = Case("x", "x", (tmp_path / "x.png",), tmp_path / "x_label.png")
    dataset = Dataset(tmp_path, "folders", (case,), (), {}, (), ())
    rows = cells._evaluate(tmp_path, {"x": case}, dataset, DataOptions()).rows
    assert {row.value: row.dice for row in rows if row.value in (2, 3)} == {2: 1, 3: 0}


def test_masks_are_compared_with_the_masks_of_all_organs(tmp_path: Path) -> None:
    left, right, both = (np.zeros((8, 8), np.uint8) for _ in range(3))
    left[:4], right[4:7] = 255, 255
    both[:4], both[4:6] = 1, 2
    (tmp_path / "masks").mkdir()
    Image.fromarray(left).save(tmp_path / "a.png")
    Image.fromarray(right).save(tmp_path / "b.png")
    Image.fromarray(both).save(tmp_path / "masks" / "x.png")
    organs = (("left", tmp_path / "a.png"), ("right", tmp_path / "b.png"))
    case = Case("x", "x", (tmp_path / "x.png",), tmp_path / "a.png", organs)
    dataset = Dataset(tmp_path, "folders", (case,), (), {1: "left", 2: "right"}, (), ())
    found = cells._evaluate(tmp_path, {"x": case}, dataset, DataOptions())
    dice = {row.label: row.dice for row in found.rows}
    assert dice["left"] == 1 and dice["right"] == pytest.approx(0.8)


def test_a_label_in_several_files_is_read_where_it_lies_and_stays_as_it_is(tmp_path: Path) -> None:
    """A header with its voxels in a file of another name, as of PROMISE12."""
    drawn = np.zeros((4, 8, 8), np.uint8)
    drawn[:2] = 1
    (tmp_path / "masks").mkdir()
    (tmp_path / "labels").mkdir()
    WriteImage(GetImageFromArray(drawn), tmp_path / "labels" / "Case00_segmentation.mhd")
    WriteImage(GetImageFromArray(drawn), tmp_path / "masks" / "Case00.nii.gz")
    before = {path.name: path.read_bytes() for path in (tmp_path / "labels").iterdir()}
    label = tmp_path / "labels" / "Case00_segmentation.mhd"
    case = Case("Case00", "Case00", (tmp_path / "Case00.mhd",), label)
    dataset = Dataset(tmp_path, "folders", (case,), (), {}, (), ())
    found = cells._evaluate(tmp_path, {"Case00": case}, dataset, DataOptions())
    assert [row.dice for row in found.rows] == [1]
    assert {path.name: path.read_bytes() for path in (tmp_path / "labels").iterdir()} == before
    assert len(before) == 2
