"""A pruned network as nnU-Net builds it: named in plans.json, called with what stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...channels.surgery import state_of
from ..model_file import put_state
from ..registry import NetworkSpec
from ..skeleton import skeleton


def pruned_network(
    input_channels: int,
    num_classes: int,
    network: str,
    arguments: Mapping[str, Any],
    kept: Mapping[str, Sequence[int]],
    example_shape: Sequence[int],
    strides: Any = None,
    deep_supervision: bool = False,
) -> nn.Module:
    """The network cut to the channels that were kept, with fresh weights.

    It is the original class, with its own names of weights, so nnU-Net treats it as any of its networks.

    Args:
        input_channels: of the image, as nnU-Net gives them.
        num_classes: of the output, as nnU-Net gives them.
        network: name in stampseg's registry.
        arguments: of the dense network.
        kept: group -> surviving channels, in the dense network's numbering.
        example_shape: (1, C, *S) that the dense network accepts.
        strides: of its levels; nnU-Net reads them from the plans, nothing here does.
        deep_supervision: whether the network gives the maps of all its levels.

    Raises:
        StampsegError: the network cannot be built, or has not the channels that are to be kept.
    """
    dense = {**arguments, "input_channels": input_channels, "num_classes": num_classes}
    spec = NetworkSpec(name=network, arguments=dense, example_shape=tuple(example_shape))
    built, _ = skeleton(spec, {name: tuple(channels) for name, channels in kept.items()})
    empty = {name: torch.zeros(t.shape) for name, t in state_of(built).items() if t.is_meta}
    put_state(built, empty)
    for module in built.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    decoder: Any = getattr(built, "decoder", None)
    if hasattr(decoder, "deep_supervision"):
        decoder.deep_supervision = deep_supervision
    return built.train()
