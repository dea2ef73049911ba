"""A study of eight cells that end within seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.data.scans import write_pictures

OPTIONS: dict[str, Any] = {
    "network": {"width": 4, "poolings": 2},
    "train": {"steps": 6, "missed_label": "warn", "batch_size": 2},
    "prune": {"rounds": 2, "ready_dice": 0},
}
METHODS: dict[str, Any] = {
    "ours": {"method": "stamp+", "prune": {"target": "40%"}},
    "flat, equal FLOPs": {"method": "flat", "prune": {"target": {"flops of": "ours"}}},
}
CELLS = 8


def study_values(**changes: Any) -> dict[str, Any]:
    """What the file of the study holds, with some of it changed."""
    task = {"data": "pictures", "people": "(p.)-IM", "labelled_people": [1, 2], "each": 1, "test": 1}
    return {
        "tasks": {"discs": task}, "methods": METHODS, "draws": [10, 11],
        "claims": [{"method": "ours", "against": "flat, equal FLOPs", "kind": "superior"}],
        "options": OPTIONS, **changes,
    }  # fmt: skip


def write_study(folder: Path, **changes: Any) -> Path:
    """The file, beside the pictures of four people."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pictures").is_dir():
        (folder / "pictures").mkdir()
        write_pictures(folder / "pictures", [f"p{index // 2}-IM-{index}" for index in range(8)])
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study_values(**changes), sort_keys=False))
    return path


def digests(study: Path) -> dict[str, str]:
    """SHA-256 of every model of a study, by the name of its cell."""
    records = sorted((study / "cells").glob("*/*/*/cell.json"))
    return {
        path.parent.relative_to(study / "cells").as_posix(): json.loads(path.read_text())["result"]["sha256"]
        for path in records
    }
