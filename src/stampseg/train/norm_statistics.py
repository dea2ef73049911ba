"""Statistics of batch norms that belong to an average of weights.

Those of the average are averages over networks that are gone: while it teaches it takes those of the batch
itself, and when training has ended its own are estimated. Cai et al., "Exponential moving average
normalization for self-supervised and semi-supervised learning", CVPR 2021 (arXiv 2101.08482), on why it
matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
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


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Within it batch norms go by the batch, in eval mode too; their own statistics stay as they are."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    own = [(norm.running_mean, norm.running_var) for norm in norms]
    try:
        for norm in norms:
            norm.running_mean = norm.running_var = None
        yield
    finally:
        for norm, (mean, variance) in zip(norms, own, strict=True):
            norm.running_mean, norm.running_var = mean, variance
