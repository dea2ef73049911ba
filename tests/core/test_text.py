"""Words for messages."""

from __future__ import annotations

import numpy as np
import pytest

from stampseg.core.text import (
    csv_text,
    dice_text,
    duration_text,
    number_text,
    range_text,
    shape_text,
    size_text,
    some,
)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "a"), (5, "a, b, c, d, e"), (7, "a, b, c, d, e and 2 more")]
)
def test_a_list_names_the_first_and_counts_the_rest(count: int, expected: str) -> None:
    assert some(list("abcdefg"[:count])) == expected


def test_whole_numbers_keep_all_their_digits() -> None:
    assert size_text((12_000_000, 7)) == size_text(np.array([12_000_000, 7.0])) == "12000000 x 7"
    assert size_text((3.4e38, float("nan"), float("inf"))) == "3.4e+38 x nan x inf"
    assert size_text((0.72656, 1.0, 2.5)) == size_text(np.array([0.72656, 1.0, 2.5])) == "0.72656 x 1 x 2.5"
    assert size_text((0.72656, 2.5), 3, "×") == "0.727 × 2.5"


def test_numbers_are_plain() -> None:
    """They were 2.06e+03 and 6.554e+04."""
    assert [number_text(n, 3) for n in (2063.4, 65535, 20.634, 0.01234, 1.0)] == [
        "2063",
        "65535",
        "20.6",
        "0.0123",
        "1",
    ]
    assert number_text(999.6, 3) == "1000" and number_text(-9999.6) == "-10000"
    assert number_text(-0.0) == "0" and number_text(np.float32(123456.7)) == "123457"
    assert range_text(-1024, 3071.5) == "-1024 to 3072" == range_text(np.float64(-1024), 3071.9)


def test_shapes_are_written_as_the_command_line_takes_them() -> None:
    assert shape_text((1, 1, 64, 48)) == "1x1x64x48"
    assert shape_text(()) == "scalar"


def test_times_and_figures() -> None:
    assert [duration_text(s) for s in (0.2, 89, 90, 5399, 5400)] == [
        "1 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
    ]
    assert (dice_text(0.8536), dice_text(None), dice_text(None, "-")) == ("0.854", "not measured", "-")


def test_a_table_of_comma_separated_values() -> None:
    assert csv_text([("case", "dice"), ["a, b", None], ["c", 0.5]]) == 'case,dice\n"a, b",\nc,0.5\n'
