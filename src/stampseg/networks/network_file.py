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
from .answer import outputs_for_noise
from .model_file import Description, fill, load_model, save_model, stored_state
from .registry import NetworkSpec
from .skeleton import skeleton

SAME = 1e-4  # of the largest output, between two runs of the same network on one processor
ROUNDED = 1e-2  # the same between two devices, or in half precision


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

    What `load` will build is run on noise beside the network: what was changed after it was built, such as an
    activation or an eps, is in no file.

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
        WiringError: what they build is another network than this one, or computes something else.
    """
    read = _plan_of(plan, example_shape)
    channels = graph if graph is None or isinstance(graph, ChannelGraph) else graph.channels
    if channels is None:
        raise ConfigError("stampseg.save: no graph; give the round's graph, or the object that trace gave")
    hint = (
        "give the name and the arguments that the dense network was built with; or the network had been cut "
        "before this graph was traced: make every cut with the first graph, and save with that"
    )
    for batch in dict.fromkeys((1, example_shape[0])):  # some networks take no batch of one
        spec = NetworkSpec(name=name, arguments=dict(arguments), example_shape=(batch, *example_shape[1:]))
        try:
            rebuilt, _ = skeleton(spec, channels.kept, trusted=(name,))
            break
        except WiringError as error:
            failure = error
    else:
        raise WiringError(f"stampseg.save: {name} cannot be cut to this network: {failure}; {hint}") from None
    wanted = {key: tuple(value.shape) for key, value in stored_state(rebuilt).items()}
    found = {key: tuple(value.shape) for key, value in stored_state(network).items()}
    odd = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if odd:
        raise WiringError(
            f"stampseg.save: {name}, cut alike, has {odd[0]} of shape {wanted.get(odd[0])}, this network "
            f"{found.get(odd[0])}; {hint}"
        )
    _check_outputs(name, network, rebuilt, spec.example_shape)
    save_model(Path(path), network, Description(network=spec, kept=dict(channels.kept), plan=read))


def _check_outputs(name: str, network: nn.Module, rebuilt: nn.Module, shape: Sequence[int]) -> None:
    """Run both on the same noise, with the same weights, in eval mode; the rebuilt one on the CPU."""
    fill(rebuilt, {key: tensor.detach().cpu().clone() for key, tensor in stored_state(network).items()})
    first = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    try:
        ours = outputs_for_noise(network, shape, first.device)
        theirs = outputs_for_noise(rebuilt, shape, "cpu")
    except Exception as error:  # whatever its code does
        raise WiringError(
            f"stampseg.save: {name} does not run on the shape {shape_text(shape)}, here or built "
            f"and cut alike: {error}; give the shape of an input that it accepts"
        ) from error
    small = first.device.type == "cpu" and first.dtype in (torch.float32, torch.float64)
    for a, b in zip(ours, theirs, strict=False):
        if a.shape == b.shape and not (a.is_floating_point() or a.is_complex()):
            continue
        most = (SAME if small else ROUNDED) * float(a.abs().nan_to_num(0, 0).max())
        if a.shape != b.shape or not torch.allclose(a, b, rtol=0, atol=most, equal_nan=True):
            raise WiringError(
                f"stampseg.save: {name}, cut alike and with the same weights, gives other outputs than this "
                "network: something was changed after it was built, such as an activation, an eps or a flag; "
                "have its constructor do that, by an argument, or save a class of your own that does"
            )


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
