"""Narrow norms give torch's numbers, for every layout, mode and count of channels."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from stampseg.networks.device import lay_out
from stampseg.networks.narrow_layers import is_narrow, narrow_layers
from stampseg.networks.unet import UNet
from stampseg.timing.stopwatch import measure

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
NORMS = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}


def inputs(dims, channels, side=6, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((batch, channels, *[side] * (dims - 1), side - 1), generator=generator) * 2 + 5
    return x.contiguous(memory_format=LAYOUTS[dims])


def make(kind, dims, channels, affine):
    norm = NORMS[kind][dims](channels, affine=affine)
    if affine:
        nn.init.uniform_(norm.weight, -1, 1)
        nn.init.uniform_(norm.bias, -1, 1)
    return norm


def passed(norm, x, dtype=torch.float32, fast=True):
    """Output and gradients in the given precision."""
    x = x.to(dtype).contiguous(memory_format=LAYOUTS[x.ndim - 2]).requires_grad_()
    norm = norm.to(dtype)
    if fast:
        with narrow_layers():
            y = norm(x)
    else:
        y = norm(x)
    weights = torch.sin(torch.arange(y.numel(), dtype=dtype)).view_as(y)
    return y, *torch.autograd.grad((y * weights).sum(), [x, *norm.parameters()])


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", [2, 3, 5, 12])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", NORMS)
def test_same_numbers_and_gradients_as_in_double_precision(kind, dims, channels, affine):
    norm, x = make(kind, dims, channels, affine), inputs(dims, channels)
    assert is_narrow(x)
    ours = passed(norm, x)
    exact = passed(make_like(norm, kind, dims, channels, affine), x, torch.float64, fast=False)
    for found, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-5)


def make_like(norm, kind, dims, channels, affine):
    twin = NORMS[kind][dims](channels, affine=affine)
    twin.load_state_dict(norm.state_dict() | {k: v for k, v in twin.state_dict().items() if "running" in k})
    return twin


@pytest.mark.parametrize("dims", [2, 3])
def test_running_statistics_are_those_of_torch_and_are_used_in_eval_mode(dims):
    ours, theirs, x = nn.BatchNorm3d(3), nn.BatchNorm3d(3), inputs(3, 3)
    if dims == 2:
        ours, theirs, x = nn.BatchNorm2d(3), nn.BatchNorm2d(3), inputs(2, 3)
    for seed in range(3):
        x = inputs(dims, 3, seed=seed)
        with narrow_layers():
            ours(x)
        theirs(x)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert int(ours.num_batches_tracked) == 3
    ours.eval(), theirs.eval()
    with narrow_layers():
        y = ours(x)
    torch.testing.assert_close(y, theirs(x))
    assert y.is_contiguous(memory_format=LAYOUTS[dims])


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.randn(2, 1, 4, 4, 4), "one channel"),
        (torch.randn(2, 8, 4, 4, 4).contiguous(memory_format=LAYOUTS[3]), "torch is as fast at eight"),
        (torch.randn(2, 16, 4, 4, 4).contiguous(memory_format=LAYOUTS[3]), "wide"),
        (torch.randn(2, 3, 4, 4, 4), "contiguous"),
        (torch.randn(2, 3, 1, 1, 1).contiguous(memory_format=LAYOUTS[3]), "one voxel"),
        (torch.randn(2, 3, 4, 4, 4).double().contiguous(memory_format=LAYOUTS[3]), "double"),
        (torch.randn(5, 3), "rows"),
    ],
)
def test_everything_else_is_left_to_torch(x, why):
    assert not is_narrow(x), why
    if x.ndim == 5:
        with narrow_layers():
            y = F.batch_norm(x, None, None, training=True)
        assert torch.equal(y, F.batch_norm(x, None, None, training=True))


def test_instance_norm_of_one_voxel_still_raises():
    x = torch.randn(2, 3, 1, 1, 1).contiguous(memory_format=LAYOUTS[3])
    with pytest.raises(ValueError, match="more than 1 spatial element"), narrow_layers():
        nn.InstanceNorm3d(3)(x)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_whole_network_trains_the_same(dims, activation, norm):
    """Activations that work in place behind the norm, skips and all."""
    torch.manual_seed(0)
    network = lay_out(UNet(dims, 1, 3, 3, [(2,) * dims] * 2, norm, activation), dims, torch.device("cpu"))
    x = torch.randn(2, 1, *[8] * dims).contiguous(memory_format=LAYOUTS[dims])

    def gradients(fast):
        network.zero_grad()
        if fast:
            with narrow_layers():
                y = network(x)
        else:
            y = network(x)
        y.square().mean().backward()
        return [y.detach(), *(p.grad.clone() for p in network.parameters())]

    for found, expected in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"dilation": 2, "padding": 2}, {"groups": 3}, {"padding": "same"}]
)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("dims", [2, 3])
def test_convolutions_of_one_example_give_the_same_numbers_and_gradients(dims, kernel, options):
    layer = (nn.Conv2d if dims == 2 else nn.Conv3d)(3, 6, kernel, **options).to(memory_format=LAYOUTS[dims])
    x = inputs(dims, 3, batch=1).requires_grad_()
    with narrow_layers():
        ours = layer(x)
    theirs = layer(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for found, expected in zip(
        torch.autograd.grad(ours.square().sum(), [x, *layer.parameters()]),
        torch.autograd.grad(theirs.square().sum(), [x, *layer.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_a_narrow_convolution_of_one_volume_is_faster():
    """At a tenth of the time; asked for is half, so that a busy machine does not matter."""
    layer = nn.Conv3d(4, 8, 3, padding=1).to(memory_format=LAYOUTS[3])
    x = torch.randn(1, 4, 32, 32, 32).contiguous(memory_format=LAYOUTS[3])

    def fast():
        with narrow_layers():
            return layer(x)

    with torch.inference_mode():
        assert measure(fast, seconds=0.1).least < 0.5 * measure(lambda: layer(x), seconds=0.1).least


@pytest.mark.parametrize("options", [{"stride": [2, 2]}, {"dilation": [2, 2], "padding": (2, 2)}])
def test_sizes_given_as_lists_are_taken_as_torch_takes_them(options):
    x = torch.randn(1, 4, 16, 16).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(4, 4, 3, 3)
    with narrow_layers():
        found = F.conv2d(x, weight, **options)
    torch.testing.assert_close(found, F.conv2d(x, weight, **options), rtol=1e-5, atol=1e-5)
