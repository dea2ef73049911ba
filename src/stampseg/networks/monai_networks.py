"""Networks of MONAI, with the arguments that a plan means for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..core.network_options import NetworkOptions
from .entry import (
    DEFAULT_WIDTH,
    Arguments,
    Entry,
    Task,
    data_values,
    doubled,
    halvings,
    kernel_sizes,
    own_strides,
)

_MODULE = "monai.networks.nets"
_DECODER = (16, 8, 4, 2, 1)  # times the width: decoders behind a ready-made encoder of five levels
_GROUPS = 8  # of a group norm, as published for SegResNet


def norm_argument(options: NetworkOptions, name: str) -> Arguments:
    """The norm that was asked for, or nothing: the network's own."""
    if options.norm is None:
        return {}
    return {name: ["instance", {"affine": True}] if options.norm == "instance" else ["batch", {}]}


def act_argument(options: NetworkOptions, name: str = "act") -> Arguments:
    """The activation that was asked for, or nothing: the network's own."""
    if options.activation is None:
        return {}
    slope = {"negative_slope": 0.01} if options.activation == "leaky_relu" else {}
    return {name: [options.activation.replace("_", ""), {**slope, "inplace": True}]}


def _strided(task: Task, options: NetworkOptions) -> Arguments:
    return {
        **data_values(task),
        "channels": doubled(options.width, len(task.strides)),
        "strides": [list(step) for step in task.strides],
    }


def _unet(task: Task, options: NetworkOptions) -> Arguments:
    return {
        **_strided(task, options),
        "num_res_units": 2,
        **norm_argument(options, "norm"),
        **act_argument(options),
    }


def _basic(task: Task, options: NetworkOptions) -> Arguments:
    width = options.width or DEFAULT_WIDTH
    return {
        **data_values(task),
        "features": [width, width, 2 * width, 4 * width, 8 * width, width],
        **norm_argument(options, "norm"),
        **act_argument(options),
    }


def _dynunet(task: Task, options: NetworkOptions) -> Arguments:
    steps = [list(step) for step in task.strides]
    return {
        **data_values(task),
        "kernel_size": kernel_sizes(task),
        "strides": [[1] * task.spatial_dims, *steps],
        "upsample_kernel_size": steps,
        "filters": doubled(options.width, len(task.strides), 512 if task.spatial_dims == 2 else 320),
        **norm_argument(options, "norm_name"),
        **act_argument(options, "act_name"),
    }


def _segresnet(task: Task, options: NetworkOptions) -> Arguments:
    width = options.width or DEFAULT_WIDTH
    # The groups must divide every width, and all others are multiples of the first.
    group_norm = {"norm": ["group", {"num_groups": math.gcd(width, _GROUPS)}]}
    return {
        **data_values(task),
        "init_filters": width,
        **(norm_argument(options, "norm") or group_norm),
        **act_argument(options),
    }


def _vnet(task: Task, options: NetworkOptions) -> Arguments:
    return {**data_values(task), "dropout_dim": task.spatial_dims, **act_argument(options)}


def _mend_vnet(network: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Give it the dropout that `dropout_dim` documents: MONAI's VNet makes the one of volumes always.

    On pictures that one takes the batch for the channels and drops whole examples.
    """
    kind = {1: nn.Dropout, 2: nn.Dropout2d, 3: nn.Dropout3d}[arguments.get("dropout_dim", 3)]
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout3d):
                setattr(module, name, kind(child.p))


class _LastMapFirst(nn.Module):
    """The maps of a network the other way round."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(super().forward(x))[::-1]  # of the network it is mixed into


def _turn_maps(network: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Put the answer first: MONAI's UNet++ gives it behind the maps of deep supervision, others before."""
    kind = type(network)
    network.__class__ = type(kind.__name__, (_LastMapFirst, kind), {"__module__": kind.__module__})


def _flexible(task: Task, options: NetworkOptions) -> Arguments:
    return {
        **data_values(task),
        "backbone": "resnet18",
        "decoder_channels": [(options.width or DEFAULT_WIDTH) * factor for factor in _DECODER],
        **norm_argument(options, "norm"),
        **act_argument(options),
    }


def _unetr(task: Task, options: NetworkOptions) -> Arguments:
    return {
        **data_values(task),
        "img_size": list(task.patch_size),
        "feature_size": options.width or 16,
        **norm_argument(options, "norm_name"),
    }


def _swin(task: Task, options: NetworkOptions) -> Arguments:
    return {
        **data_values(task),
        "feature_size": options.width or 24,
        **norm_argument(options, "norm_name"),
    }


def _mednext(task: Task, options: NetworkOptions) -> Arguments:
    return {**data_values(task), "init_filters": options.width or DEFAULT_WIDTH}


def _levels_of_blocks(default: int, first: int) -> Any:
    """Halvings of a network whose `blocks_down` names the blocks of each level."""

    def strides(arguments: Any, spatial_dims: int) -> Any:
        given = arguments.get("blocks_down")
        levels = len(given) - first if isinstance(given, list | tuple) else default
        return ((2,) * spatial_dims,) * levels

    return strides


def _swin_strides(arguments: Any, spatial_dims: int) -> Any:
    return ((int(arguments.get("patch_size", 2)),) * spatial_dims,) * 5


ENTRIES = (
    Entry(
        "monai.UNet", _MODULE, "UNet", _unet,
        {"width": "channels", "poolings": "strides", "norm": "norm", "activation": "act"},
    ),
    Entry(
        "monai.BasicUNet", _MODULE, "BasicUNet", _basic,
        {"width": "features", "norm": "norm", "activation": "act"}, strides=halvings(4),
    ),
    Entry(
        "monai.BasicUNetPlusPlus", _MODULE, "BasicUNetPlusPlus", _basic,
        {"width": "features", "norm": "norm", "activation": "act"}, strides=halvings(4),
        amend=_turn_maps,
    ),
    Entry(
        "monai.DynUNet", _MODULE, "DynUNet", _dynunet,
        {"width": "filters", "poolings": "strides", "norm": "norm_name", "activation": "act_name"},
    ),
    Entry(
        "monai.SegResNet", _MODULE, "SegResNet", _segresnet,
        {"width": "init_filters", "norm": "norm", "activation": "act"}, strides=_levels_of_blocks(3, 1),
    ),
    Entry(
        "monai.AttentionUnet", _MODULE, "AttentionUnet", _strided,
        {"width": "channels", "poolings": "strides"}, strides=own_strides,
    ),
    Entry(
        "monai.VNet", _MODULE, "VNet", _vnet, {"activation": "act"}, strides=halvings(4),
        amend=_mend_vnet,
    ),
    Entry(
        "monai.FlexibleUNet", _MODULE, "FlexibleUNet", _flexible,
        {"width": "decoder_channels", "norm": "norm", "activation": "act"}, strides=halvings(5),
        without_weights={"pretrained": False},
    ),
    Entry(
        "monai.UNETR", _MODULE, "UNETR", _unetr,
        {"width": "feature_size", "norm": "norm_name"}, strides=halvings(4),
    ),
    Entry(
        "monai.SwinUNETR", _MODULE, "SwinUNETR", _swin,
        {"width": "feature_size", "norm": "norm_name"}, strides=_swin_strides,
    ),
    Entry(
        "monai.MedNeXt", _MODULE, "MedNeXt", _mednext, {"width": "init_filters"},
        strides=_levels_of_blocks(4, 0),
    ),
)  # fmt: skip
