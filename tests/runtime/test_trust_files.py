"""confidence.json gives back what was written, and is kept up while masks are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.calibration import MEASURE, Calibration
from stampseg.data.plan import Plan, TrainingScans
from stampseg.runtime import trust_files
from stampseg.runtime.trust import Assessed, Trust, label_trust
from stampseg.runtime.trust_files import RECORD, TrustFiles, read_trust, write_trust
from tests.runtime.bright import CURVE, SHAPE, plan

NAMES = ("background", "liver", "lesion")


def settings() -> Plan:
    """The liver is in all nine training cases, the lesion in three of them."""
    shapes = (None, SHAPE.model_copy(update={"cases": 9}), SHAPE.model_copy(update={"cases": 3}))
    scans = TrainingScans(spacing=((1, 1),) * 2, extent=((16, 16),) * 2, values=(), labels=shapes, cases=9)
    known = Calibration(labels=(None, CURVE, CURVE), source="folds", measure=MEASURE)
    return plan(scans=scans, calibration=known, label_values=(0, 1, 2), label_names=NAMES)


def assessed(folder: Path, name: str, liver: float | None, lesion: float | None, *flags: str) -> Assessed:
    labels = tuple(
        label_trust(settings(), number, certainty, certainty is not None)
        for number, certainty in enumerate((liver, lesion), 1)
    )
    (folder / f"{name}.png").write_bytes(b"")
    trust = Trust(labels, flags, flags[:1])
    return Assessed(Path("scans") / name, folder / f"{name}.png", folder / f"{name}_uncertainty.png", trust)


@pytest.fixture
def rows(tmp_path: Path) -> list[Assessed]:
    return [
        assessed(tmp_path, "sure", 0.9371, 1 / 3),
        assessed(tmp_path, "odd", 0.2, None, "brighter than in training", "liver: 4 pieces"),
        assessed(tmp_path, "empty", None, None),
    ]


def test_what_is_read_is_what_was_written(tmp_path: Path, rows: list[Assessed]) -> None:
    write_trust(tmp_path, rows, settings())
    assert read_trust(tmp_path, settings()) == {row.mask.name: row for row in rows}
    assert rows[2].trust.labels[0].missing and not rows[2].trust.labels[1].missing


def test_masks_that_are_gone_are_not_told_of(tmp_path: Path, rows: list[Assessed]) -> None:
    write_trust(tmp_path, rows, settings())
    rows[0].mask.unlink()
    assert sorted(read_trust(tmp_path, settings())) == ["empty.png", "odd.png"]
    assert read_trust(tmp_path / "elsewhere", settings()) == {}


def test_a_table_of_other_labels_is_refused(tmp_path: Path, rows: list[Assessed]) -> None:
    write_trust(tmp_path, rows, settings())
    other = settings().model_copy(update={"label_names": ("background", "liver", "cyst")})
    with pytest.raises(DataError, match=r"confidence.json: cannot be used, or was written by another model"):
        read_trust(tmp_path, other)


def test_it_is_written_now_and_then(
    tmp_path: Path, rows: list[Assessed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kills a long prediction keeps what was known a while before."""
    clock = [0.0]
    monkeypatch.setattr(trust_files.time, "monotonic", lambda: clock[0])
    files = TrustFiles(tmp_path, settings(), rows[:1])
    files.add(rows[1])
    assert not (tmp_path / RECORD).exists()
    clock[0] += trust_files.PAUSE_SECONDS
    files.add(rows[2])
    assert len(json.loads((tmp_path / RECORD).read_text())["scans"]) == 3
    assert {row.mask.name for row in files.rows} == {"sure.png", "odd.png", "empty.png"}


def test_without_a_mask_nothing_is_written(tmp_path: Path) -> None:
    TrustFiles(tmp_path, settings()).write()
    assert not list(tmp_path.iterdir())
