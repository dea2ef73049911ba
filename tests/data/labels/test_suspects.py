"""Label values that may mean something else are told, and what is usual is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.data.cases import find_dataset
from stampseg.data.labels.label_table import label_table, leave_out
from stampseg.data.labels.suspects import suspects
from stampseg.data.labels.values import ValueCounts


def counts_of(*files: Sequence[int]) -> ValueCounts:
    counts = ValueCounts()
    for number, values in enumerate(files):
        counts.sets[frozenset(values)] += 1
        for value in values:
            counts.voxels[value] += 10
            counts.files[value] += 1
            counts.first.setdefault(value, Path(f"{number}.png"))
    return counts


@pytest.mark.parametrize(
    ("files", "declared", "said"),
    [
        (
            ((0, 1), (0, 255)),
            {},
            "1 label(s) hold 0 and 1, 1 hold 0 and 255 (such as 0.png and 1.png); they are ",
        ),
        (
            ((0, 1), (1, 2), (1, 2)),
            {},
            "2 label(s) hold 1, 2 and no 0, the others 0, 1 (such as 1.png and 0.png)",
        ),
        (
            ((0, 1, 2), (0, 1), (1, 2, 3)),
            {},
            "1 label(s) hold 1, 2, 3 and no 0, the others 0, 1, 2 (such as 2",
        ),
        (
            ((0, 1, 255), (0, 1)),
            {},
            "value 255 beside 1 in 1 label(s), trained as a class: where it marks what nob",
        ),
        (
            ((0, 1), (0, 1), (0, 2), (0, 2), (0,)),
            {},
            "no label holds two of the values 1 in 2, 2 in 2 label(s) (such as 0.png and 2.png); each is ",
        ),
        (
            ((0, 128), (0, 255)) * 2,
            {},
            "no label holds two of the values 128 in 2, 255 in 2 label(s)",
        ),
        (((0, 1, 2, 255),), {1: "cup"}, "value 255 beside 1, 2 in 1 label(s), trained as a class"),
        (
            ((0, 1, 2), (0, 127, 255), (0, 255)),
            {},
            "1 label(s) hold 1, 2, 2 as many greys or colours instead (such as 0.png and 1.png); they are "
            "trained as 4 classes: if",
        ),
    ],
)
def test_what_is_told(files: Sequence[Sequence[int]], declared: dict[int, str], said: str) -> None:
    (told,) = suspects(counts_of(*files), declared)
    assert told.startswith(said)


@pytest.mark.parametrize(
    ("files", "declared"),
    [
        (((0, 1), (0, 1, 2)), {}),
        (((0, 1, 2), (0, 3, 4)), {}),
        (((0, 1, 2), (0, 85, 170, 255)), {}),
        (((0, 1, 2, 85), (0, 85, 170)), {}),
        (((1, 2), (1, 2)), {}),  # no file has a 0: the darker value is background, which is said elsewhere
        (((0, 1, 2), (1, 2)), {}),  # a picture without any background
        (((0, 1), (1,)), {}),
        (((0, 128, 255), (0, 255)), {}),  # greys
        (((0, 85, 170, 255),), {}),
        (((0, 255),), {}),
        (((0, 1), (0, 1), (0, 2)), {}),  # a slip, or a structure that is seldom there
        (((0, 1), (0, 2)) * 2, {1: "benign", 2: "malignant"}),
        (((0, 1), (0, 2)) * 2 + ((0, 1, 2),), {}),
        (((0, 1, 255),), {255: "void"}),
    ],
)
def test_what_is_usual_is_not_told(files: Sequence[Sequence[int]], declared: dict[int, str]) -> None:
    assert suspects(counts_of(*files), declared) == ()


def warned(*files: Sequence[int], ignored: int) -> tuple[str, ...]:
    counts = counts_of(*files)
    leave_out(counts, ignored)
    return suspects(counts, {})


def test_what_is_ignored_is_not_told() -> None:
    assert warned((0, 1), (0, 255), ignored=255) == ()
    assert warned((0, 1, 2, 255), (0, 1, 255), ignored=255) == ()
    assert warned((0, 1), (1, 2), (1, 2), ignored=0) == ()
    assert warned((0, 1, 9), (9,), (0, 1), ignored=9) == ()


def test_what_is_ignored_hides_nothing() -> None:
    (told,) = warned((0, 1, 9), (0, 1), (0, 255, 9), ignored=9)
    assert told.startswith("2 label(s) hold 0 and 1, 1 hold 0 and 255")
    (told,) = warned((0, 1), (1, 2, 9), (9,), ignored=9)
    assert told.startswith("1 label(s) hold 1, 2 and no 0, the others 0, 1")


def ring_of_greys(small: bool) -> np.ndarray:
    """A white disc whose border is greys, or with small structures of many greys beside it."""
    rows, columns = np.mgrid[:64, :64]
    radius = np.hypot(rows - 32, columns - 24)
    picture = np.clip(255 * (16 - radius), 0, 255).astype(np.uint8)
    if small:
        picture[picture < 255] = 0
        for number in range(8):
            picture[8 * number : 8 * number + 4, 56:60] = 70 + 9 * number
    return picture


@pytest.mark.parametrize("small", [False, True])
def test_greys_at_borders_alone_are_told_and_small_structures_are_not(small: bool, tmp_path: Path) -> None:
    for i in range(3):
        for part, picture in (("images", np.full((64, 64), i)), ("masks", ring_of_greys(small))):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(picture.astype(np.uint8)).save(tmp_path / part / f"p{i}.png")
    found = label_table(find_dataset(tmp_path).cases, {}).warnings
    assert len(found) == (not small)
    assert small or re.search(
        r"label values, such as .* more in p0.png, lie between others at their", found[0]
    )
    named = dict.fromkeys(range(256), "a class")
    assert label_table(find_dataset(tmp_path).cases, named).warnings == ()
