"""Networks of segmentation_models_pytorch: a ready-made encoder with a decoder, for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import ConfigError
from ..core.network_options import NetworkOptions
from ..data.plan import Strides
from .entry import DEFAULT_WIDTH, Arguments, Entry, Task

_MODULE = "segmentation_models_pytorch"
_DATA = {"in_channels": "in_channels", "out_channels": "classes"}
_NO_WEIGHTS = {"encoder_weights": None}


def _shared(task: Task) -> Arguments:
    return {
        "encoder_name": "resnet18",
        "encoder_weights": None,  # the package's own default fetches them
        "in_channels": task.in_channels,
        "classes": task.out_channels,
    }


def _unet(task: Task, options: NetworkOptions) -> Arguments:
    width = options.width or DEFAULT_WIDTH
    depth = int(options.arguments.get("encoder_depth", 5))
    channels = [width * 2**level for level in reversed(range(depth))]
    return {**_shared(task), "decoder_channels": channels}


def _fpn(task: Task, options: NetworkOptions) -> Arguments:
    return _shared(task)


def _depth(arguments: Mapping[str, Any], spatial_dims: int) -> Strides:
    return ((2,) * spatial_dims,) * int(arguments.get("encoder_depth", 5))


def _known_encoder(arguments: Mapping[str, Any]) -> Arguments:
    """The arguments as they are.

    Raises:
        ConfigError: an encoder such as tu-hf-hub:OWNER/NAME, which is fetched from its place to be built.
    """
    encoder = arguments.get("encoder_name", "")
    if ":" in str(encoder):
        raise ConfigError(
            f"network.arguments.encoder_name: found {encoder!r}, which would be fetched; expected an "
            "encoder that is installed, such as resnet18"
        )
    return dict(arguments)


ENTRIES = (
    Entry(
        "smp.Unet", _MODULE, "Unet", _unet, {"width": "decoder_channels"}, _depth,
        extra="smp", dims=(2,), data=_DATA, resolve=_known_encoder, without_weights=_NO_WEIGHTS,
    ),
    Entry(
        "smp.FPN", _MODULE, "FPN", _fpn, {}, _depth,
        extra="smp", dims=(2,), data=_DATA, resolve=_known_encoder, without_weights=_NO_WEIGHTS,
    ),
)  # fmt: skip
