"""The U-Net of the paper: counts of parameters and channels known beforehand, and its errors."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from stampseg.channels.choice import rankable_groups
from stampseg.channels.cost import Tally
from stampseg.channels.graph import Cut
from stampseg.channels.surgery import apply_cut
from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError
from stampseg.core.network_options import NetworkOptions
from stampseg.networks.factory import spec_of
from stampseg.networks.registry import NetworkSpec
from stampseg.networks.unet import UNet, doubling_widths, flat_widths, unit_names


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("dims", "count"), [(3, 353_954), (2, 122_394)])
def test_the_network_of_the_paper(dims: int, count: int) -> None:
    # the published head has two classes
    with torch.device("meta"):
        network = UNet(dims, 1, 2, 4, [(2,) * dims] * 4, "batch", "relu", "activation-norm")
        graph = trace(network, torch.empty(1, 1, *[16] * dims))
    ranked = rankable_groups(graph, "published")
    assert parameters(network) == Tally(network, graph).parameters == count
    assert (len(ranked), sum(group.size for group in ranked)) == (17, 364)
    assert graph.unknown == ()
    units = [m for m in network.modules() if type(m).__name__ == "ConvUnit"]
    assert [list(unit._modules) for unit in units] == [["conv", "activation", "norm", "dropout"]] * 18


def test_the_paper_network_with_one_channel_in_every_ranked_layer() -> None:
    with torch.device("meta"):
        network = UNet(3, 1, 2, 4, [(2, 2, 2)] * 4, "batch", "relu", "activation-norm")
        graph = trace(network, torch.empty(1, 1, 16, 16, 16))
    ranked = rankable_groups(graph, "published")
    apply_cut(network, graph, Cut.of({group.name: range(1, group.size) for group in ranked}))
    assert parameters(network) == 2_800


@pytest.mark.parametrize(("widths", "count"), [(doubling_widths(8, 3), 351_179), (flat_widths(8, 3), 29_787)])
def test_the_networks_of_the_first_trial(widths: dict[str, int], count: int) -> None:
    assert parameters(UNet(3, 1, 3, widths, [(2, 2, 2)] * 3)) == count


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("strides", [[(2, 2, 1), (1, 2, 2)], [(1, 2), (3, 2)], [(2, 2)]])
def test_strides_may_differ_by_axis_and_level(strides: list[tuple[int, ...]], norm: Any) -> None:
    dims = len(strides[0])
    network = UNet(dims, 2, 3, 2, strides, norm).eval()
    shape = [2 * factor for factor in network.total_stride]
    assert network(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)
    assert list(trace(network, torch.randn(2, 2, *shape)).widths()) == [
        name if name.startswith("up") else f"{name}.conv" for name in unit_names(len(strides))
    ] + ["head"]


def test_widths_are_data() -> None:
    names = unit_names(1)
    widths = {name: index + 1 for index, name in enumerate(names)}
    network = UNet(2, 1, 2, widths, [(2, 2)])
    graph = trace(network, torch.randn(1, 1, 4, 4))
    assert list(graph.widths().values()) == [*widths.values(), 2]


def test_a_flat_kernel_makes_of_a_volume_of_one_slice_what_a_picture_is() -> None:
    volume = UNet(3, 1, 2, 4, [(2, 2, 1)] * 2, kernel_size=(3, 3, 1)).eval()
    picture = UNet(2, 1, 2, 4, [(2, 2)] * 2).eval()
    picture.load_state_dict({k: v[..., 0] if v.ndim == 5 else v for k, v in volume.state_dict().items()})
    x = torch.randn(2, 1, 8, 12)
    with torch.no_grad():
        torch.testing.assert_close(volume(x[..., None])[..., 0], picture(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "monai.DynUNet", "nnunet.PlainConvUNet"])
def test_windows_of_one_slice_have_kernels_of_one(name: str) -> None:
    def kernels(patch_size: tuple[int, ...], spacing: tuple[float, ...] = (1, 1, 1)) -> set[tuple[int, ...]]:
        task = SimpleNamespace(
            spatial_dims=3, in_channels=1, out_channels=2, patch_size=patch_size, spacing=spacing,
            strides=((2, 2, 1), (2, 2, 1)),
        )  # fmt: skip
        with torch.device("meta"):
            network = spec_of(task, NetworkOptions(name=name)).build()
        return {m.kernel_size for m in network.modules() if type(m) is nn.Conv3d and max(m.kernel_size) > 1}

    assert kernels((16, 16, 1)) == kernels((16, 16, 1), (2.5, 2.5, 1.0)) == {(3, 3, 1)}
    assert kernels((16, 16, 4)) == {(3, 3, 3)}


SMALL = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "strides": [(2, 2)]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims is 4; expected 2 or 3"),
        ({"strides": [(2, 2, 2)]}, "strides [(2, 2, 2)] need one tuple of 2 factors per level"),
        ({"strides": []}, "need one tuple of 2 factors per level"),
        ({"strides": [(0, 2)]}, "need one tuple of 2 factors per level"),
        ({"widths": {**flat_widths(2, 1), "up.0": 0}}, "every width must be at least 1"),
        ({"widths": 0}, "every width must be at least 1"),
        ({"widths": flat_widths(2, 2)}, "a U-Net of 1 poolings: missing [], unknown ['decoder.1.0'"),
        ({"widths": {"up.0": 1}}, "missing ['bottleneck.0', 'bottleneck.1', 'decoder.0.0'"),
        ({"kernel_size": [3]}, "kernel_size [3]; expected 2 odd numbers, one per axis"),
        ({"kernel_size": [3, 2]}, "kernel_size [3, 2]; expected 2 odd numbers, one per axis"),
        ({"norm": "layer"}, "network 'unet' does not take these arguments"),
        ({"depth": 3}, "network 'unet' does not take the argument 'depth'; it takes spatial_dims, in_ch"),
        ({"in_channels": "one"}, "network 'unet' does not take these arguments"),
    ],
)
def test_errors(changes: dict[str, Any], message: str) -> None:
    spec = NetworkSpec(name="unet", arguments={**SMALL, **changes}, example_shape=(1, 1, 4, 4))
    with pytest.raises(ConfigError, match=re.escape(message)):
        spec.build()


def test_an_unknown_network() -> None:
    with pytest.raises(ConfigError, match=r"'vnet' is not known; did you mean monai.VNet\? Known are unet, "):
        NetworkSpec(name="vnet", arguments={}, example_shape=(1, 1, 4, 4)).build()
