"""The network that a plan and the options ask for, as a description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..channels.cost import Tally
from ..core.config import Config
from ..core.errors import ConfigError
from ..core.network_options import NetworkOptions
from ..core.prune_options import PruneOptions
from ..data.plan import Plan, Strides
from .entry import Entry, Task, data_values
from .registry import NetworkSpec, find_entry
from .skeleton import skeleton
from .unet import doubling_widths, flat_widths, thinned_widths

_MEANINGS = ("width", "poolings", "norm", "activation")  # options that not every network can take


def network_spec(plan: Plan, config: Config) -> NetworkSpec:
    """The dense network that the plan and the options ask for.

    Raises:
        ConfigError: an option that means nothing to this network, an argument that the data decide
            otherwise, or a network that does not have the plan's dimensions.
    """
    return spec_of(plan, config.network)


def spec_of(task: Task, options: NetworkOptions) -> NetworkSpec:
    """The same for the options of the network alone, and for anything a network is built for."""
    entry = find_entry(options.name)
    _check_options(entry, options)
    _check_dims(entry, task.spatial_dims)
    arguments = {**entry.defaults(task, options.settled), **options.arguments}
    _check_data(entry, arguments, task)
    return NetworkSpec(
        name=options.name,
        arguments=arguments,
        example_shape=(1, task.in_channels, *task.patch_size),
    )


def fixed_strides(options: NetworkOptions, spatial_dims: int) -> Strides | None:
    """The strides of a network that does not take the plan's, for `make_plan`; None where it does.

    Raises:
        ConfigError: an option that means nothing to the network, or a network of other dimensions.
    """
    entry = find_entry(options.name)
    _check_options(entry, options)
    _check_dims(entry, spatial_dims)
    return entry.strides(options.arguments, spatial_dims)


def spec_strides(spec: NetworkSpec, spatial_dims: int) -> Strides | None:
    """The strides of a network that is already described; None where it takes any.

    Raises:
        ConfigError: no network has its name.
    """
    return find_entry(spec.name).strides(spec.arguments, spatial_dims)


def _check_dims(entry: Entry, spatial_dims: int) -> None:
    if spatial_dims not in entry.dims:
        has = " or ".join(f"{dims}D" for dims in entry.dims)
        raise ConfigError(
            f"network.name: {entry.name} is a network for {has}, and the images are {spatial_dims}D; choose "
            "unet or a network of monai or nnunet"
        )


def _check_options(entry: Entry, options: NetworkOptions) -> None:
    """No option may do nothing: neither one the network cannot take nor one that an argument overrides."""
    own = ":" in entry.name
    for option in _MEANINGS:
        if getattr(options, option) is None or (own and option == "poolings"):
            continue  # a network of one's own takes poolings through the patch, a multiple of them
        if own:
            raise ConfigError(
                f"network.{option}: {entry.name} is your own network; give it network.arguments instead"
            )
        argument = entry.drives.get(option)
        if argument is None:
            taken = [name for name in _MEANINGS if name in entry.drives]
            raise ConfigError(
                f"network.{option}: {entry.name} does not take it; it takes "
                f"{', '.join(taken) or 'none of ' + ', '.join(_MEANINGS)}, and network.arguments"
            )
        if argument in options.arguments:
            raise ConfigError(
                f"network.{option} and network.arguments.{argument} say the same thing; give one of them"
            )


def _check_data(entry: Entry, arguments: dict[str, Any], task: Task) -> None:
    """What the data decide cannot be asked for otherwise."""
    decided = entry.defaults(task, NetworkOptions(name=entry.name))
    for fact in data_values(task):
        argument = entry.data.get(fact, "")
        if argument not in decided:
            continue
        found, needed = ({argument: values[argument]} for values in (arguments, decided))
        if entry.resolve(found) != entry.resolve(needed):
            raise ConfigError(
                f"network.arguments.{argument}: found {arguments[argument]!r}, but the data have "
                f"{decided[argument]!r}; leave it out"
            )


def sized_spec(dense: NetworkSpec, config: Config) -> NetworkSpec:
    """The U-Net of a method that has its size before it trains: nearest to the target, in ratio.

    Raises:
        ConfigError: the target is a Dice floor, which names no size, or the network is not the U-Net.
    """
    method, target = config.method, config.prune.target
    if dense.name != "unet":
        raise ConfigError(
            f"`method` {method} is a U-Net, and `network.name` is {dense.name}; leave out one of them"
        )
    if target.floor is not None:
        raise ConfigError(
            f"`method` {method} needs a size as `prune.target` (15%, 50k); a Dice floor names none"
        )
    if target.kind not in ("parameters", "flops"):
        raise ConfigError(
            f"`method` {method} needs parameters or flops as `prune.target`, and {target.kind} is given"
        )
    limit = target.limit(_count(dense, config.prune))
    sizes: list[tuple[int, NetworkSpec]] = []
    for widths in _narrowing(config, dense):
        spec = dense.model_copy(update={"arguments": {**dense.arguments, "widths": widths}})
        sizes.append((_count(spec, config.prune), spec))
        if sizes[-1][0] >= limit:
            break
    return min(sizes, key=lambda size: abs(np.log(size[0] / limit)))[1]


def _narrowing(config: Config, dense: NetworkSpec) -> Iterator[dict[str, int]]:
    """Widths of the U-Net from narrow to wide, as the method has them."""
    levels = len(dense.arguments["strides"])
    if config.traits.sized == "one width":
        yield from (flat_widths(width, levels) for width in range(1, 1025))
        return
    given = dense.arguments["widths"]
    whole = doubling_widths(given, levels) if isinstance(given, int) else given
    yield from thinned_widths(whole)


def _count(spec: NetworkSpec, prune: PruneOptions) -> int:
    parameters, flops = count(spec)
    return flops if prune.target.kind == "flops" else parameters


def count(spec: NetworkSpec) -> tuple[int, int]:
    """Parameters and FLOPs of a network, without building it in memory."""
    network, graph = skeleton(spec, trusted=(spec.name,))  # it comes from the options, which name it
    tally = Tally(network, graph)
    return tally.parameters, tally.flops
