"""What the tracer found: which channels live and die together, and where they lie.

Every channel of the network has one number. A `Group` owns a range of numbers; a `Binding`
says which channel each position along one dimension of one tensor belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import index
from typing import Any, Literal

import numpy as np

from ..core.errors import WiringError

FREE = -1  # a position that no cut ever touches

Scores = Mapping[str, np.ndarray]  # group name -> one value per channel
Role = Literal["out", "in", "norm-weight", "rate", "divisor", "other"]


@dataclass(frozen=True)
class Group:
    """Channels produced by one layer, or by several that are added together."""

    name: str  # the first layer that produces them
    start: int
    stop: int
    producers: tuple[str, ...]
    frozen: str | None  # why it may not be cut, or None
    transposed: bool = False  # produced by up-convolutions only
    before_head: bool = False  # read by a layer that makes the network's output, the first of several

    @property
    def size(self) -> int:
        """Number of channels."""
        return self.stop - self.start


@dataclass(frozen=True)
class Binding:
    """Position p along `dim` of `tensor` belongs to channel `channels[p]` (or is FREE)."""

    tensor: str  # its name in the state of the network
    dim: int
    channels: np.ndarray
    role: Role = "other"


@dataclass(frozen=True)
class Sized:
    """A module attribute that counts channels: its value is len(channels)."""

    module: str
    attribute: str
    channels: np.ndarray


@dataclass(frozen=True)
class Probe:
    """Where a group's activation is observed: the output of the n-th call of a module."""

    module: str
    call: int
    channels: np.ndarray
    activated: bool  # behind an activation, or the bare convolution
    host: str | None = None  # the last module on the way there that is called once: a dropout may follow it


@dataclass(frozen=True)
class LayerCall:
    """One call of a convolution or linear layer, for one example of the traced size.

    Attributes:
        weight: its name in the state of the network.
        places: positions the weight is applied at: output positions, of the input where transposed.
        voxels: positions of the output.
        size: spatial shape of the input.
        options: stride, padding, dilation as in torch, one number per axis; empty for a linear layer.
        transposed: an up-convolution, whose weight is (in, out, ...).
    """

    weight: str
    places: int
    voxels: int
    size: tuple[int, ...] = ()
    options: tuple[tuple[int, ...], ...] = ()
    transposed: bool = False


@dataclass(frozen=True)
class Cut:
    """Channels to remove: group name -> sorted indices within the group. JSON-ready."""

    removed: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, removed: Mapping[str, Iterable[int]]) -> Cut:
        """Sort the indices and leave out groups that lose nothing."""
        try:
            sorted_indices = {name: tuple(sorted(map(_number, indices))) for name, indices in removed.items()}
        except (TypeError, AttributeError):
            raise WiringError(
                "a cut names channels by whole numbers, in a list for each group: {'encoder.0': [0, 3]}; "
                f"found {removed}"
            ) from None
        return cls({name: indices for name, indices in sorted_indices.items() if indices})

    @property
    def count(self) -> int:
        """Channels removed."""
        return sum(len(indices) for indices in self.removed.values())


