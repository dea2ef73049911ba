"""A network for tests of confidence: what is bright is the label, the surer the brighter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stampseg.data.calibration import LabelCalibration
from stampseg.data.labels.shapes import LabelShape
from stampseg.data.plan import Plan
from stampseg.runtime import segmentation, suggestion
from stampseg.runtime.model import OpenModel
from stampseg.runtime.segment_options import SegmentOptions

SHAPE = LabelShape(cases=9, size=(60.0, 90.0), pieces=1, at_border=False)
CURVE = LabelCalibration(certainty=(0.0, 1.0), dice=(0.0, 0.8), margin=0.1, people=9)


def plan(patch: Sequence[int] = (16, 16), **changes: Any) -> Plan:
    dims = len(patch)
    values = {
        "spatial_dims": dims, "in_channels": 1, "label_values": (0, 7), "crop": "none",
        "orientation": "RAS" if dims == 3 else None, "label_names": ("background", "liver"),
        "spacing": (1.0,) * dims, "patch_size": patch,
        "normalization": "min-max", "ct": None, "strides": ((2,) * dims,),
    }  # fmt: skip
    return Plan(**{**values, **changes})


def bright(windows: np.ndarray) -> np.ndarray:
    """Logits (B, 2, *S): liver where it is bright, the surer the brighter."""
    lead = 8 * (windows[:, :1] - 0.5)
    return np.concatenate([-lead, lead], axis=1).astype(np.float32)


def disc(shape: Sequence[int], radius: float, middle: Sequence[float] | None = None) -> np.ndarray:
    middle = [(n - 1) / 2 for n in shape] if middle is None else middle
    grid = np.indices(shape)
    far = sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True))
    return (far <= radius**2).astype(np.float32)


def put(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Plan, images: Mapping[str, np.ndarray]
) -> Path:
    """Pictures in a folder, which are segmented by what is bright, whatever model is named."""
    opened = OpenModel(settings, lambda: nullcontext(bright))
    monkeypatch.setattr(segmentation, "open_segmenter", lambda *a, **k: opened)
    monkeypatch.setattr(suggestion, "open_model", lambda *a, **k: opened)
    place = folder / "in"
    place.mkdir(exist_ok=True)
    for name, image in images.items():
        Image.fromarray((255 * image).astype(np.uint8)).save(place / f"{name}.png")
    return place


def predict(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Plan,
    images: Mapping[str, np.ndarray],
    **options: Any,
) -> list[str]:
    """What is said of them by `predict`, into `out/`."""
    place = put(folder, monkeypatch, settings, images)
    said: list[str] = []
    asked = SegmentOptions(**options)
    segmentation.segment(folder / "m", [place], folder / "out", asked, echo=said.append).check()
    return said
