"""Cases for the page's modules: plans, volumes, a network of sines, all as `page_modules.mjs` takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stampseg.data.io.volume import Header, Volume, volume_header
from stampseg.data.labels.postprocess import LabelSteps
from stampseg.data.plan import Plan
from stampseg.runtime.sliding import Scorer

OBLIQUE = np.array(
    [[0.1, -0.9, 0.2, 5.0], [1.1, 0.1, 0.3, -7.0], [-0.2, 0.25, -2.1, 30.0], [0.0, 0.0, 0.0, 1.0]]
)


def plan_of(classes: int = 3, dims: int = 3, **changed: Any) -> Plan:
    usual: dict[str, Any] = {
        "spatial_dims": dims, "in_channels": 1, "orientation": "RAS" if dims == 3 else None, "crop": "none",
        "label_values": tuple(range(classes)), "normalization": "zscore", "ct": None,
        "label_names": ("background", *(f"label{n}" for n in range(1, classes))),
        "spacing": (1.3, 1.0, 1.7) if dims == 3 else (1.0, 1.0),
        "patch_size": (8, 10, 6) if dims == 3 else (12, 16), "strides": ((2,) * dims,),
    }  # fmt: skip
    return Plan(**{**usual, **changed})


def volume_of(plan: Plan, seed: int, spots: bool = False) -> Volume:
    """Smooth blobs and noise, with an empty border; or a few bright spots alone."""
    rng = np.random.default_rng(seed)
    shape = (17, 14, 12) if plan.spatial_dims == 3 else (31, 27)
    grid = np.indices(shape)
    waves = [np.sin(sum(g * rng.uniform(0.2, 0.7) for g in grid) + n) for n in range(plan.in_channels)]
    array = (100 * np.stack(waves) + rng.normal(0, 15, (plan.in_channels, *shape))).astype(np.float32)
    array[:, :2], array[:, :, -3:] = 0, 0
    if spots:
        array[array < np.partition(array.ravel(), -5)[-5]] = 0
    return as_volume(array)


def as_volume(array: np.ndarray) -> Volume:
    """An array (C, *S) as it is read from a file: a volume on oblique axes, or a picture."""
    path, shape = Path("case"), array.shape[1:]
    if len(shape) == 2:
        return Volume(array, Header(shape, (1.0, 1.0), None, len(array), "float32", path, True))
    return Volume(array, volume_header(path, shape, OBLIQUE, len(array), "float32"))


def weights_of(plan: Plan, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    background = {"bias": 0.7, "channels": [0.0] * plan.in_channels, "wave": 0.3}
    return [
        background,
        *(
            {
                "bias": float(rng.normal(0, 0.1)),
                "channels": ((-1) ** k * rng.uniform(0.7, 1.5, plan.in_channels)).tolist(),
                "wave": float(rng.normal(0, 0.3)),
            }
            for k in range(1, plan.out_channels)
        ),
    ]


def scores(weights: list[dict[str, Any]]) -> Scorer:
    def score(windows: np.ndarray) -> np.ndarray:
        ramp = np.sin(np.arange(windows[0, 0].size) / 7).reshape(windows.shape[2:])
        found = [
            one["bias"] + np.tensordot(windows, one["channels"], axes=(1, 0)) + one["wave"] * ramp
            for one in weights
        ]
        return np.stack(found, axis=1).astype(np.float32)

    return score


def as_case(
    plan: Plan, steps: tuple[LabelSteps, ...], volume: Volume, folder: Path, seed: int
) -> dict[str, Any]:
    return {
        "job": "segment", "plan": plan.model_dump(mode="json"), "confidence": True,
        "postprocess": [step.model_dump() for step in steps], "weights": weights_of(plan, seed),
        "volume": as_files(volume, folder / str(seed)),
    }  # fmt: skip


def as_files(volume: Volume, stem: Path) -> dict[str, Any]:
    """Its channels as files of float32, of volumes x fastest, of pictures the column."""
    files, order = [], "C" if volume.header.is_picture else "F"
    for channel, values in enumerate(volume.array):
        file = stem.with_name(f"{stem.name}-{channel}.raw")
        file.write_bytes(values.astype("<f4").tobytes(order=order))
        files.append(str(file))
    affine = None if volume.header.affine is None else volume.header.affine.tolist()
    return {"files": files, "shape": volume.header.shape, "affine": affine}