@dataclass(frozen=True)
class ChannelGraph:
    """The channels of one network as it is now. A cut gives a new graph.

    `calls` holds each call of a convolution or linear layer; `kept` the surviving indices of each
    group in the numbering of the network as first traced.
    """

    groups: tuple[Group, ...]
    bindings: tuple[Binding, ...]
    sizes: tuple[Sized, ...]
    probes: tuple[Probe, ...]
    calls: tuple[LayerCall, ...]
    kept: Mapping[str, tuple[int, ...]]
    unknown: tuple[str, ...] = ()  # operations that were not understood, and where
    fixed_flops: int = 0  # of products that no cut changes, such as attention
    unreached: tuple[str, ...] = ()  # parameters that the network did not use when it was traced
    _by_name: Mapping[str, Group] = field(init=False, repr=False, compare=False)
    _by_place: Mapping[tuple[str, int], Binding] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {group.name: group for group in self.groups})
        object.__setattr__(self, "_by_place", {(b.tensor, b.dim): b for b in self.bindings})

    def __getitem__(self, name: str) -> Group:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(group.name for group in self.prunable[:6])
            raise WiringError(f"no channel group is named {name!r}; the network has {known}, ...") from None

    @property
    def prunable(self) -> tuple[Group, ...]:
        """Groups that may be cut."""
        return tuple(group for group in self.groups if group.frozen is None)

    @property
    def channel_count(self) -> int:
        """Channels of all groups, frozen ones included."""
        return max((group.stop for group in self.groups), default=0)

    @cached_property
    def layers(self) -> tuple[np.ndarray, ...]:
        """The channels of each layer's output; a group of several layers need not fill any of them."""
        return tuple(np.unique(b.channels) for b in self.bindings if b.role == "out")

    def binding(self, tensor: str, dim: int) -> np.ndarray | None:
        """Channels along `dim` of `tensor`, or None."""
        found = self._by_place.get((tensor, dim))
        return None if found is None else found.channels

    def widths(self) -> dict[str, int]:
        """Channels per group."""
        return {group.name: group.size for group in self.groups}

    def per_group(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Split one value per channel into prunable groups."""
        return {group.name: values[group.start : group.stop] for group in self.prunable}

    def check(self, cut: Cut) -> None:
        """Raise WiringError, saying what to do, if `cut` cannot be made."""
        for name, indices in cut.removed.items():
            group = self[name]
            if group.frozen is not None:
                raise WiringError(f"group {name!r} is frozen ({group.frozen}); leave it out of the cut")
            if any(index < 0 or index >= group.size for index in indices):
                raise WiringError(
                    f"group {name!r} has channels 0 to {group.size - 1}; the cut names {list(indices)}"
                )
            if len(set(indices)) != len(indices):
                raise WiringError(f"group {name!r}: the cut names a channel twice in {list(indices)}")
            if len(indices) >= group.size:
                raise WiringError(
                    f"group {name!r} would lose all of its {group.size} channels; keep at least one"
                )

        keep = self.keep_mask(cut)
        for binding in self.bindings:
            if binding.role == "out" and not survives(binding.channels, keep).any():
                raise WiringError(
                    f"the layer of {binding.tensor} would lose all of its channels; keep at least one"
                )

    def keep_mask(self, cut: Cut) -> np.ndarray:
        """One boolean per channel: does it survive?"""
        keep = np.ones(self.channel_count, dtype=bool)
        for name, indices in cut.removed.items():
            keep[self[name].start + np.asarray(indices, dtype=int)] = False
        return keep

    def without(self, cut: Cut) -> ChannelGraph:
        """The graph of the network that is left after `cut`."""
        self.check(cut)
        keep = self.keep_mask(cut)
        renumber = np.cumsum(keep) - 1

        def survivors(channels: np.ndarray) -> np.ndarray:
            left = channels[survives(channels, keep)]
            return np.where(left >= 0, renumber[left], FREE)

        before = np.concatenate([[0], np.cumsum(keep)])
        groups = tuple(replace(g, start=int(before[g.start]), stop=int(before[g.stop])) for g in self.groups)
        kept = {
            g.name: tuple(
                k for k, stays in zip(self.kept[g.name], keep[g.start : g.stop], strict=True) if stays
            )
            for g in self.groups
        }
        return ChannelGraph(
            groups=groups,
            bindings=tuple(replace(b, channels=survivors(b.channels)) for b in self.bindings),
            sizes=tuple(replace(s, channels=survivors(s.channels)) for s in self.sizes),
            probes=tuple(replace(p, channels=survivors(p.channels)) for p in self.probes),
            calls=self.calls,
            kept=kept,
            unknown=self.unknown,
            fixed_flops=self.fixed_flops,
            unreached=self.unreached,
        )

    def cut_to(self, kept: Mapping[str, Iterable[int]]) -> Cut:
        """The cut that leaves `kept`, given in the numbering of the network as first traced."""
        removed = {}
        for name, indices in kept.items():
            wanted, have = set(indices), self.kept[self[name].name]
            if not wanted <= set(have):
                raise WiringError(f"group {name!r} no longer has channels {sorted(wanted - set(have))[:5]}")
            removed[name] = [i for i, original in enumerate(have) if original not in wanted]
        return Cut.of(removed)


def _number(value: Any) -> int:
    """An index; True and False are of a mask, which Python would take for 1 and 0."""
    whole = index(value)
    if isinstance(value, bool | np.bool_) or str(getattr(value, "dtype", "")) == "torch.bool":
        raise TypeError("a mask")
    return whole


def survives(channels: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Which positions stay: FREE ones, and those whose channel is kept."""
    return (channels < 0) | keep[np.maximum(channels, 0)]
