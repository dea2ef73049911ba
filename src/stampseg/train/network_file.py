"""A network of one's own training code as one file, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import ValidationError
from torch import nn

from ..channels.graph import ChannelGraph
from ..core.errors import ConfigError, WiringError
from ..core.text import shape_text
from ..data.plan import PLAN, Plan
from ..networks.model_file import Description, load_model, save_model
from ..networks.registry import NetworkSpec
from ..networks.skeleton import skeleton


class Traced(Protocol):
    """A network whose channels are known, as `stampseg.trace` gives it."""

    channels: ChannelGraph


def save(
    path: str | Path,
    network: nn.Module,
    graph: Traced | ChannelGraph | None,
    name: str,
    arguments: Mapping[str, Any],
    example_shape: Sequence[int],
    *,
    plan: Plan | Mapping[str, Any] | str | Path | None = None,
) -> None:
    """Write a network of any widths as one .safetensors file that `load` reads without its code's help.

    Args:
        path: of the file.
        network: what to write.
        graph: of the network as it is now, such as a round's `graph`.
        name: in the registry (docs/reference/networks.md), or `package.module:Class`.
        arguments: of its constructor for the dense network; JSON values.
        example_shape: (B, C, *S) of an input it accepts.
        plan: how images are prepared for it and what its classes are called, so that the file predicts
            images, is exported and is benched: a `Plan`, a plan.json, or what `stampseg check --json` has
            under "plan".

    Raises:
        ConfigError: the name or the arguments cannot be built, or the plan is of other images.
        DataError: the plan's file cannot be used.
        WiringError: what they build is another network than this one.
    """
    read = _plan_of(plan, example_shape)
    channels = graph if graph is None or isinstance(graph, ChannelGraph) else graph.channels
    if channels is None:
        raise ConfigError("stampseg.save: no graph; give the round's graph, or the object that trace gave")
    spec = NetworkSpec(name=name, arguments=dict(arguments), example_shape=(1, *example_shape[1:]))
    hint = "give the name and the arguments that the dense network was built with"
    try:
        rebuilt, _ = skeleton(spec, channels.kept, trusted=(name,))
    except WiringError as error:
        raise WiringError(f"stampseg.save: {name} cannot be cut to this network: {error}; {hint}") from None
    wanted = {key: tuple(value.shape) for key, value in rebuilt.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    odd = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if odd:
        raise WiringError(
            f"stampseg.save: {name}, cut alike, has {odd[0]} of shape {wanted.get(odd[0])}, this network "
            f"{found.get(odd[0])}; {hint}"
        )
    save_model(Path(path), network, Description(network=spec, kept=dict(channels.kept), plan=read))


def _plan_of(given: Plan | Mapping[str, Any] | str | Path | None, shape: Sequence[int]) -> Plan | None:
    """The plan in any of its forms, for an input of this shape."""
    if given is None:
        return None
    if isinstance(given, str | Path):
        plan = PLAN.read_file(Path(given))
    else:
        try:
            plan = Plan.model_validate(given)
        except ValidationError as error:
            raise ConfigError(f"stampseg.save: plan: {error.errors()[0]['msg']}") from None
    if (plan.in_channels, plan.spatial_dims) != (shape[1], len(shape) - 2):
        raise ConfigError(
            f"stampseg.save: plan: {plan.spatial_dims}D images of {plan.in_channels} channel(s), the example "
            f"has the shape {shape_text(shape)}; give the plan of the images that it is for"
        )
    return plan


def load(path: str | Path, device: torch.device | str = "cpu", *, trusted: Collection[str] = ()) -> nn.Module:
    """The network of a file, in eval mode, without ever building the dense one.

    Args:
        path: written by `save`, or by `stampseg train` and `stampseg prune`.
        device: where it is put.
        trusted: `package.module:Class` names whose code the file may use.

    Raises:
        ModelFileError: the file is missing, damaged, or asks for code that is not trusted.
    """
    return load_model(Path(path), device, trusted=trusted).network
