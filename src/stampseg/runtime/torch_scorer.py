"""Prediction with a torch network, window by window, back onto the case's own grid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..channels.modes import evaluating
from ..data.cases import Case
from ..data.io.readers import read_image
from ..data.labels.postprocess import Postprocessing
from ..data.plan import Plan
from ..data.preprocess import Geometry, Prepared, prepare
from ..networks.denormals import flushing_denormals, start_flushing_workers
from ..networks.device import lay_out, memory_format, resolve_device, seed_everything
from ..networks.folding import fold_norms
from ..networks.model_file import Model, example_of, find_model, load_model
from ..networks.narrow_layers import narrow_layers
from ..networks.outputs import main_map
from .sliding import Scorer, segment_windows


@dataclass(frozen=True, eq=False)
class OpenNetwork:
    """A network that predicts, in evaluation mode, on its device.

    `plan` says how images are prepared for it, `steps` what is done to its masks.
    """

    network: nn.Module
    plan: Plan
    device: torch.device
    steps: Postprocessing = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def open_network(path: Path, device: str = "cpu", *, trusted: Collection[str] = ()) -> OpenNetwork:
    """The network of a run folder or a model file, ready to predict.

    Raises:
        ConfigError: the machine has no such device.
        ModelFileError: the model cannot be loaded, or does not say how images are prepared.
    """
    start_flushing_workers()
    seed_everything(0)
    place = resolve_device(device)
    return for_prediction(load_model(find_model(path), place, trusted=trusted), place)


def for_prediction(model: Model, device: torch.device) -> OpenNetwork:
    """A loaded model as it predicts: batch norms in the convolutions, weights laid out for speed.

    Raises:
        ModelFileError: the model does not say how images are prepared.
    """
    plan = model.plan
    folded = fold_norms(model.network.float(), plan.spatial_dims, example_of(model, 1).to(device))
    network = lay_out(folded, plan.spatial_dims, device)
    described = model.description
    return OpenNetwork(network, plan, device, described.postprocess, described.provenance)


def predict_case(
    network: nn.Module,
    case: Case,
    plan: Plan,
    device: str | torch.device,
    *,
    batch_size: int = 1,
) -> np.ndarray:
    """Class index of every voxel, (*S) on the case's own grid; uint8, or uint16 of more than 256 classes.

    Args:
        network: (B, C, *P) -> class logits (B, K, *P), or several maps of which the first counts; its
            modes are as before on return.
        case: one image; its label, if any, is not read.
        plan: the plan the network was trained with.
        device: where the network is.
        batch_size: windows per forward pass.

    Raises:
        DataError: a file that cannot be read or does not fit the plan.
    """
    prepared = prepare(read_image(case.images, plan.in_channels), plan)
    with scoring(network, device) as scorer:
        return segment_windows(prepared, plan, scorer, batch_size=batch_size)


def predict_working(
    network: nn.Module, image: np.ndarray, plan: Plan, device: str | torch.device
) -> np.ndarray:
    """Class index of every voxel, (*S), of a prepared image (C, *S) on its own grid."""
    prepared = Prepared(image, None, Geometry.working(image.shape[1:]))
    with scoring(network, device) as scorer:
        return segment_windows(prepared, plan, scorer)


@contextmanager
def scoring(network: nn.Module, device: str | torch.device) -> Iterator[Scorer]:
    """The network as a scorer of windows, in evaluation mode for as long as it is used."""
    place = torch.device(device)

    def score(windows: np.ndarray) -> np.ndarray:
        layout = memory_format(windows.ndim - 2, place)
        given = torch.from_numpy(windows).to(place).contiguous(memory_format=layout)
        return main_map(network(given), windows.ndim - 2).float().cpu().contiguous().numpy()

    with evaluating(network), torch.inference_mode(), flushing_denormals(), narrow_layers():
        yield score
