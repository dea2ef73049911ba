"""The network that the plans of nnU-Net describe, checked by building it without memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import ConfigError, ModelFileError, WiringError
from ..meta import on_meta
from ..registry import NetworkSpec, find_entry
from ..skeleton import check_example, skeleton
from .parts import Part, is_count, is_whole

PRUNED = "stampseg.networks.pretrained.nnunet_network.pruned_network"
# What plans.json may name: the network, or where it stood when the first such folders were written.
_PRUNED = (PRUNED, "stampseg.pretrained.nnunet_network.pruned_network")
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")


def read_architecture(
    chosen: Part, patch: tuple[int, ...], data: Mapping[str, Any]
) -> tuple[NetworkSpec, dict[str, tuple[int, ...]] | None]:
    """The dense network, and the channels that were kept of one that was pruned before.

    Args:
        chosen: the configuration in plans.json.
        patch: voxels along each axis.
        data: arguments that the plans leave to the dataset and the trainer, `input_channels` among them.

    Raises:
        ConfigError: the package of nnU-Net's networks is not installed.
        ModelFileError: the network is not supported, or what is said of it is damaged.
    """
    example = (1, int(data["input_channels"]), *patch)
    stated = chosen.part("architecture", {})
    if not stated.values:
        stated = Part(chosen.path, _old_architecture(chosen, len(patch)), chosen.where)
    path, arguments = stated.text("network_class_name"), stated.part("arch_kwargs")
    if path in _PRUNED:
        name = arguments.text("network")
        kept = arguments.part("kept")
        groups = {
            group: tuple(kept.list(group, is_whole, "channels, by their numbers")) for group in kept.values
        }
        arguments = arguments.part("arguments")
        if name not in (f"nnunet.{known}" for known in _NETWORKS):
            raise ModelFileError(f"{stated.path}: its network is {name}; expected a network of nnunet")
        return _checked(name, arguments, arguments.values, example, groups), groups
    name = path.split(".")[-1]
    if not path.startswith("dynamic_network_architectures.") or name not in _NETWORKS:
        raise ModelFileError(
            f"{stated.path}: its network is {path}; expected PlainConvUNet or ResidualEncoderUNet of "
            "dynamic_network_architectures"
        )
    return _checked(f"nnunet.{name}", arguments, {**arguments.values, **data}, example, None), None


def _checked(
    name: str,
    stated: Part,
    arguments: Mapping[str, Any],
    example: tuple[int, ...],
    kept: Mapping[str, tuple[int, ...]] | None,
) -> NetworkSpec:
    """The description of a network that can be built, without memory, from what the plans state.

    Raises:
        ConfigError: the package of nnU-Net's networks is not installed.
        ModelFileError: it cannot be built so, or has not the channels that were kept.
    """
    dims = len(example) - 2
    stated.list(
        "strides",
        lambda v: is_count(v) or (isinstance(v, list) and len(v) == dims and all(map(is_count, v))),
        f"whole numbers above 0, or of lists of {dims}",
    )
    find_entry(name).load()
    try:
        spec = NetworkSpec(name=name, arguments=dict(arguments), example_shape=example)
        check_example(example)
        if kept is not None:
            skeleton(spec, kept)
        else:
            with on_meta():
                spec.build()
    except (ConfigError, WiringError, ValueError, ArithmeticError) as error:
        where = stated.where.removesuffix(".")
        raise ModelFileError(f"{stated.path}: {where} does not describe a network: {error}") from None
    return spec


def _old_architecture(chosen: Part, dims: int) -> dict[str, Any]:
    """The architecture of plans written before nnU-Net 2.5, from their sizes."""
    name = chosen.text("UNet_class_name")
    if name not in _NETWORKS:
        raise ModelFileError(f"{chosen.path}: states no architecture that is known (UNet_class_name {name})")
    blocks = chosen.list("n_conv_per_stage_encoder", is_count, "whole numbers above 0")
    first, most = chosen.count("UNet_base_num_features"), chosen.count("unet_max_num_features")
    lists = {
        key: chosen.list(key, lambda v: isinstance(v, list), "one list per level", (len(blocks),))
        for key in ("conv_kernel_sizes", "pool_op_kernel_sizes")
    }
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {
            "n_stages": len(blocks),
            "features_per_stage": [min(first * 2 ** min(level, 32), most) for level in range(len(blocks))],
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": lists["conv_kernel_sizes"],
            "strides": lists["pool_op_kernel_sizes"],
            "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": blocks,
            "n_conv_per_stage_decoder": chosen.list("n_conv_per_stage_decoder", is_count, "counts"),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
    }


def levels(strides: Sequence[Any], dims: int) -> list[tuple[int, ...]]:
    """Strides of the levels, one number per axis."""
    return [tuple(step) if isinstance(step, list) else (step,) * dims for step in strides]
