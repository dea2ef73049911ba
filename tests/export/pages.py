"""Exported pages of networks that nobody trained, and the same networks as ONNX to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from stampseg.export import export_model
from stampseg.export.web_script import asset
from stampseg.networks.model_file import Model
from stampseg.runtime import Predictor
from tests.networks.small_model import make_model

AFFINE = np.array([[0, -1.5, 0.1, 4], [1.2, 0, 0, -3], [0, 0.1, -2, 9], [0, 0, 0, 1.0]])


def need_vendor() -> None:
    """Skip the test where `make web` has not been run."""
    if not asset("vendor").joinpath("engine.wasm.gz").is_file():
        pytest.skip("the page's engine is not there; run make web")


def model_of(dims: int, *, classes: int = 2, **plan: Any) -> Model:
    """A network with a plan that was changed so; volumes are turned to RAS."""
    network, graph, description = make_model(dims, norm="instance", cuts=4, classes=classes)
    _balance(network, dims)
    changed = {"orientation": "RAS" if dims == 3 else None, "patch_size": (16,) * dims, **plan}
    described = description.model_copy(update={"plan": description.plan.model_copy(update=changed)})
    return Model(network, graph, described)


def _balance(network: nn.Module, dims: int) -> None:
    """Move the last bias, so that all classes are found; of several, each must be surer for it."""
    *_, weight, bias = network.parameters()
    with torch.no_grad():
        weight *= 1 if len(bias) == 2 else 20
        scores = network(torch.randn(1, 1, *[16] * dims, generator=torch.Generator().manual_seed(1)))
        for value in range(1, len(bias)):
            bias[value] -= (scores[:, value] - scores[:, 0]).median()


def page_of(model: Model, folder: Path) -> tuple[Path, Predictor]:
    """The page, and what predicts the same without a browser."""
    page, onnx = folder / "segment.html", folder / "model.onnx"
    export_model(model, page, format="html")
    export_model(model, onnx, format="onnx")
    return page, Predictor(onnx, threads=1)


def scan_file(folder: Path, shape: Sequence[int] = (30, 26, 18)) -> Path:
    """Waves and noise on tilted axes."""
    rng = np.random.default_rng(1)
    grid = np.indices(shape)
    array = 200 * np.sin(grid[0] / 4) * np.cos(grid[1] / 5) * np.sin(grid[2] / 3) + rng.normal(0, 20, shape)
    nib.save(nib.Nifti1Image(array.astype(np.int16), AFFINE), folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Share of voxels that are the same, and the lowest Dice of a label."""
    dice = [
        2 * ((first == value) & (second == value)).sum() / ((first == value).sum() + (second == value).sum())
        for value in np.union1d(first, second)
    ]
    return float((first == second).mean()), float(min(dice))
