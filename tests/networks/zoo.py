"""The networks that every promise of the channel engine is tested on, small enough to be quick.

`SUBJECTS` lists them as the registry builds them; the three classes below are "a user's own" with what
the libraries have not: a module used twice, a shared weight, a squeeze-and-excite block.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stampseg.networks.registry import NetworkSpec

CLASSES = 3
PACKAGES = {"nnunet": "dynamic_network_architectures", "smp": "segmentation_models_pytorch"}


@dataclass(frozen=True)
class Subject:
    """One network of the zoo."""

    name: str
    dims: int
    variant: str
    arguments: dict[str, Any] = field(hash=False)
    size: tuple[int, ...]
    slow: bool = False  # thirty cuts take more than a few seconds

    @property
    def label(self) -> str:
        """As in the table."""
        return f"{self.name}{f' ({self.variant})' if self.variant else ''} {self.dims}D"

    @property
    def spec(self) -> NetworkSpec:
        """What builds it."""
        return NetworkSpec(name=self.name, arguments=self.arguments, example_shape=(1, 1, *self.size))

    def build(self, dtype: torch.dtype = torch.float64, *, learnt: bool = True) -> nn.Module:
        """In eval mode, with fixed weights and the statistics of a network that has learnt."""
        self.skip_without_package()
        torch.manual_seed(0)
        network = self.spec.build(trusted=(self.name,)).to(dtype)
        if learnt:
            self._teach(network)
        return network.eval()

    @staticmethod
    def _teach(network: nn.Module) -> None:
        """Affine values, biases and statistics as no constructor leaves them: none is 0 or 1."""
        with torch.no_grad():
            for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                if tensor.ndim == 1 and tensor.is_floating_point() and not name.endswith("rate"):
                    tensor.copy_(torch.rand_like(tensor) + 0.5)

    def example(self, dtype: torch.dtype = torch.float64, batch: int = 2) -> Tensor:
        """An input."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(batch, *self.spec.example_shape[1:], generator=generator, dtype=dtype)

    def skip_without_package(self) -> None:
        """Skip the test, with the reason, where an optional package is not installed."""
        package = PACKAGES.get(self.name.split(".")[0])
        if package is None:
            return
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
        if package == "segmentation_models_pytorch":
            declare_torchvision_operations()


_LIBRARY: list[Any] = []  # a library's operations live as long as it does


def declare_torchvision_operations() -> None:
    """Let torchvision be imported beside another build of torch.

    segmentation_models_pytorch imports torchvision, whose compiled operations load only into the torch
    they were compiled with; PyPI's torchvision is not made for the CPU build of torch that the tests
    use. When imported, torchvision says something of two of its operations, nms and qnms, and fails
    where they do not exist. No network here calls them, so declaring their names is enough.
    """
    if _LIBRARY or importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, ImportError):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARY.append(library)


def heads(output: Any) -> list[Tensor]:
    """Every tensor of a network's output."""
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [tensor for value in values for tensor in heads(value)]


