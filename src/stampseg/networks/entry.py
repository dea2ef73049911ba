"""What the registry knows of one network: where its class is, and what a plan means for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from ..core.errors import ConfigError
from ..core.network_options import NetworkOptions
from ..data.plan import Strides

Arguments = dict[str, Any]

DATA_ARGUMENTS = {name: name for name in ("spatial_dims", "in_channels", "out_channels")}
DEFAULT_WIDTH = 8  # channels of the first level where neither the user nor the network says


class Task(Protocol):
    """What a network is built for, as far as it must know; a plan says it all."""

    @property
    def spatial_dims(self) -> int: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def out_channels(self) -> int: ...  # classes, background included
    @property
    def patch_size(self) -> tuple[int, ...]: ...
    @property
    def spacing(self) -> tuple[float, ...]: ...  # per axis, in one unit
    @property
    def strides(self) -> Strides: ...  # pooling per level and axis


def as_they_are(arguments: Mapping[str, Any]) -> Arguments:
    """Arguments that the constructor takes as JSON has them."""
    return dict(arguments)


def leave_alone(network: nn.Module, arguments: Mapping[str, Any]) -> None:
    """A network that needs no mending."""


def own_strides(arguments: Mapping[str, Any], spatial_dims: int) -> Strides | None:
    """The strides that the user gave as an argument, or None: those of the plan."""
    given = arguments.get("strides")
    return None if given is None else every_axis(given, spatial_dims)


def every_axis(strides: Sequence[Any], spatial_dims: int) -> Strides:
    """Strides of each level, one number per axis; a level without a stride is left out.

    Raises:
        ConfigError: they are not numbers, or a list of the wrong length.
    """
    levels: list[tuple[int, ...]] = []
    for level in strides if isinstance(strides, list | tuple) else [strides]:
        axes: tuple[Any, ...] = tuple(level) if isinstance(level, list | tuple) else (level,) * spatial_dims
        if len(axes) != spatial_dims or not all(isinstance(n, int) and n > 0 for n in axes):
            raise ConfigError(
                f"network.arguments.strides: found {list(axes)}; expected whole numbers above 0, one per "
                f"level or {spatial_dims} per level"
            )
        levels.append(axes)
    return tuple(axes for axes in levels if max(axes) > 1) or ((1,) * spatial_dims,)


def plan_decides(arguments: Mapping[str, Any], spatial_dims: int) -> None:
    """A network that takes the strides of the plan, whatever its arguments."""


def halvings(count: int) -> Callable[[Mapping[str, Any], int], Strides]:
    """A network that always halves every axis `count` times."""
    return lambda arguments, spatial_dims: ((2,) * spatial_dims,) * count


@dataclass(frozen=True)
class Entry:
    """One name of the registry.

    Attributes:
        name: as in `network.name`.
        module: where the class is; imported only when the network is built.
        attribute: the name of the class there.
        defaults: arguments, as JSON, for a task and the options.
        drives: option of NetworkOptions -> the argument it sets; an option that is not here has no
            meaning for the network.
        strides: of a network that decides them itself, from its arguments and the axes; else None.
        extra: the installation extra that brings the package, or None.
        dims: spatial dimensions it can have.
        data: what the data decide -> the argument that takes it.
        resolve: arguments as JSON -> what the constructor takes.
        amend: what to mend in the network that the class makes.
        without_weights: arguments that fetch trained weights -> the value with which it does not.
    """

    name: str
    module: str
    attribute: str
    defaults: Callable[[Task, NetworkOptions], Arguments]
    drives: Mapping[str, str] = field(default_factory=dict)
    strides: Callable[[Mapping[str, Any], int], Strides | None] = own_strides
    extra: str | None = None
    dims: tuple[int, ...] = (2, 3)
    data: Mapping[str, str] = field(default_factory=lambda: DATA_ARGUMENTS)
    resolve: Callable[[Mapping[str, Any]], Arguments] = as_they_are
    amend: Callable[[nn.Module, Mapping[str, Any]], None] = leave_alone
    without_weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether its code is of this package, and changes with it alone."""
        return self.module.partition(".")[0] == __name__.partition(".")[0]

    def load(self) -> type[nn.Module]:
        """Import the class.

        Raises:
            ConfigError: its package is not installed, broken, or too old to have it.
        """
        package = self.module.split(".")[0]
        try:
            cls = getattr(importlib.import_module(self.module), self.attribute, None)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise ConfigError(self._broken(package, error)) from None
            remedy = f'pip install "stampseg[{self.extra}]"' if self.extra else f"pip install {package}"
            raise ConfigError(f"network {self.name!r} needs the package {package}; {remedy}") from None
        except Exception as error:  # whatever the package does when it is imported
            raise ConfigError(self._broken(package, error)) from None
        if cls is None:
            raise ConfigError(f"{package} as installed has no {self.attribute}; update {package}")
        return cls

    def _broken(self, package: str, error: Exception) -> str:
        return (
            f"network {self.name!r}: {package} cannot be imported ({type(error).__name__}: {error}); "
            "install versions that fit together"
        )


def data_values(task: Task) -> dict[str, int]:
    """What the data decide of any network."""
    return {
        "spatial_dims": task.spatial_dims,
        "in_channels": task.in_channels,
        "out_channels": task.out_channels,
    }


def doubled(width: int | None, levels: int, most: int | None = None) -> list[int]:
    """Channels of the first level and `levels` more, each twice the one above, at most `most`."""
    first = width or DEFAULT_WIDTH
    channels = [first * 2**level for level in range(levels + 1)]
    return channels if most is None else [min(n, max(most, first)) for n in channels]


def kernel_sizes(task: Task) -> list[list[int]]:
    """Per level and axis 3; 1 across slices twice as thick as the pixels there, as in nnU-Net, or alone."""
    kernels, spacing = [], list(task.spacing)
    kernel = [1] * task.spatial_dims
    for step in ((1,) * task.spatial_dims, *task.strides):
        spacing = [value * factor for value, factor in zip(spacing, step, strict=True)]
        finest = min(value for value, size in zip(spacing, task.patch_size, strict=True) if size > 1)
        fine = [value < 2 * finest and size > 1 for value, size in zip(spacing, task.patch_size, strict=True)]
        kernel = [3 if size == 3 or near else 1 for size, near in zip(kernel, fine, strict=True)]
        kernels.append(kernel)
    return kernels
