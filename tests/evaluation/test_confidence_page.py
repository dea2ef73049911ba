"""The statistics of docs/results/confidence.md, by hand and where the truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.scripts import load_script

page = load_script(Path(__file__).resolve().parents[2] / "docs" / "generate_confidence.py")


def point(number: int, dice: float, ours: float, *, person: str = "", volume: float = 1.0):
    return page.Point(f"c{number}", person or f"p{number}", dice, ours, -1.0, volume)


def test_failures_among_the_lowest_fifth_are_counted() -> None:
    """Ten masks, of which three failed; the two of lowest certainty are one failure and a good one."""
    dice = [0.1, 0.9, 0.2, 0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    points = [point(n, value, 0.1 * n, volume=10 - n) for n, value in enumerate(dice)]
    assert page.caught(points) == (1, 3, 2)
    assert page.caught(points, "volume") == (0, 3, 2)


def test_equal_values_have_no_rank() -> None:
    points = [point(n, 0.1 * n, 0.5) for n in range(5)]
    assert page.spearman(points, "ours") is None
    assert page.spearman([point(n, 0.1 * n, 0.2 * n) for n in range(5)], "ours") == pytest.approx(1)


def test_intervals_hold_what_they_say_on_people_who_took_no_part() -> None:
    rng = np.random.default_rng(0)
    points = [
        point(n, float(np.clip(c + rng.normal(0, 0.04), 0, 1)), float(c), person=f"p{n % 40}")
        for n, c in enumerate(rng.uniform(0.5, 0.95, 80))
    ]
    found = page.after_calibration(points)
    assert found["people"] == 10 and found["level"] == 0.9
    assert 0.85 <= found["coverage"] <= 1 and 0.03 < found["error"] < 0.08


def test_of_six_people_five_calibrate_and_of_five_nobody() -> None:
    points = [point(n, 0.8 + 0.01 * n, 0.8 + 0.01 * n) for n in range(6)]
    assert page.after_calibration(points)["people"] == 5
    assert page.after_calibration(points)["level"] == pytest.approx(5 / 6)
    assert page.after_calibration(points[:5]) is None


def row(kind: str, case: str, dice: float | None = None, flags: tuple[str, ...] = ()) -> dict:
    labels = {"one": {"dice": dice, "certainty": dice, "entropy": 0.1, "volume": 9}} if kind == "test" else {}
    named = {"kind": kind, "task": "cardiac", "labelled": 4, "draw": 1, "case": case, "person": case}
    return {**named, "labels": labels, "flags": list(flags)}


def test_a_flag_on_a_failed_mask_is_no_false_alarm(tmp_path: Path) -> None:
    rows = [row("test", "a", 0.9), row("test", "b", 0.8, ("odd",)), row("test", "c", 0.1, ("odd",))]
    rows += [row("test", "d", None), row("turned", "a", flags=("odd",)), row("turned", "b")]
    _, found = page.flags_table(rows)
    assert found == {"flagged": 0.5, "alarms": pytest.approx(1 / 3), "all_alarms": 0.5}
    assert {len(of) for of in page.points(rows).values()} == {3}
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert (
        "**Not whole yet**: no cell of hippocampus, fetal, nerve, retina was done."
        in page.confidence_page(path)
    )
