"""Batch norms of an average: the plain mean over batches, and nothing else changes."""

from __future__ import annotations

import copy

import torch
from torch import nn

from stampseg.networks.unet import UNet
from stampseg.train.norm_statistics import estimate_statistics


def test_the_statistics_are_the_mean_over_the_batches_and_no_weight_changes() -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, 2, 4, [(2, 2)]).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batches = [torch.randn(3, 1, 8, 8) * k + k for k in (1, 2, 3)]
    twin = copy.deepcopy(network)
    estimate_statistics(twin, batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in twin.named_parameters())
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
    before = network.eval()(image)
    estimate_statistics(network, iter(()))
    assert torch.equal(network(image), before)
