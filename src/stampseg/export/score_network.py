"""A network as it is exported: images in, the class scores of the main map out, and nothing else."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..channels.dropout import detach_dropout
from ..networks.folding import fold_norms
from ..networks.model_file import Model, example_of
from ..networks.outputs import main_map


class ScoreNetwork(nn.Module):
    """Image (B, C, *S) float32 -> scores (B, K, *S) float32 of the map at full resolution.

    Args:
        network: in evaluation mode, its parameters of the type to compute in.
        spatial_dims: 2 or 3.
        layout: of the image inside; None leaves it.
    """

    def __init__(
        self, network: nn.Module, spatial_dims: int, layout: torch.memory_format | None = None
    ) -> None:
        super().__init__()
        self.network, self.spatial_dims, self.layout = network, spatial_dims, layout
        self.dtype = next((p.dtype for p in network.parameters()), torch.float32)

    def forward(self, image: Tensor) -> Tensor:
        if self.layout is not None:
            image = image.contiguous(memory_format=self.layout)
        return main_map(self.network(image.to(self.dtype)), self.spatial_dims).to(torch.float32)


def score_network_of(
    model: Model, dtype: torch.dtype = torch.float32, *, channels_last: bool = False
) -> ScoreNetwork:
    """The model's network for export, on the CPU: norms folded, no dropout, no gradients.

    Args:
        model: it is not changed.
        dtype: numbers to compute in.
        channels_last: lay weights and images out so, which is what PyTorch is fast with on the CPU.
    """
    dims = model.plan.spatial_dims
    network = copy.deepcopy(model.network).cpu().float().eval().requires_grad_(False)
    detach_dropout(network)
    network = fold_norms(network, dims, example_of(model, 1)).to(dtype)
    if not channels_last:
        return ScoreNetwork(network.to(memory_format=torch.contiguous_format), dims).eval()  # type: ignore[call-overload]
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    return ScoreNetwork(network.to(memory_format=layout), dims, layout).eval()  # type: ignore[call-overload]
