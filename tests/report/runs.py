"""Run folders and predicted made by hand, so that reports can be tested without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stampseg.report.cases import PredictedCase, PredictedCases
from stampseg.report.drawing import Drawing, Layer
from stampseg.report.slices import view_of

LAYERS = ("first", "middle", "last")


def round_line(number: int, **changes: Any) -> dict[str, Any]:
    """A line of rounds.jsonl: every round cuts two channels of the middle layer."""
    return {
        "number": number,
        "event": "warm-up" if number == 0 else "cut",
        "widths": {"first": 8, "middle": 16 - 2 * number, "last": 8},
        "parameters": 1000 - 100 * number,
        "flops": 10_000 - 1000 * number,
        "steps": 10 * (number + 1),
        "loss": 1.0 / (number + 1),
        "validation": {
            "dice": 0.5 + 0.05 * number,
            "per_label": {"liver": 0.6 + 0.05 * number, "tumour": 0.4 + 0.05 * number},
        },
        "removed": {"middle": [0, 1]} if number else {},
        "dropout": {"middle": 0.02 * number} if number else {},
        "scores": {"first": 0.9, "middle": 0.1 * number} if number else {},
        "latency": None,
        **changes,
    }


def note_line(text: str, level: str = "info") -> str:
    """A line of notes.jsonl."""
    return json.dumps({"time": "2026-01-01T10:00:00+01:00", "level": level, "text": text})


def spec_of(*command: str) -> dict[str, Any]:
    """A run.json."""
    return {"work": "train", "data": "/scans", "config": {"seed": 3}, "command": list(command)}


def make_run(folder: Path, rounds: int = 5, **changes: Any) -> Path:
    """A run folder as a run leaves it, without models; `changes` replace files, None leaves one out."""
    files: dict[str, Any] = {
        "config.yaml": "method: stamp+\nseed: 0\n",
        "result.json": {
            "method": "stamp+",
            "parameters_before": 1000,
            "parameters_after": 700,
            "flops_before": 10_000_000_000,
            "flops_after": 7_000_000_000,
            "rounds": 5,
            "steps": 50,
            "validation_dice": 0.65,
            "seconds": 75.0,
            "target": "0.7 of the parameters",
            "target_reached": True,
            "chosen_round": 3,
            "rule": "within the target: the best validation Dice",
            "warnings": ["it finds next to nothing of tumour"],
            "remarks": ["one cut did not heal"],
            "machine": {"processor": "abacus", "threads": 2},
        },
        "splits.json": {
            "training": [{"id": "t0", "group": "t0", "images": ["t0.png"], "label": "t0_m.png"}],
            "validation": [{"id": "v0", "group": "anna", "images": ["gone.png"], "label": "gone_m.png"}],
        },
        "run.json": spec_of("stampseg", "train", "my scans", "-o", "run"),
        "notes.jsonl": note_line("spacing: 1 x 1 mm") + "\n",
        "log.txt": "2026-01-01 10:00:00,000 INFO spacing: 1 x 1 mm\n",
        "rounds.jsonl": "\n".join(json.dumps(round_line(n)) for n in range(rounds)) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {
        **files,
        **{key.replace("_", "."): value for key, value in changes.items()},
    }.items():
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def make_drawing(names: tuple[str, ...] = LAYERS) -> Drawing:
    """A small U: down, up, and a skip over the middle."""
    layers = tuple(
        Layer(n, i % 2, width, True) for i, (n, width) in enumerate(zip(names, (8, 16, 8), strict=True))
    )
    return Drawing(layers, ((0, 1), (1, 2), (0, 2)))


def make_predicted(labels: tuple[str, ...] = ("liver", "tumour"), prefix: str = "case") -> PredictedCases:
    """Three volumes of unlike Dice, and a case that could not be read."""
    cases = []
    for number in range(3):
        image = np.random.default_rng(number).normal(size=(1, 12, 16, 6)).astype(np.float32)
        reference = np.zeros((12, 16, 6), dtype=np.uint8)
        reference[3:9, 4:12, 1:5] = 1
        reference[5:7, 6:9, 2:4] = 2
        prediction = np.roll(reference, 2 - number, axis=0)
        view = view_of(image, prediction, reference, (1.0, 1.0, 3.0), len(labels) + 1, 48)
        dice = 0.5 + 0.2 * number
        values = dict.fromkeys((*labels, "union"), dice)
        cases.append(
            PredictedCase(
                f"{prefix}{number}", "anna", dice, values, dict.fromkeys(values, 9.0 - number), view=view
            )
        )
    broken = PredictedCase(f"{prefix}-lost", "ben", problem="gone.png is not there any more")
    return PredictedCases((*cases, broken), labels)
