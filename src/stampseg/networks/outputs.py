"""What networks give back: one map of class scores, or several of deep supervision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..channels.modes import evaluating
from ..core.errors import WiringError


def score_maps(output: Any, spatial_dims: int) -> list[Tensor]:
    """Class scores (B, K, *S), the map at full resolution first.

    Args:
        output: what the network gave: a tensor (B, K, *S); a tuple, list or dictionary of such,
            nested or not; or (B, N, K, *S), N maps stacked as MONAI's DynUNet does in training.
        spatial_dims: 2 or 3.
    """
    if isinstance(output, Tensor):
        if output.ndim == spatial_dims + 3:
            return list(output.unbind(1))
        return [output] if output.ndim == spatial_dims + 2 else []
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, list | tuple):
        return [scores for value in output for scores in score_maps(value, spatial_dims)]
    return []


def main_map(output: Any, spatial_dims: int) -> Tensor:
    """The map at full resolution, (B, K, *S).

    Raises:
        WiringError: nothing in it is a map of class scores.
    """
    maps = score_maps(output, spatial_dims)
    if not maps:
        raise WiringError(
            f"the network gave {type(output).__name__} without class scores (B, classes, *{spatial_dims} "
            "axes); return a tensor, or a list or dictionary of them with the full resolution first"
        )
    return maps[0]


def check_outputs(network: nn.Module, example: Tensor, classes: int) -> None:
    """Run a network once and check what it gives.

    Args:
        network: in any mode, which it keeps.
        example: (B, C, *S) input.
        classes: background included.

    Raises:
        WiringError: no scores, scores of another number of classes, or at another resolution.
    """
    with evaluating(network), torch.no_grad():
        scores = main_map(network(example), example.ndim - 2)
    if scores.shape[1:] != (classes, *example.shape[2:]):
        raise WiringError(
            f"{type(network).__name__} gives scores of shape {tuple(scores.shape[1:])} for an image of "
            f"{tuple(example.shape[1:])}; expected {classes} classes, background included, at the image's "
            "own size"
        )
