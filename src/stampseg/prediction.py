"""Sliding-window prediction, back onto the case's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import nn

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
    """Class probabilities (K, *S) float32 on the CPU of a prepared image (C, *S).

    Windows of the training patch overlap by half and are averaged as probabilities under a
    Gaussian weight. An image smaller than the patch is padded to it by zeros on both sides, as
    in training, even where a smaller multiple of the stride would do: a wide zero border moves
    the statistics of instance norms and what the deep levels see, so it stays what was learned.
    """
    with evaluating(network), torch.inference_mode(), flushing_denormals():
        scores = sliding_window_inference(
            image[None].float(),
            roi_size=plan.patch_size,
            sw_batch_size=batch_size,
            predictor=_probabilities(network, torch.device(device)),
            overlap=OVERLAP,
            mode="gaussian",
            padding_mode="constant",
            sw_device=torch.device("cpu"),
            device=torch.device("cpu"),
        )
    return scores[0].clone()  # a clone outside inference mode may be used anywhere


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode; afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, training in modes:
            module.training = training


def _probabilities(network: nn.Module, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    def predict(windows: torch.Tensor) -> torch.Tensor:
        # Channels last halves the time of narrow convolutions on the CPU.
        layout = torch.channels_last if windows.ndim == 4 else torch.channels_last_3d
        if device.type == "mps":
            layout = torch.contiguous_format
        output = network(windows.to(device).contiguous(memory_format=layout))
        logits = main_map(output, windows.ndim - 2)
        return torch.softmax(logits.float(), dim=1).cpu()

    return predict
