"""Which value is background where none is 0, and labels that number single objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.data.cases import Dataset, find_dataset
from stampseg.data.labels.label_table import label_table
from stampseg.evaluation.folders import evaluate_folder

Pixel = int | tuple[int, int, int]
RED, WHITE = (255, 0, 0), (255, 255, 255)


def write(
    folder: Path, ground: Pixel, structure: Pixel, *, touching: bool = False, large: bool = False
) -> Dataset:
    """Four pictures with a box of `structure` on `ground`, at the corner or within."""
    colour = isinstance(ground, tuple) or isinstance(structure, tuple)
    shape = (40, 40, 3) if colour else (40, 40)
    for number in range(4):
        mask = np.zeros(shape, np.uint8)
        mask[:] = ground
        first, last = (0 if touching else 2, 38 if large else 16)
        mask[first:last, first:last] = structure
        for part, picture in (("images", np.full((40, 40), 9 * number, np.uint8)), ("masks", mask)):
            (folder / part).mkdir(exist_ok=True, parents=True)
            Image.fromarray(picture).save(folder / part / f"p{number}.png")
    return find_dataset(folder)


@pytest.mark.parametrize(
    ("ground", "structure", "values"),
    [(WHITE, RED, (255, 0xFF0000)), (255, 128, (255, 128)), (1, 2, (1, 2)), (30, 220, (30, 220))],
)
def test_what_lies_around_is_background_whether_dark_or_light(
    tmp_path: Path, ground: Pixel, structure: Pixel, values: tuple[int, int]
) -> None:
    table = label_table(write(tmp_path, ground, structure).cases, {})
    assert tuple(value & 0xFFFFFF for value in table.values) == values
    told = [text for text in table.warnings if "fills the borders" in text]
    assert len(told) == (ground in (WHITE, 255))
    assert not told or (
        "is taken as background, though" in told[0] and "if that is wrong, save the" in told[0]
    )


@pytest.mark.parametrize(("ground", "structure"), [(10, 245), (1, 2)])
def test_a_large_light_structure_that_reaches_the_border_stays_one(
    tmp_path: Path, ground: int, structure: int
) -> None:
    table = label_table(write(tmp_path, ground, structure, touching=True, large=True).cases, {})
    assert table.values == (ground, structure) and table.warnings == ()


def test_masks_that_look_inverted_are_told_of_and_trained_as_they_are(tmp_path: Path) -> None:
    table = label_table(write(tmp_path, 255, 0).cases, {})
    assert table.values == (0, 255)
    (told,) = table.warnings
    assert (
        "value 255 fills the borders of the labels, and 0 lies inside" in told and "exchange the two" in told
    )


def test_a_structure_of_most_of_the_image_is_not_inverted(tmp_path: Path) -> None:
    """As a field of view, which is round: the corners are background."""
    assert label_table(write(tmp_path, 0, 255, large=True).cases, {}).warnings == ()


def test_evaluate_takes_the_same_background(tmp_path: Path) -> None:
    write(tmp_path, WHITE, RED)
    found = evaluate_folder(tmp_path / "masks", tmp_path / "masks")
    assert {row.label for row in found.rows} == {"foreground"}
    assert {row.reference_volume for row in found.rows} == {14.0 * 14}


def numbered(folder: Path, counts: Sequence[int], pieces: int = 1) -> Dataset:
    """Masks in which the first has `counts[0]` objects, numbered from 1, each of so many pieces."""
    for number, count in enumerate(counts):
        mask = np.zeros((64, 64), np.uint8)
        for value in range(1, count + 1):
            for piece in range(pieces):
                mask[8 * value : 8 * value + 5, 20 * piece : 20 * piece + 5] = value
        for part, picture in (("images", np.full((64, 64), number, np.uint8)), ("masks", mask)):
            (folder / part).mkdir(exist_ok=True, parents=True)
            Image.fromarray(picture).save(folder / part / f"p{number}.png")
    return find_dataset(folder)


def test_numbers_of_single_objects_are_told(tmp_path: Path) -> None:
    (told,) = label_table(numbered(tmp_path, (3, 5, 2, 4)).cases, {}).warnings
    assert told.startswith("the labels hold 1 to 2 in some and 1 to 5 in others, and each value is one piece")
    assert "5 classes are trained that are one; count them as one with `data.merge`" in told


@pytest.mark.parametrize(("counts", "pieces"), [((3, 5, 2, 4), 2), ((2, 2, 2), 1), ((3, 3, 2, 3), 1)])
def test_classes_are_no_single_objects(tmp_path: Path, counts: Sequence[int], pieces: int) -> None:
    assert label_table(numbered(tmp_path, counts, pieces).cases, {}).warnings == ()
