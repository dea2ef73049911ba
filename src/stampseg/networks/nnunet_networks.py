"""The networks of nnU-Net (package dynamic-network-architectures), with its own rules for their arguments.

Arguments are named as in nnU-Net's plans files; classes are given as `torch.nn.modules.conv.Conv3d`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..core.errors import ConfigError
from ..core.network_options import NetworkOptions
from .entry import Arguments, Entry, Task, doubled, kernel_sizes

_MODULE = "dynamic_network_architectures.architectures.unet"
_CLASSES = ("conv_op", "norm_op", "dropout_op", "nonlin")
_BLOCKS = (1, 3, 4, 6, 6, 6, 6)  # residual blocks of each encoder level, as nnU-Net plans them
_DRIVES = {"width": "features_per_stage", "poolings": "strides", "norm": "norm_op", "activation": "nonlin"}
_DATA = {"spatial_dims": "conv_op", "in_channels": "input_channels", "out_channels": "num_classes"}


def convolution_name(spatial_dims: int) -> str:
    """As nnU-Net's plans write it."""
    return f"torch.nn.modules.conv.Conv{spatial_dims}d"


def _shared(task: Task, options: NetworkOptions) -> Arguments:
    dims, levels = task.spatial_dims, len(task.strides)
    norm = "batchnorm.BatchNorm" if options.norm == "batch" else "instancenorm.InstanceNorm"
    activation = "ReLU" if options.activation == "relu" else "LeakyReLU"
    return {
        "input_channels": task.in_channels,
        "num_classes": task.out_channels,
        "n_stages": levels + 1,
        "features_per_stage": doubled(options.width, levels, 512 if dims == 2 else 320),
        "conv_op": convolution_name(dims),
        "kernel_sizes": kernel_sizes(task),
        "strides": [[1] * dims, *(list(step) for step in task.strides)],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.{norm}{dims}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": f"torch.nn.modules.activation.{activation}",
        "nonlin_kwargs": {"inplace": True},
    }


def _plain(task: Task, options: NetworkOptions) -> Arguments:
    levels = len(task.strides)
    return {
        **_shared(task, options),
        "n_conv_per_stage": [2] * (levels + 1),
        "n_conv_per_stage_decoder": [2] * levels,
    }


def _residual(task: Task, options: NetworkOptions) -> Arguments:
    levels = len(task.strides)
    return {
        **_shared(task, options),
        "n_blocks_per_stage": list(_BLOCKS[: levels + 1]),
        "n_conv_per_stage_decoder": [1] * levels,
    }


def resolve_classes(arguments: Mapping[str, Any]) -> Arguments:
    """Names of layers -> classes of torch.nn; nothing else can be named.

    Raises:
        ConfigError: a name that is not a layer of torch.nn.
    """
    resolved = dict(arguments)
    for name in _CLASSES:
        if resolved.get(name) is not None:
            resolved[name] = _layer_class(name, resolved[name])
    return resolved


def _layer_class(argument: str, text: Any) -> type[nn.Module]:
    parts = text.split(".") if isinstance(text, str) else []
    found = getattr(nn, parts[-1], None) if parts[:2] == ["torch", "nn"] else None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ConfigError(
            f"network.arguments.{argument}: found {text!r}; expected a layer of torch.nn, such as "
            f"{convolution_name(3)}"
        )
    return found


ENTRIES = tuple(
    Entry(
        name=f"nnunet.{attribute}",
        module=_MODULE,
        attribute=attribute,
        defaults=defaults,
        drives=_DRIVES,
        extra="nnunet",
        data=_DATA,
        resolve=resolve_classes,
    )
    for attribute, defaults in (("PlainConvUNet", _plain), ("ResidualEncoderUNet", _residual))
)
