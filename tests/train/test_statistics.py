"""Batch norms of an average: the plain mean over batches, and nothing else changes."""

from __future__ import annotations

import torch
from torch import nn

from stampseg.networks.unet import UNet
from stampseg.train.statistics import with_own_statistics


def test_the_statistics_are_the_mean_over_the_batches_and_the_network_is_left_alone() -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 4, [(2, 2)]).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batches = [torch.randn(3, 1, 8, 8) * k + k for k in (1, 2, 3)]
    twin = with_own_statistics(network, batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), network.parameters(), strict=True))
    # the first norm sees what the first convolution makes of the images
    first = next(module for module in twin.modules() if isinstance(module, nn.BatchNorm2d))
    convolution = next(module for module in twin.modules() if isinstance(module, nn.Conv2d))
    maps = [convolution(batch) for batch in batches]
    means = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    variances = torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)
    assert torch.allclose(first.running_mean, means, atol=1e-6)
    assert torch.allclose(first.running_var, variances, atol=1e-5)
    assert not twin.training and first.momentum == 0.1


def test_a_network_without_batch_norms_is_the_same() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2, affine=True))
    image = torch.randn(2, 1, 8, 8)
    assert torch.equal(with_own_statistics(network, [image])(image), network.eval()(image))
