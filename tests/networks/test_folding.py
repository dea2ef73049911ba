"""Norms folded into convolutions: the same scores from fewer layers, and the network left as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stampseg.networks.folding import fold_norms
from stampseg.networks.outputs import main_map
from tests.networks.zoo import SUBJECTS, Subject

NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
LEFT = {  # norms that stay, of all
    "unet 2D": (0, 10), "unet 3D": (0, 10), "monai.UNet 3D": (0, 4), "monai.AttentionUnet 3D": (0, 14),
    "monai.VNet 2D": (0, 24), "smp.Unet 2D": (0, 30), "smp.FPN 2D": (0, 20),
    "monai.FlexibleUNet (resnet18) 2D": (7, 27),  # what its loop passes on, a trace of the parts does not see
    "unet (instance norm) 3D": (0, 0), "tests.networks.zoo:Twice (a module used twice) 2D": (1, 1),
}  # fmt: skip


def count(network: nn.Module) -> int:
    return sum(isinstance(module, NORMS) for module in network.modules())


@pytest.mark.parametrize("label", LEFT)
def test_scores_stay_and_norms_go(label: str) -> None:
    subject: Subject = next(subject for subject in SUBJECTS if subject.label == label)
    network, x = subject.build(torch.float32), subject.example(torch.float32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_norms(network, subject.dims, x)
    left, all_norms = LEFT[label]
    assert (count(folded), count(network)) == (left, all_norms)
    assert (folded is network) == (left == all_norms)
    with torch.no_grad():
        expected, found = (main_map(each(x), subject.dims) for each in (network, folded))
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    after = network.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


class Case(nn.Module):
    """A convolution and a norm that must not be folded as they are used."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2, groups=2)
        self.norm = nn.BatchNorm2d(4, track_running_stats=way != "batch statistics")
        self.other = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        if way == "shared weight":
            self.other.weight = self.conv.weight
        if way == "hook between":
            self.conv.register_forward_hook(lambda module, inputs, output: output.relu())
        with torch.no_grad():
            for value in self.norm.parameters():
                value.uniform_(0.5, 2)
            for buffer in self.norm.buffers():
                if buffer.is_floating_point():
                    buffer.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.way == "read twice":
            return self.norm(y) + y
        if self.way == "called twice":
            return self.norm(y) + self.conv(x.flip(-1))
        if self.way == "norm called twice":
            return self.norm(y) + self.norm(y.relu())
        if self.way == "norm of two convolutions":
            return self.norm(y) + self.norm(self.other(x))
        if self.way == "grouped transposed":
            return self.norm(self.up(y))
        if self.way == "activation between":
            return self.norm(y.relu())
        if self.way == "weight read elsewhere":
            return nn.functional.conv_transpose2d(self.norm(y), self.conv.weight, padding=1)
        if self.way == "hook between":
            return self.norm(y)
        return self.norm(y) + self.other(x)


@pytest.mark.parametrize(
    "way",
    [
        "read twice",
        "called twice",
        "norm called twice",
        "norm of two convolutions",
        "grouped transposed",
        "activation between",
        "batch statistics",
        "shared weight",
        "weight read elsewhere",
        "hook between",
    ],
)
def test_what_is_not_exact_stays(way: str) -> None:
    network = Case(way).eval()
    assert fold_norms(network, 2, torch.randn(1, 1, 8, 8)) is network


class Untraceable(nn.Module):
    """Its own code asks for sizes, so that its parts are traced; it may use a part of a part once more."""

    def __init__(self, way: str = "") -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.way = way
        with torch.no_grad():
            for value in (*self.block[1].parameters(), self.block[1].running_mean, self.block[1].running_var):
                value.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            raise ValueError
        y = self.block(x)
        return torch.cat([y, self.block[0](x)], dim=1) if self.way == "reads the convolution" else y


@pytest.mark.parametrize(("way", "folded"), [("", True), ("reads the convolution", False)])
def test_of_parts_that_are_traced_alone_a_fold_must_agree(way: str, folded: bool) -> None:
    network = Untraceable(way).eval()
    x = torch.randn(1, 1, 8, 8)
    found = fold_norms(network, 2, x)
    assert (found is not network) == folded
    torch.testing.assert_close(found(x), network(x))


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_weights_that_are_computed_from_others_are_left_alone(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = nn.Sequential(wrap(nn.Conv2d(1, 2, 3)), nn.BatchNorm2d(2)).eval()
    assert fold_norms(network, 2, torch.randn(1, 1, 8, 8)) is network
