"""How a network comes to its size: the methods, and what each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["stamp+", "stamp", "dense", "flat"]


@dataclass(frozen=True)
class MethodTraits:
    """What a method does; whoever must know asks here, not for the name.

    Attributes:
        prunes: channels are cut while it trains.
        targets_dropout: channels that rank low are dropped more often (the + of STAMP+).
        one_width: a U-Net of one width whose size is nearest to the target.
        explanation: for the help and the reference.
    """

    prunes: bool
    targets_dropout: bool
    one_width: bool
    explanation: str

    @property
    def has_target(self) -> bool:
        """Whether the target says how large the network becomes."""
        return self.prunes or self.one_width


METHODS: dict[str, MethodTraits] = {
    "stamp+": MethodTraits(True, True, False, "prune with targeted dropout"),
    "stamp": MethodTraits(True, False, False, "prune without it"),
    "dense": MethodTraits(False, False, False, "train only"),
    "flat": MethodTraits(
        False, False, True, "train a U-Net of one width whose size is nearest to the target"
    ),
}
if METHODS.keys() != set(get_args(Method)):
    raise AssertionError("Method and METHODS name different methods")


def methods_that_prune() -> list[str]:
    """Their names, for messages."""
    return [name for name, traits in METHODS.items() if traits.prunes]
