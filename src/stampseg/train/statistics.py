"""Statistics of batch norms that belong to an average of weights, estimated when training has ended.

Those of the average are averages over networks that are gone. Cai et al., "Exponential moving average
normalization for self-supervised and semi-supervised learning", CVPR 2021 (arXiv 2101.08482), on why it
matters.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ..networks.denormals import flushing_denormals
from ..networks.narrow_layers import narrow_layers


def estimate_statistics(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Give the batch norms the plain mean over the batches; no weight changes, nor the mode.

    Args:
        network: changed in place; in one without batch norms nothing changes, and no batch is asked for.
        images: batches (B, C, *P) on its device.
    """
    with torch.no_grad(), flushing_denormals(), narrow_layers():
        update_bn(images, network)
