"""The U-Net of the paper, for 2D and 3D, with every width given as data.

Source: Ronneberger et al. 2015; sizes and order of layers as in Dinsdale et al. 2022, section 3.

```
encoder.0 ----------------------------------------- decoder.0 -- head
   pool  encoder.1 ------------------- decoder.1  up.0
            pool  encoder.2 --- decoder.2  up.1
                     pool  bottleneck  up.2
```
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..channels.dropout import TargetedDropout
from ..core.errors import ConfigError
from ..data.plan import MOST_LEVELS

_CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_NORM = {
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
}

Norm = Literal["batch", "instance"]
Activation = Literal["relu", "leaky_relu"]
Order = Literal["norm-activation", "activation-norm"]


def unit_names(levels: int) -> list[str]:
    """Names of all layers that own a width, in the order of the forward pass."""
    names = [f"encoder.{i}.{j}" for i in range(levels) for j in (0, 1)]
    names += ["bottleneck.0", "bottleneck.1"]
    for i in reversed(range(levels)):
        names += [f"up.{i}", f"decoder.{i}.0", f"decoder.{i}.1"]
    return names


def _level(name: str, levels: int) -> int:
    return levels if name.startswith("bottleneck") else int(name.split(".")[1])


def doubling_widths(width: int, levels: int) -> dict[str, int]:
    """Widths that double at every level below the first, as published."""
    return {name: width * 2 ** _level(name, levels) for name in unit_names(levels)}


def flat_widths(width: int, levels: int) -> dict[str, int]:
    """The same width at all levels (the control of Hassler et al., Lean U-Net)."""
    return dict.fromkeys(unit_names(levels), width)


def thinned_widths(widths: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """All layers narrowed by one factor, from one channel each to whole, every distinct network once."""
    factors = sorted({(n - 0.5) / most for most in set(widths.values()) for n in range(1, most + 1)})
    last: dict[str, int] = {}
    for factor in factors:
        now = {name: max(1, math.floor(factor * width + 0.5)) for name, width in widths.items()}
        if now != last:
            yield now
        last = now


class ConvUnit(nn.Module):
    """Convolution, then norm and activation in the chosen order, then targeted dropout."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        norm: Norm,
        activation: Activation,
        order: Order,
    ) -> None:
        super().__init__()
        padding = tuple(size // 2 for size in kernel_size)
        self.conv = _CONV[spatial_dims](in_channels, out_channels, kernel_size, padding=padding)
        normalise = _NORM[norm, spatial_dims](out_channels, affine=True)
        activate = nn.ReLU(inplace=True) if activation == "relu" else nn.LeakyReLU(0.01, inplace=True)
        if order == "norm-activation":
            self.norm, self.activation = normalise, activate
        else:
            self.activation, self.norm = activate, normalise
        self.norm_first = order == "norm-activation"
        self.dropout = TargetedDropout(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.activation(self.norm(x)) if self.norm_first else self.norm(self.activation(x))
        return self.dropout(x)


class UNet(nn.Module):
    """U-Net with skips by concatenation `[up | skip]` and a 1x1 head.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes, background included.
        widths: channels of every layer named by `unit_names`, or one number for `doubling_widths`.
        strides: pooling factor of each level, one tuple per level with one number per axis.
        norm: batch or instance.
        activation: relu or leaky_relu.
        order: norm-activation, or activation-norm as published.
        kernel_size: of the convolutions, one odd number per axis: 1 along an axis of one voxel; None: all 3.

    Shape:
        (B, in_channels, *S) -> (B, out_channels, *S); every axis of S a multiple of its strides' product.

    Raises:
        ConfigError: a width is missing or below one, or strides or kernels do not fit spatial_dims.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Mapping[str, int] | int = 8,
        strides: Sequence[Sequence[int]] = ((2, 2, 2),) * 3,
        norm: Norm = "batch",
        activation: Activation = "relu",
        order: Order = "norm-activation",
        kernel_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if spatial_dims not in _CONV:
            raise ConfigError(f"spatial_dims is {spatial_dims}; expected 2 or 3")
        steps = [tuple(stride) for stride in strides]
        if not steps or any(len(stride) != spatial_dims or min(stride) < 1 for stride in steps):
            raise ConfigError(f"strides {steps} need one tuple of {spatial_dims} factors per level")
        levels = len(steps)
        if levels > MOST_LEVELS:
            raise ConfigError(f"{levels} levels of strides; expected at most {MOST_LEVELS}")
        kernel = (3,) * spatial_dims if kernel_size is None else tuple(kernel_size)
        if len(kernel) != spatial_dims or any(size < 1 or size % 2 == 0 for size in kernel):
            raise ConfigError(
                f"kernel_size {list(kernel)}; expected {spatial_dims} odd numbers, one per axis"
            )
        wide = doubling_widths(widths, levels) if isinstance(widths, int) else dict(widths)
        self._check_widths(wide, levels)
        self.spatial_dims = spatial_dims
        self.total_stride = tuple(math.prod(stride[a] for stride in steps) for a in range(spatial_dims))

        def block(source: int, name: str) -> nn.Sequential:
            first, second = wide[f"{name}.0"], wide[f"{name}.1"]
            return nn.Sequential(
                ConvUnit(spatial_dims, source, first, kernel, norm, activation, order),
                ConvUnit(spatial_dims, first, second, kernel, norm, activation, order),
            )

        channels = in_channels
        self.encoder, self.pool = nn.ModuleList(), nn.ModuleList()
        for i, stride in enumerate(steps):
            self.encoder.append(block(channels, f"encoder.{i}"))
            self.pool.append(_POOL[spatial_dims](stride))
            channels = wide[f"encoder.{i}.1"]
        self.bottleneck = block(channels, "bottleneck")
        ups, decoders = [], []
        channels = wide["bottleneck.1"]
        for i in reversed(range(levels)):
            ups.append(_UP[spatial_dims](channels, wide[f"up.{i}"], steps[i], steps[i]))
            decoders.append(block(wide[f"up.{i}"] + wide[f"encoder.{i}.1"], f"decoder.{i}"))
            channels = wide[f"decoder.{i}.1"]
        self.up, self.decoder = nn.ModuleList(reversed(ups)), nn.ModuleList(reversed(decoders))
        self.head = _CONV[spatial_dims](channels, out_channels, 1)

    @staticmethod
    def _check_widths(widths: Mapping[str, int], levels: int) -> None:
        expected = unit_names(levels)
        missing = sorted(set(expected) - set(widths))
        unknown = sorted(set(widths) - set(expected))
        if missing or unknown or min(widths.values()) < 1:
            raise ConfigError(
                f"widths do not describe a U-Net of {levels} poolings: missing {missing}, unknown "
                f"{unknown}; every width must be at least 1"
            )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for encode, pool in zip(self.encoder, self.pool, strict=True):
            x = encode(x)
            skips.append(x)
            x = pool(x)
        x = self.bottleneck(x)
        for up, decode, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            x = decode(torch.cat((up(x), skip), dim=1))
        return self.head(x)
