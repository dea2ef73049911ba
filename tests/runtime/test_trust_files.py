"""What is told of masks comes back as it was, of the masks that are there as they were, and of no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stampseg.core.errors import DataError
from stampseg.data.calibration import MEASURE, Calibration
from stampseg.data.plan import Plan, TrainingScans
from stampseg.runtime.trust import Assessed, Trust, label_trust
from stampseg.runtime.trust_files import LINES, RECORD, TrustFiles, made_by
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


BY = {"model": "5e", "mirror": False}


def files(folder: Path, *rows: Assessed, by: dict[str, object] = BY) -> TrustFiles:
    found = TrustFiles(folder, settings(), by)
    for row in rows:
        found.add(row)
    return found


def read(
    folder: Path, *, strict: bool = True, by: dict[str, object] = BY, of: Plan | None = None
) -> list[Assessed]:
    found = TrustFiles(folder, of or settings(), by)
    found.take_up(strict)
    return sorted(found.rows, key=lambda row: row.mask.name)


def test_what_is_read_is_what_was_written(tmp_path: Path, rows: list[Assessed]) -> None:
    files(tmp_path, *rows).write()
    assert not (tmp_path / LINES).exists()
    whole = [replace(row, image=row.image.absolute()) for row in rows]
    assert read(tmp_path) == sorted(whole, key=lambda row: row.mask.name)
    assert rows[2].trust.labels[0].missing and not rows[2].trust.labels[1].missing


def test_a_process_that_is_killed_leaves_all_but_half_a_line(tmp_path: Path, rows: list[Assessed]) -> None:
    files(tmp_path, *rows)  # and nothing is written at the end
    with (tmp_path / LINES).open("a") as file:
        file.write('{"made_by": {"model": "5e", "mirr')
    assert not (tmp_path / RECORD).exists() and len(read(tmp_path)) == 3


def test_two_processes_on_a_folder_tell_of_the_masks_of_both(tmp_path: Path, rows: list[Assessed]) -> None:
    one, other = files(tmp_path, rows[0]), files(tmp_path, rows[1])
    one.write()
    other.add(rows[2])
    other.write()
    told = json.loads((tmp_path / RECORD).read_text())["scans"]
    assert {scan["mask"] for scan in told} == {"sure.png", "odd.png", "empty.png"}


def test_what_stands_after_half_a_line_or_is_no_text_is_no_harm(tmp_path: Path, rows: list[Assessed]) -> None:
    (tmp_path / LINES).write_bytes(b'\xff\xfe{"made_by"')
    files(tmp_path, *rows)
    assert len(read(tmp_path)) == 3


def test_lines_of_another_model_at_work_stay(tmp_path: Path, rows: list[Assessed]) -> None:
    other = {**BY, "model": "6f"}
    files(tmp_path, rows[0], by=other)
    files(tmp_path, rows[1]).write()
    found = TrustFiles(tmp_path, settings(), other)
    found.take_up(strict=False)
    assert [row.mask.name for row in found.rows] == ["sure.png"]
    assert sorted(path.name for path in tmp_path.glob(".*")) == [LINES]


def test_a_mask_that_went_away_ends_nothing(tmp_path: Path, rows: list[Assessed]) -> None:
    found = files(tmp_path)
    rows[0].mask.unlink()
    found.add(rows[0])
    found.write()
    assert read(tmp_path) == [] and len(json.loads((tmp_path / RECORD).read_text())["scans"]) == 1


def test_masks_that_are_gone_or_were_changed_are_not_told_of(tmp_path: Path, rows: list[Assessed]) -> None:
    files(tmp_path, *rows).write()
    rows[0].mask.unlink()
    rows[1].mask.write_bytes(b"drawn by hand")
    assert [row.mask.name for row in read(tmp_path)] == ["empty.png"]
    assert read(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    "changes",
    [{"by": {**BY, "model": "6f"}}, {"by": {**BY, "mirror": True}},
     {"of": settings().model_copy(update={"label_names": ("background", "liver", "cyst")})}],
)  # fmt: skip
def test_masks_of_another_model_or_other_options_are_refused(
    tmp_path: Path, rows: list[Assessed], changes: dict[str, Any]
) -> None:
    files(tmp_path, *rows).write()
    with pytest.raises(DataError, match=r"confidence.json: tells of masks of another model, of other"):
        read(tmp_path, **changes)
    assert read(tmp_path, strict=False, **changes) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"certainty": 0.2', '"certainty": 17.0'),
        ('"found": true', '"found": "no"'),
        ('"flags": [', '"flags": 3, "x": ['),
        ("{\n", "[" * 200_000),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, rows: list[Assessed], old: str, new: str) -> None:
    files(tmp_path, *rows).write()
    path = tmp_path / RECORD
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match="is damaged; leave out `confidence`"):
        read(tmp_path)


def test_without_a_mask_nothing_is_written(tmp_path: Path) -> None:
    files(tmp_path).write()
    assert not list(tmp_path.iterdir())


def test_a_model_is_told_by_what_is_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"one")
    (tmp_path / "copy.safetensors").write_bytes(b"one")
    (tmp_path / "other.safetensors").write_bytes(b"two")
    run, copy, other = (
        made_by(tmp_path / name, mirror=True) for name in ("run", "copy.safetensors", "other.safetensors")
    )
    assert run == copy != other and run["mirror"] is True
