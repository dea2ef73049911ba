"""What networks give back, read as maps of class scores, and the loss of several maps."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn
from torch.nn.functional import interpolate

from stampseg.core.errors import WiringError
from stampseg.core.train_options import TrainOptions
from stampseg.networks.outputs import check_outputs, main_map, score_maps
from stampseg.networks.registry import NetworkSpec
from stampseg.train.loss import make_loss

FULL, HALF = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (FULL, 1), ([FULL, HALF], 2), ((FULL, [HALF, HALF]), 3), ({"out": FULL, "aux": HALF}, 2),
        (torch.stack([FULL, FULL], dim=1), 2), ([FULL, None, torch.zeros(3)], 1),
    ],
)  # fmt: skip
def test_the_full_resolution_comes_first(output: object, count: int) -> None:
    maps = score_maps(output, 2)
    assert len(maps) == count
    assert torch.equal(maps[0], FULL) and torch.equal(main_map(output, 2), FULL)


@pytest.mark.parametrize("output", [None, [], torch.zeros(2, 3), {"loss": torch.zeros(())}])
def test_no_map_is_an_error(output: object) -> None:
    with pytest.raises(WiringError, match=r"without class scores .*; return a tensor"):
        main_map(output, 2)


@pytest.mark.parametrize("kind", ["dice-ce", "dice"])
def test_smaller_maps_weigh_half_and_see_the_label_at_their_size(kind: str) -> None:
    loss = make_loss(TrainOptions(loss=kind))
    label = torch.randint(0, 3, (2, 1, 8, 8))
    small = interpolate(label.float(), size=(4, 4), mode="nearest-exact")
    expected = loss.single(FULL, label) + 0.5 * loss.single(HALF, small)
    torch.testing.assert_close(loss([FULL, HALF], label), expected)
    assert loss([FULL], label) == loss(FULL, label) == loss.single(FULL, label)


def test_a_network_of_other_classes_or_another_size_is_refused() -> None:
    example = torch.zeros(1, 1, 8, 8)
    check_outputs(nn.Conv2d(1, 3, 1), example, 3)
    with pytest.raises(WiringError, match=r"gives scores of shape \(2, 8, 8\) .*; expected 3 classes"):
        check_outputs(nn.Conv2d(1, 2, 1), example, 3)
    with pytest.raises(WiringError, match=r"gives scores of shape \(3, 4, 4\) .* at the image's own size"):
        check_outputs(nn.Conv2d(1, 3, 2, 2), example, 3)


def test_the_answer_of_unet_plus_plus_comes_first() -> None:
    """MONAI gives it last, behind the maps of deep supervision."""
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": [4] * 6}
    spec = NetworkSpec(
        name="monai.BasicUNetPlusPlus", arguments={**arguments, "deep_supervision": True},
        example_shape=(1, 1, 32, 32),
    )  # fmt: skip
    torch.manual_seed(0)
    network, x = spec.build().eval(), torch.randn(1, 1, 32, 32)
    twin = BasicUNetPlusPlus(**arguments, deep_supervision=True).eval()
    twin.load_state_dict(network.state_dict())
    with torch.no_grad():
        maps, theirs = network(x), twin(x)
        assert len(maps) == 4 and torch.equal(main_map(maps, 2), theirs[-1])
        assert torch.equal(main_map(copy.deepcopy(network)(x), 2), theirs[-1])