class Twice(nn.Module):
    """One block applied twice, as recurrent and weight-sharing networks do."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[spatial_dims]
        self.stem = nn.Sequential(conv(in_channels, 40, 3, padding=1), nn.ReLU())
        self.block = nn.Sequential(
            conv(40, 48, 3, padding=1), norm(48), nn.ReLU(), conv(48, 40, 3, padding=1), nn.ReLU()
        )
        self.head = conv(40, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.block(self.stem(x))))


class Siamese(nn.Module):
    """Two branches that hold the same convolution, and two heads."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        self.left = conv(in_channels, 40, 3, padding=1)
        self.right = conv(in_channels, 40, 3, padding=1)
        self.right.weight = self.left.weight  # a shared weight with biases of their own
        self.join = conv(80, 48, 3, padding=1)
        self.head, self.side = conv(48, out_channels, 1), conv(40, out_channels, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        left, right = self.left(x).relu(), self.right(x.flip(-1)).relu()
        return {"main": self.head(self.join(torch.cat((left, right), 1)).relu()), "side": self.side(right)}


class SqueezeExcite(nn.Module):
    """A gate per channel, computed by linear layers from the means of the channels; a depthwise block."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        self.first = conv(in_channels, 48, 3, padding=1)
        self.squeeze, self.excite = nn.Linear(48, 32), nn.Linear(32, 48)
        self.depthwise = conv(48, 48, 3, padding=1, groups=48)
        self.head = conv(48, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        gate = self.excite(self.squeeze(x.flatten(2).mean(-1)).relu()).sigmoid()
        x = x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))
        return self.head(self.depthwise(x).relu())


def _monai(
    name: str, dims: int, variant: str = "", *, side: int = 16, last: int = 0, slow: bool = False, **more: Any
) -> Subject:
    """`last`: the last axis is longer where a cube would end in 1x1x1, too little for instance norm."""
    arguments = {"spatial_dims": dims, "in_channels": 1, "out_channels": CLASSES, **more}
    size = (*[side] * (dims - 1), last or side)
    return Subject(f"monai.{name}", dims, variant, arguments, size, slow)


def _nnunet(name: str, dims: int, deep: bool) -> Subject:
    blocks = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    arguments = {
        "input_channels": 1, "num_classes": CLASSES, "n_stages": 3, "features_per_stage": [8, 12, 16],
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d", "kernel_sizes": 3, "strides": [1, 2, 2],
        blocks: 2, "n_conv_per_stage_decoder": 2, "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d", "norm_op_kwargs": {"affine": True},
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}, "deep_supervision": deep,
    }  # fmt: skip
    return Subject(f"nnunet.{name}", dims, "deep supervision" if deep else "", arguments, (8,) * dims, deep)


def _smp(name: str, variant: str = "", **more: Any) -> Subject:
    arguments = {
        "encoder_name": "resnet18", "encoder_weights": None, "in_channels": 1, "classes": CLASSES, **more
    }  # fmt: skip
    return Subject(f"smp.{name}", 2, variant, arguments, (64, 64), slow=True)


def _own(name: str, dims: int, variant: str) -> Subject:
    arguments = {"spatial_dims": dims, "in_channels": 1, "out_channels": CLASSES}
    return Subject(f"tests.networks.zoo:{name}", dims, variant, arguments, (8,) * dims)


def _of_dims(dims: int) -> list[Subject]:
    """Every network that exists in so many dimensions."""
    volumes = dims == 3
    features, decoder = [6, 6, 8, 10, 12, 6], [16, 12, 8, 6, 4]
    dynunet = {
        "kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2] * 2, "filters": [8, 12, 20]
    }  # fmt: skip
    unet = {"spatial_dims": dims, "in_channels": 1, "out_channels": CLASSES, "widths": 4}
    return [
        Subject("unet", dims, "", {**unet, "strides": [[2] * dims] * 2}, (8,) * dims),
        Subject(
            "unet", dims, "instance norm",
            {**unet, "strides": [[2] * dims] * 2, "norm": "instance", "activation": "leaky_relu"},
            (8,) * dims,
        ),
        _monai("UNet", dims, "", side=8, channels=[16, 24, 32], strides=[2, 2], norm="batch"),
        _monai("UNet", dims, "residual", side=8, channels=[12, 16, 24], strides=[2, 2], num_res_units=2),
        _monai("BasicUNet", dims, last=32, slow=volumes, features=features),
        _monai("BasicUNetPlusPlus", dims, last=32, slow=True, features=features),
        _monai(
            "BasicUNetPlusPlus", dims, "deep supervision", last=32, slow=True,
            features=features, deep_supervision=True,
        ),
        _monai("DynUNet", dims, side=8, **dynunet),
        _monai("DynUNet", dims, "deep supervision", side=8, **dynunet, deep_supervision=True),
        _monai("DynUNet", dims, "residual", side=8, **dynunet, res_block=True),
        _monai(
            "DynUNet", dims, "residual, deep supervision", side=8, slow=True, **dynunet, res_block=True,
            deep_supervision=True,
        ),
        _monai("SegResNet", dims, side=8, slow=volumes, init_filters=8),
        _monai(
            "SegResNet", dims, "norm groups of two", side=8, slow=True, init_filters=16,
            norm=["group", {"num_groups": 8}],
        ),
        _monai("AttentionUnet", dims, side=8, channels=[8, 12, 16], strides=[2, 2]),
        _monai("VNet", dims, side=16, slow=True, dropout_dim=dims),
        _monai(
            "FlexibleUNet", dims, "resnet18", side=32, slow=True, backbone="resnet18",
            decoder_channels=decoder,
        ),
        _monai(
            "UNETR", dims, side=16, slow=True, img_size=[16] * dims, feature_size=4, hidden_size=24,
            mlp_dim=32, num_heads=4,
        ),
        _monai(
            "SwinUNETR", dims, side=32, last=64, slow=True, feature_size=12, depths=[1] * 4,
            num_heads=[1, 2, 3, 4], window_size=2,
        ),
        _monai(
            "MedNeXt", dims, side=16, slow=True, init_filters=4, kernel_size=3, blocks_down=[1, 1],
            blocks_up=[1, 1], blocks_bottleneck=1,
        ),
        *(_nnunet("PlainConvUNet", dims, deep) for deep in (False, True)),
        *(_nnunet("ResidualEncoderUNet", dims, deep) for deep in (False, True)),
        _own("Twice", dims, "a module used twice"),
        _own("Siamese", dims, "a shared weight"),
        _own("SqueezeExcite", dims, "linear gates, depthwise"),
    ]  # fmt: skip


SUBJECTS = (
    *_of_dims(2),
    _monai(
        "FlexibleUNet", 2, "efficientnet-b0: squeeze and excite, depthwise", side=32, slow=True,
        backbone="efficientnet-b0", decoder_channels=[16, 12, 8, 6, 4],
    ),
    _smp("Unet", decoder_channels=[16, 12, 8, 6, 4]),
    _smp("Unet", "scse attention", decoder_channels=[32, 32, 32, 16, 16], decoder_attention_type="scse"),
    _smp("FPN", decoder_pyramid_channels=16, decoder_segmentation_channels=32),
    *_of_dims(3),
)  # fmt: skip


def parameters(*, slow: bool | None = None) -> list[Any]:
    """For `pytest.mark.parametrize`: the subjects, the slow ones marked unless `slow` is False."""
    return [
        pytest.param(s, id=s.label, marks=[pytest.mark.slow] if s.slow and slow is None else [])
        for s in SUBJECTS
    ]
