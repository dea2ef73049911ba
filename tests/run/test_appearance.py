"""What scans of this kind look like is known from those without labels too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stampseg.core.config import Config
from stampseg.data.appearance import Appearance
from stampseg.data.cases import find_dataset
from stampseg.run.survey import survey
from tests.data.scans import write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures, four masks."""
    folder = write_pictures(tmp_path_factory.mktemp("pictures"), map(str, range(9)), (24, 32))
    for name in range(5):
        (folder / "masks" / f"{name}.png").unlink()
    return folder


def found_in(pictures: Path, **changes: Any) -> Appearance:
    config = Config().merged({"train": {"validation": "none"}, **changes})
    seen = survey(find_dataset(pictures), config)
    assert seen.plan.scans is not None and seen.plan.scans.appearance == seen.fingerprint.appearance
    assert seen.plan.scans.cases == 4  # sizes of labels are of the labelled ones
    assert seen.fingerprint.appearance is not None
    return seen.fingerprint.appearance


def test_scans_without_labels_have_their_part(pictures: Path) -> None:
    labelled, of_all = found_in(pictures, unlabelled="none"), found_in(pictures)
    assert (labelled.people, of_all.people) == (4, 9) and labelled.cells != of_all.cells


def test_of_many_some_of_each_person_are_read(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stampseg.run.appearance.LEAST_LOOKS", 2)
    monkeypatch.setattr("stampseg.run.appearance.LOOKED_AT", 3 * 24 * 32 - 1)
    assert found_in(pictures).people == 4 + 3
    monkeypatch.setattr("stampseg.run.appearance.LOOKED_AT", 1)
    assert found_in(pictures).people == 4 + 2


def test_one_that_cannot_be_read_is_left_out(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = pictures / "images" / "2.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    try:
        assert found_in(pictures).people == 8
    finally:
        broken.write_bytes(whole)


def test_one_that_shows_nothing_is_left_out(pictures: Path) -> None:
    blank = pictures / "images" / "2.png"
    whole = blank.read_bytes()
    Image.new("L", (32, 24), 7).save(blank)
    try:
        assert found_in(pictures).people == 8
    finally:
        blank.write_bytes(whole)
