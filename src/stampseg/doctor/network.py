"""What `stampseg inspect` says of a network: which channels can go, what goes with them, what cannot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from ..channels.choice import smallest
from ..channels.cost import Tally
from ..channels.graph import ChannelGraph
from ..core.errors import ConfigError, WiringError
from ..core.network_options import NetworkOptions
from ..core.text import shape_text
from ..data.plan import Strides
from ..data.planner import plan_strides
from ..networks.factory import fixed_strides, spec_of
from ..networks.model_file import load_model
from ..networks.pretrained.source import fill, find_model_file, open_source
from ..networks.registry import NetworkSpec, find_entry
from ..networks.skeleton import skeleton

USUAL_SIDE = {2: 256, 3: 64}  # of the input, where none is given
USUAL_CLASSES = 2


@dataclass(frozen=True)
class _NamedTask:
    """What a network given by name alone is built for; a `networks.entry.Task`."""

    spatial_dims: int
    in_channels: int
    out_channels: int
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    strides: Strides


@dataclass(frozen=True)
class GroupCost:
    """Channels that live and die together."""

    name: str
    channels: int
    layers: tuple[str, ...]  # all that produce them
    parameters: int | None  # that go with one of them; None: it cannot go
    flops: int | None
    frozen: str | None  # why they cannot go


@dataclass(frozen=True)
class Inspection:
    """One network, as it is now."""

    target: str
    network: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]  # (1, C, *S) of the input the FLOPs are for
    groups: tuple[GroupCost, ...]
    unknown: tuple[str, ...]  # operations that were not understood, and where
    unreached: tuple[str, ...]  # parameters that no pass used, such as of a head switched on later
    parameters: int
    flops: int
    least_parameters: int  # with one channel left of every group that may be cut
    least_flops: int

    @property
    def prunable_share(self) -> float:
        """Share of the parameters that cuts can remove."""
        return 1 - self.least_parameters / self.parameters if self.parameters else 0.0

    def to_json(self) -> dict[str, Any]:
        """What `inspect --json` prints."""
        return {**asdict(self), "prunable_share": round(self.prunable_share, 6)}


def inspect_network(
    network: nn.Module, graph: ChannelGraph, spec: NetworkSpec, target: str = ""
) -> Inspection:
    """Count what goes with every group's channels.

    Args:
        network: on any device, the meta device included.
        graph: its channels, as traced for `spec.example_shape` or left by cuts.
        spec: what it was built from.
        target: what the user named; the network's name where nothing is given.
    """
    tally = Tally(network, graph)
    least = smallest(network, graph, 1, {group.name for group in graph.prunable})
    groups = []
    for group in graph.groups:
        parameters, flops = (None, None) if group.frozen is not None else tally.cost(group.start)[:2]
        groups.append(GroupCost(group.name, group.size, group.producers, parameters, flops, group.frozen))
    return Inspection(
        target=target or spec.name,
        network=spec.name,
        arguments=spec.arguments,
        shape=spec.example_shape,
        groups=tuple(groups),
        unknown=graph.unknown,
        unreached=graph.unreached,
        parameters=tally.parameters,
        flops=tally.flops,
        least_parameters=least.parameters,
        least_flops=least.flops,
    )


def inspect_target(
    target: str,
    shape: tuple[int, ...] | None = None,
    options: NetworkOptions | None = None,
    trusted: Collection[str] = (),
) -> Inspection:
    """Look at a trained network, or at a network by its name.

    Args:
        target: a path, or a name as in `network.name`. A path that exists wins: our model file or run
            folder, an nnU-Net results folder, or a MONAI bundle.
        shape: (1, C, *S) of the input of a network given by name; None: one channel, 64^3 or 256^2.
        options: width, arguments and so on of a network given by name.
        trusted: import paths whose code may run because a model file asks for it.

    Raises:
        ConfigError: the network cannot be built so, options are given for a model file, or weights alone
            that do not say which network they are of.
        ModelFileError: the file or folder is missing or damaged.
        WiringError: the network does not run on the usual input, where no shape is given.
    """
    if Path(target).exists() or target.endswith(".safetensors") or "/" in target:
        if shape is not None or (options is not None and options.model_fields_set):
            raise ConfigError(
                f"{target}: a model file has its own shape and arguments; leave out the options, or name a "
                "network"
            )
        return _inspect_path(Path(target), target, trusted)
    spec = _named(target, shape, options or NetworkOptions())
    try:
        network, graph = skeleton(
            spec, {}, (spec.name,), rehearse=True
        )  # the user names it, and so trusts it
    except WiringError as error:
        if shape is None:
            raise
        raise ConfigError(f"`shape` {shape_text(shape)}: {error}") from None
    return inspect_network(network, graph, spec, target)


def _inspect_path(path: Path, target: str, trusted: Collection[str]) -> Inspection:
    model = find_model_file(path)
    if model is not None:
        described = load_model(model, trusted=trusted).description  # a damaged file is refused
        network, graph = skeleton(described.network, described.kept, trusted, rehearse=True)
        return inspect_network(network, graph, described.network, target)
    source = open_source(path, trusted=trusted)
    if source.spec is None:
        raise ConfigError(
            f"{target}: weights alone do not say which network they are of; name the network instead, such "
            "as monai.UNet, and its arguments as `network.arguments`"
        )
    network, graph = skeleton(source.spec, source.kept, trusted, rehearse=True)
    fill(network, source)  # what does not fit is not the network that was described
    return inspect_network(network, graph, source.spec, target)


def _named(name: str, shape: tuple[int, ...] | None, options: NetworkOptions) -> NetworkSpec:
    """The network of this name for an input of this shape, with as many poolings as would be planned."""
    entry = find_entry(name)
    if shape is None:
        dims = max(entry.dims)
        shape = (1, 1, *[USUAL_SIDE[dims]] * dims)
    if len(shape) not in (4, 5) or min(shape) < 1 or shape[0] != 1:
        raise ConfigError(
            f"`shape` {shape_text(shape)}: expected one example, its channels and two or three axes, all "
            "above 0, as in 1x1x64x64x64"
        )
    arguments = dict(options.arguments)
    classes = arguments.pop(entry.data["out_channels"], USUAL_CLASSES)
    try:
        values = {**options.model_dump(exclude_unset=True), "name": name, "arguments": arguments}
        options = NetworkOptions.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"network: {error.errors()[0]['msg']}") from None
    if type(classes) is not int or classes < 1:
        raise ConfigError(
            f"network.arguments.{entry.data['out_channels']}: found {classes!r}; expected a count"
        )
    size = shape[2:]
    dims = len(size)
    task = _NamedTask(
        spatial_dims=dims,
        in_channels=shape[1],
        out_channels=classes,
        patch_size=size,
        spacing=(1.0,) * dims,
        strides=fixed_strides(options, dims) or plan_strides(size, (1.0,) * dims, options.settled.poolings),
    )
    return spec_of(task, options)
