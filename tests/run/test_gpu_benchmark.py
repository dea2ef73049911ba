"""benchmarks/gpu.py runs on the processor too, and its figures have the form in which others read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scripts import load_script
from tests.train.teams import quick_start

__all__ = ["quick_start"]
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.usefixtures("quick_start")
def test_all_settings_take_turns_with_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # where the other process finds the script
    script, found = load_script(BENCHMARKS / "gpu.py"), tmp_path / "tiny.json"
    words = ["--device", "cpu", "--tiny", "--devices", "1", "2", "--repeats", "2"]
    script.main([str(found), *words, "--settings", "bf16", "fp16", "contiguous", "pinned"])
    results = json.loads(found.read_text())
    assert results["settings"] == {"tiny": True, "repeats": 2, "device": "cpu"}
    cells = [("3d", 1.0), ("3d", 0.15), ("2d", 1.0), ("2d", 0.15)]
    for row, cell in zip(results["one_device"], cells, strict=True):
        assert (row["kind"], row["share"]) == cell
        assert set(row["failed"]) <= {"pinned"}, "there may be no memory of a GPU to copy to"
        assert row["f32"]["ratio_to_f32"] == 1
        for setting in ("bf16", "fp16", "contiguous"):
            assert row[setting]["ratio_to_f32"] > 0 and row[setting]["seconds"] > 0
            assert row["first_step_seconds"][setting] > 0
    whole, pruned = results["one_device"][:2]
    assert pruned["parameters"] <= 0.15 * whole["parameters"]
    for row, cell in zip(results["several"], cells, strict=True):
        assert (row["kind"], row["share"], row["devices"]) == (*cell, 2)
        assert row["alone"]["ratio_to_alone"] == 1 and row["together"]["ratio_to_alone"] > 0
