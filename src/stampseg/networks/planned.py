"""The network that a plan and the options ask for, as a description."""

from __future__ import annotations

import numpy as np
import torch

from ..channels.cost import Tally
from ..channels.trace import trace
from ..config import Config, PruneOptions
from ..data.plan import Plan
from ..errors import ConfigError
from .registry import NetworkSpec
from .unet import doubling_widths, flat_widths


def network_spec(plan: Plan, config: Config) -> NetworkSpec:
    """The dense network that the plan and the options ask for."""
    options = config.network
    return NetworkSpec(
        name="unet",
        arguments={
            "spatial_dims": plan.spatial_dims,
            "in_channels": plan.in_channels,
            "out_channels": plan.out_channels,
            "widths": doubling_widths(options.width, len(plan.strides)),
            "strides": plan.strides,
            "norm": options.norm,
            "activation": options.activation,
            "order": "activation-norm" if options.preset == "paper" else "norm-activation",
        },
        example_shape=(1, plan.in_channels, *plan.patch_size),
    )


def flat_spec(dense: NetworkSpec, prune: PruneOptions) -> NetworkSpec:
    """The flat U-Net whose size is nearest to the target, in ratio.

    Raises:
        ConfigError: the target is a Dice floor, which names no size.
    """
    if prune.target.floor is not None:
        raise ConfigError("--method flat needs a size as --target (15%, 50k); a Dice floor names none")
    limit = prune.target.limit(_count(dense, prune))
    levels = len(dense.arguments["strides"])
    sizes: dict[int, int] = {}
    for width in range(1, 1025):
        spec = dense.model_copy(
            update={"arguments": {**dense.arguments, "widths": flat_widths(width, levels)}}
        )
        sizes[width] = _count(spec, prune)
        if sizes[width] >= limit:
            break
    nearest = min(sizes, key=lambda width: abs(np.log(sizes[width] / limit)))
    return dense.model_copy(update={"arguments": {**dense.arguments, "widths": flat_widths(nearest, levels)}})


def _count(spec: NetworkSpec, prune: PruneOptions) -> int:
    parameters, flops = count(spec)
    return flops if prune.target.kind == "flops" else parameters


def count(spec: NetworkSpec) -> tuple[int, int]:
    """Parameters and FLOPs of a network, without building it in memory."""
    with torch.device("meta"):
        network = spec.build()
        tally = Tally(network, trace(network, torch.empty(spec.example_shape)))
    return tally.parameters, tally.flops
