"""Values in label files become classes and come back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import Case, find_dataset
from stampseg.data.io.colours import describe
from stampseg.data.labels.label_table import label_table, to_classes, to_values


def cases_of(folder: Path, *masks: np.ndarray) -> list[Case]:
    """Cases whose labels are `masks`, saved as PNG; rows x columns x 3 is RGB."""
    cases = []
    for number, mask in enumerate(masks):
        path = folder / f"m{number}.png"
        Image.fromarray(mask).save(path)
        cases.append(Case(path.stem, path.stem, (folder / "image.png",), path))
    return cases


def grey(*values: int, dtype: type = np.uint8) -> np.ndarray:
    return np.array([values], dtype=dtype)


def test_contiguous_values_stay(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(0, 1), grey(0, 2)), {})
    assert (table.values, table.names, table.notes) == ((0, 1, 2), ("background", "label_1", "label_2"), ())


def test_black_and_white_is_mapped_and_said(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(0, 255)), {})
    assert (table.values, table.names) == ((0, 255), ("background", "foreground"))
    assert table.notes == ("mask values 0, 255 -> 0 background, 1 foreground",)


def test_gaps_are_closed_in_rising_order(tmp_path: Path) -> None:
    table = label_table(
        cases_of(tmp_path, grey(0, 7, dtype=np.uint16), grey(300, 0, dtype=np.uint16)), {7: "cord"}
    )
    assert (table.values, table.names) == ((0, 7, 300), ("background", "cord", "label_300"))
    assert table.notes[0] == "mask values 0, 7, 300 -> 0 background, 1 cord, 2 label_300"
    assert table.notes[1] == "label values without a declared name: 300"


@pytest.mark.parametrize(
    ("value", "name"), [(1, "foreground"), (255, "foreground"), (7, "label_7"), (312, "label_312")]
)
def test_a_lone_class_is_called_by_its_value_unless_that_says_nothing(
    value: int, name: str, tmp_path: Path
) -> None:
    table = label_table(cases_of(tmp_path, grey(0, value, dtype=np.uint16)), {})
    assert table.names == ("background", name)


def test_colours_are_called_by_their_code(tmp_path: Path) -> None:
    mask = np.array([[[0, 0, 0], [200, 0, 0], [0, 0, 255]]], np.uint8)
    assert label_table(cases_of(tmp_path, mask), {}).names == ("background", "label_0000ff", "label_c80000")


def test_of_two_values_the_darker_is_background(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(200, 30, 200)), {})
    assert table.values == (30, 200)
    assert table.notes[1] == "no mask value is 0, so the darker of two values, 30, is taken as background"


def test_of_two_colours_the_darker_is_background(tmp_path: Path) -> None:
    yellow_on_blue = np.array([[[255, 255, 0], [0, 0, 200], [255, 255, 0]]], np.uint8)
    table = label_table(cases_of(tmp_path, yellow_on_blue), {})
    assert [describe(value) for value in table.values] == ["#0000c8", "#ffff00"]
    assert table.notes[0] == "mask values #0000c8, #ffff00 -> 0 background, 1 foreground"


def test_of_more_values_the_most_frequent_is_background(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(3, 5, 5, 9)), {})
    assert table.values == (5, 3, 9)
    assert "the most frequent value, 5, is taken as background" in table.notes[1]


def test_blue_is_not_white(tmp_path: Path) -> None:
    mask = np.array([[[0, 0, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    table = label_table(cases_of(tmp_path, mask), {})
    assert [describe(value) for value in table.values] == ["0", "255", "#0000ff"]


def test_declared_names_that_never_occur_are_said(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(0, 1)), {0: "background", 1: "liver", 2: "tumour"})
    assert table.names == ("background", "liver")
    assert table.notes == ("declared labels in none of these cases: tumour (2)",)


def test_equal_declared_names_are_told_apart(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, grey(0, 1, 2)), {1: "lung", 2: "lung"})
    assert table.names == ("background", "lung_1", "lung_2")


def test_one_value_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m0.png: the only value in 2 label\(s\) is 0; expected background"):
        label_table(cases_of(tmp_path, grey(0), grey(0, 0)), {})


@pytest.mark.parametrize(
    ("values", "ignored", "said"),
    [
        ((0, 255), 0, "2 label(s) beside 0, left out by `data.ignore_label`, is 255; expected background"),
        ((255,), 255, "2 label(s) beside 255, left out by `data.ignore_label`, is none; expected"),
        ((255,), 7, "2 label(s) is 255; expected background"),
    ],
)
def test_one_value_beside_what_is_ignored_names_the_option(
    values: tuple[int, ...], ignored: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"the only value in {re.escape(said)}"):
        label_table(cases_of(tmp_path, grey(*values), grey(*values)), {}, ignored)


def test_no_labels_at_all() -> None:
    with pytest.raises(DataError, match=r"the only value in 0 label\(s\)"):
        label_table([], {})


def test_a_photograph_is_no_label(tmp_path: Path) -> None:
    photograph = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(DataError, match=r"m1.png: more than 64 label values, such as 0, 1, 2.*photograph"):
        label_table(cases_of(tmp_path, grey(0, 1), photograph), {})


def test_negative_values_are_refused(tmp_path: Path) -> None:
    label = tmp_path / "a.tif"
    tifffile.imwrite(label, np.array([[-1, 0, 1], [0, 0, 0]], np.int16))
    with pytest.raises(DataError, match=r"a.tif: label value -1; expected 0 or above"):
        label_table([Case("a", "a", (label,), label)], {})


def thresholdable(*greys: int) -> np.ndarray:
    """A mask of 0 and 255 with one pixel of each of `greys`."""
    mask = np.zeros((50, 50), np.uint8)
    mask[10:40, 10:40] = 255
    mask[10, 10 : 10 + len(greys)] = greys
    return mask


def test_stray_greys_of_a_resaved_mask_are_refused(tmp_path: Path) -> None:
    cases = cases_of(tmp_path, thresholdable(), thresholdable(254, 250, 250), thresholdable(1))
    with pytest.raises(
        DataError,
        match=r"m1.png: stray label values 1 \(1 pixel\), 250 \(2 pixels\), 254 \(1 pixel\) beside 0, 255, "
        r"each under 0.5% of .*expected one value per class.*threshold the masks, or declare .*dataset.json",
    ):
        label_table(cases, {})
    with pytest.raises(
        DataError, match=r"m1.png: stray label values 1 \(1 pixel\), 250 .* beside 0, 254, 255,"
    ):
        label_table(cases, {254: "vessel", 255: "organ"})


def test_declared_values_are_classes_however_rare(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, thresholdable(128)), {128: "cup", 255: "disc"})
    assert table.names == ("background", "cup", "disc")


def test_undeclared_values_that_are_not_rare_are_classes(tmp_path: Path) -> None:
    table = label_table(cases_of(tmp_path, thresholdable(*[128] * 5)), {})
    assert table.values == (0, 128, 255)


@pytest.mark.parametrize("rare", [2, 4])
def test_rare_class_numbers_are_classes_and_a_lone_one_is_said(tmp_path: Path, rare: int) -> None:
    common = np.minimum(thresholdable(), 1)
    cases = cases_of(tmp_path, common, np.where(thresholdable(7) == 7, rare, common).astype(np.uint8))
    table = label_table(cases, {})
    assert table.values == (0, 1, rare)
    said = f"label value {rare} occurs in m1.png alone (1 pixel); correct that label if it is no class"
    assert table.notes[-1] == said
    assert said not in label_table(cases, {1: "organ", rare: "lesion"}).notes
    assert said not in label_table(cases[1:], {}).notes
    assert said not in label_table([*cases, cases[1]], {}).notes


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**25), min_size=2, max_size=64, unique=True), st.integers(0, 2**31))
def test_classes_and_values_are_inverse(values: list[int], seed: int) -> None:
    classes = np.random.default_rng(seed).integers(0, len(values), (3, 4, 5)).astype(np.uint8)
    stored = to_values(classes, values)
    assert stored.dtype == np.min_scalar_type(max(values))
    back = to_classes(stored, values, "a.nii")
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, classes)


def test_a_value_outside_the_table_names_the_file() -> None:
    with pytest.raises(DataError, match=r"late.nii: label value 3, 9; expected one of 0, 1"):
        to_classes(np.array([0, 9, 3, 1]), (0, 1), "late.nii")


@pytest.mark.parametrize(
    ("folder", "masks", "count"),
    [
        ("hippocampus_mri", None, 3),
        ("cardiac_mri", None, 2),
        ("fetal_head_ultrasound", None, 2),
        ("nerve_ultrasound", None, 3),
        ("retina_vessels", Path("first_observer"), 2),
        ("retina_vessels", Path("second_observer"), 2),
    ],
)
def test_real_labels(shared_data: Path, folder: str, masks: Path | None, count: int) -> None:
    dataset = find_dataset(shared_data / folder, masks=masks)
    table = label_table(dataset.cases[:40], dataset.label_names)
    assert table.values == tuple(range(count))
    assert table.notes == ()
