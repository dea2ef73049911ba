"""What `stampseg.stamp` is given, looked at before the first step."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ..channels.graph import ChannelGraph
from ..channels.importance import Batch
from ..channels.surgery import Copy, check_fit, check_optimizer, plain_copy, state_of
from ..core.errors import ConfigError

Batches = Iterable[Batch] | Iterable[Sequence[Tensor]]


def check_arguments(
    network: nn.Module, graph: ChannelGraph, optimizer: Optimizer, steps: int, copies: Sequence[Copy]
) -> None:
    """See that steps, optimiser and copies can be what they are given as.

    Raises:
        ConfigError: no number of steps, no optimiser, or the network itself as a copy of it.
        WiringError: an optimiser of another network, or a copy that is none of this one.
    """
    try:
        whole = operator.index(steps)
    except TypeError:
        whole = 0
    if isinstance(steps, bool) or whole < 1:
        raise ConfigError(f"stampseg.stamp: steps {steps!r}; expected a whole number of 1 or more")
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"stampseg.stamp: the optimizer is a {type(optimizer).__name__}; expected a "
            "torch.optim.Optimizer of all parameters of the network"
        )
    check_optimizer(optimizer, state_of(network), {})
    for copy in copies:
        plain = plain_copy(copy)
        if plain is network:
            raise ConfigError(
                "stampseg.stamp: `copies` holds the network itself; give averages of it, or none"
            )
        if not isinstance(plain, nn.Module | MutableMapping):
            raise ConfigError(
                f"stampseg.stamp: `copies` holds a {type(copy).__name__}; expected networks like this one, "
                "or dictionaries of its tensors by name"
            )
        check_fit(plain, graph, "a copy: ")


def checked_dice(dice: Any) -> float:
    """A Dice that `validate` has found.

    Raises:
        ConfigError: it is none from 0 to 1.
    """
    try:
        found = float(dice)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found <= 1:
        raise ConfigError(f"stampseg.stamp: `validate` gave {dice!r}; expected a Dice from 0 to 1")
    return found


def image_and_label(batch: Any) -> tuple[Tensor, Tensor]:
    """Of a batch, which is a dictionary of both or begins with them.

    Raises:
        ConfigError: it is neither, or holds something else than tensors.
    """
    if isinstance(batch, Mapping):
        if not {"image", "label"} <= batch.keys():
            raise ConfigError(f"a batch has {', '.join(map(str, batch))}; expected image and label")
        pair: tuple[Any, ...] = (batch["image"], batch["label"])
    elif isinstance(batch, Tensor) or not isinstance(batch, Sequence):
        raise ConfigError(
            f"a batch is a {type(batch).__name__}; expected a dictionary with image and label, or a pair"
        )
    else:
        pair = tuple(batch)[:2]
    if len(pair) != 2:
        raise ConfigError(
            f"a batch holds {len(pair)} tensor; expected a dictionary with image and label, or a pair"
        )
    for name, value in zip(("image", "label"), pair, strict=True):
        if not isinstance(value, Tensor):
            raise ConfigError(f"the {name} of a batch is a {type(value).__name__}; expected a tensor")
    return pair[0], pair[1]
