"""Masks of DICOM series as other programs read them: benchmarks/dicom_round_trip.py, and its page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
NEAREST = 1e-3  # mm


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("highdicom")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])  # the script adds to it
        return load_script(ROOT / "benchmarks" / "dicom_round_trip.py")


def test_the_page_is_of_its_numbers_and_all_are_right(script: ModuleType) -> None:
    rows = [script.Row(**one) for one in json.loads(script.TARGET.read_text(encoding="utf-8"))]
    assert script.TARGET.with_suffix(".md").read_text(encoding="utf-8") == script.page(rows)
    assert {one.scan for one in rows} >= {*script.KINDS}
    for one in rows:
        assert one.note or (one.wrong == 0 and one.away < NEAREST and one.voxels > 1000), one


@pytest.mark.slow
def test_every_reader_has_the_same_voxels_in_the_same_place(script: ModuleType, tmp_path: Path) -> None:
    rows = script.measure(tmp_path, None, None)
    assert {one.scan for one in rows} == {*script.KINDS} and len(rows) == 5 * len(script.KINDS)
    for one in rows:
        assert not one.note and one.wrong == 0 and one.away < NEAREST, one


@pytest.mark.slow
def test_so_have_the_slices_of_a_ct(script: ModuleType, shared_data: Path, tmp_path: Path) -> None:
    rows = script.measure(tmp_path, shared_data / "liver_ct", None, steps=2)
    (liver,) = {one.scan for one in rows} - {*script.KINDS}
    found = [one for one in rows if one.scan == liver]
    assert len(found) == 5 and all(not one.note and one.wrong == 0 and one.away < NEAREST for one in found)
