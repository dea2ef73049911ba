"""Sliding-window prediction, back onto the case's own grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from scipy.ndimage import gaussian_filter
from torch import nn

from .channels.modes import evaluating
from .data.cases import Case
from .data.plan import Plan
from .data.preprocess import prepare, restore
from .data.readers import read_image
from .denormals import flushing_denormals
from .networks.outputs import main_map

OVERLAP = 0.5


def predict_case(
    network: nn.Module, case: Case, plan: Plan, device: str | torch.device, *, batch_size: int = 1
) -> np.ndarray:
    """Class index of every voxel, (*S) uint8 on the case's own grid.

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
    scores = predict_prepared(network, prepared.image, plan, device, batch_size=batch_size)
    return restore(scores, prepared.geometry)


def predict_prepared(
    network: nn.Module, image: torch.Tensor, plan: Plan, device: str | torch.device, *, batch_size: int = 1
) -> torch.Tensor:
    """Class scores (K, *S) float32 on the CPU of a prepared image (C, *S).

    Windows of the training patch overlap by half and are averaged as probabilities under a
    Gaussian weight; as logits, at nnU-Net's places and under its weight, where the plan has its
    convention. An image smaller than the patch is padded to it by zeros on both sides, as in
    training, even where a smaller multiple of the stride would do: a wide zero border moves the
    statistics of instance norms and what the deep levels see, so it stays what was learned.
    """
    with evaluating(network), torch.inference_mode(), flushing_denormals():
        scores = sliding_window_inference(
            image[None].float(),
            roi_size=plan.patch_size,
            sw_batch_size=batch_size,
            predictor=_scores(network, torch.device(device), logits=plan.convention == "nnunet"),
            mode="gaussian",
            padding_mode="constant",
            sw_device=torch.device("cpu"),
            device=torch.device("cpu"),
            **_windows(tuple(image.shape[1:]), plan),
        )
    return scores[0].clone()  # a clone outside inference mode may be used anywhere


def _windows(shape: tuple[int, ...], plan: Plan) -> dict[str, Any]:
    """How windows overlap and are weighted, as `sliding_window_inference` takes it."""
    if plan.convention != "nnunet":
        return {"overlap": OVERLAP}
    overlaps = []
    for size, window in zip(shape, plan.patch_size, strict=True):
        rest = max(size - window, 0)  # evenly spread over the fewest windows that overlap by half
        step = math.ceil(rest / max(math.ceil(rest / (OVERLAP * window)), 1)) or window
        overlaps.append(max(1 - (step + 0.5) / window, 0.0))
    return {"overlap": overlaps, "roi_weight_map": _spot(plan.patch_size)}


@lru_cache(maxsize=2)
def _spot(patch: tuple[int, ...]) -> torch.Tensor:
    """nnU-Net's weight of a window, (1, 1, *patch): a Gaussian of an eighth of it, never 0."""
    spot = np.zeros(patch)
    spot[tuple(size // 2 for size in patch)] = 1
    spot = gaussian_filter(spot, [size / 8 for size in patch], mode="constant")
    spot = np.maximum(spot / spot.max(), spot[spot > 0].min() / spot.max())
    return torch.from_numpy(spot.astype(np.float32))[None, None]


def _scores(network: nn.Module, device: torch.device, logits: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    def predict(windows: torch.Tensor) -> torch.Tensor:
        # Channels last halves the time of narrow convolutions on the CPU.
        layout = torch.channels_last if windows.ndim == 4 else torch.channels_last_3d
        if device.type == "mps":
            layout = torch.contiguous_format
        output = network(windows.to(device).contiguous(memory_format=layout))
        scores = main_map(output, windows.ndim - 2).float()
        return (scores if logits else torch.softmax(scores, dim=1)).cpu()

    return predict
