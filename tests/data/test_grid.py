"""What a coarser grid leaves of a mask."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stampseg.data.grid import FACTORS, ceilings, factors, grid_ceiling


def disc(radius: float, size: int = 96) -> np.ndarray:
    place = np.indices((size, size)) - size / 2 + 0.5
    return (place**2).sum(0) < radius**2


def test_the_same_grid_loses_nothing_and_an_empty_mask_has_no_ceiling() -> None:
    assert grid_ceiling(disc(10), (96, 96)) == 1.0
    assert grid_ceiling(disc(0), (48, 48)) is None


def test_coarser_grids_and_smaller_objects_lose_more() -> None:
    by_factor = [grid_ceiling(disc(20), (96 // f, 96 // f)) for f in (2, 3, 4, 6)]
    by_radius = [grid_ceiling(disc(r), (24, 24)) for r in (40, 20, 10, 5)]
    for values in (by_factor, by_radius):
        assert all(0.7 < b <= a + 0.01 for a, b in pairwise(values)), values


def test_a_band_on_the_lines_of_the_coarser_grid_comes_back_whole() -> None:
    mask = np.zeros((48, 48), dtype=bool)
    mask[12:36] = True
    assert grid_ceiling(mask, (4, 4)) == 1.0


def test_there_is_a_row_for_every_factor_and_a_figure_for_every_class() -> None:
    classes = disc(20).astype(np.uint8) + disc(8)
    rows = ceilings(classes, 4)
    assert len(rows) == len(FACTORS) and all(len(row) == 3 and row[2] is None for row in rows)
    one = grid_ceiling(classes == 2, (48, 48))
    assert rows[0][1] == one


def test_only_factors_that_a_picture_may_need_are_looked_at() -> None:
    """The working picture has 128 to 192 pixels along its long side."""
    assert [factors([(side, side // 2)]) for side in (128, 192, 255, 256, 400, 800, 5000)] == [
        (), (), (), (2,), (2, 3), (2, 3, 4, 5), FACTORS,
    ]  # fmt: skip
    assert factors([(100, 800), (90, 90), (500, 100)]) == (2, 3)  # of the median long side
    classes = disc(20).astype(np.uint8)
    assert ceilings(classes, 2, (2, 4)) == (ceilings(classes, 2)[0], ceilings(classes, 2)[2])
