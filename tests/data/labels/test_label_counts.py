"""Labels whose values are known are not read again, and few pictures tell how coarse a grid may be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stampseg.core.config import Config
from stampseg.data import fingerprint as module
from stampseg.data.cases import find_dataset
from stampseg.data.fingerprint import fingerprint
from stampseg.data.labels import label_table as labels
from stampseg.data.labels.label_table import count_values, label_table
from stampseg.data.labels.organs import read_label_files
from stampseg.data.labels.values import voxels_by_value
from stampseg.doctor.check import check
from tests.data.scans import write_pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path, map(str, range(6)), (48, 64))


def test_counts_are_kept_and_taken(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [case.label for case in find_dataset(pictures).cases]
    known: dict = {}
    first = count_values(files, known=known)
    assert known[files[0]] == voxels_by_value(np.asarray(Image.open(files[0])))
    monkeypatch.setattr(labels, "read_label_files", None)
    assert count_values(files, known=known) == first


def test_check_reads_each_label_twice(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to count its values, once to measure it on its image."""
    read: list[Path] = []

    def counting(files: Path) -> object:
        read.append(files)
        return read_label_files(files)

    for name in ("data.labels.label_table", "doctor.facts", "data.fingerprint", "run.survey"):
        monkeypatch.setattr(f"stampseg.{name}.read_label_files", counting)
    found = check(find_dataset(pictures), Config(), timing=False)
    validating = {case.label for case in found.survey.split.validation} if found.survey else set()
    assert {path: read.count(path) for path in set(read) - validating} == dict.fromkeys(
        set(read) - validating, 2
    )


def test_ceilings_of_some_pictures_and_of_every_class(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that only a picture between those that are measured holds is measured all the same."""
    path = pictures / "masks" / "3.png"
    mask = np.array(Image.open(path))
    mask[:12, :12] = 7
    Image.fromarray(mask).save(path)
    cases = find_dataset(pictures).cases
    table = label_table(cases, {})
    measured: list[int] = []
    ceilings = module.ceilings

    def counting(classes: np.ndarray, *others: object) -> object:
        measured.append(int(classes.max()))
        return ceilings(classes, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "ceilings", counting)
    monkeypatch.setattr(module, "MOST_CEILINGS", 2)
    monkeypatch.setattr(module, "factors", lambda shapes: (2, 4))
    found = fingerprint(cases, table, ())
    assert len(measured) == 3
    assert all(value is not None for row in found.grid_ceilings for value in row)
