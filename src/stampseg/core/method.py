"""How a network comes to its size: the methods, and what each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["stamp+", "stamp", "dense", "flat", "thin"]


@dataclass(frozen=True)
class MethodTraits:
    """What a method does; whoever must know asks here, not for the name.

    Attributes:
        prunes: channels are cut while it trains.
        targets_dropout: channels that rank low are dropped more often (the + of STAMP+).
        sized: how the widths of a U-Net are chosen whose size is nearest to the target before it trains:
            one width for all layers, or all layers narrowed by one factor; None: it begins whole.
        explanation: for the help and the reference.
    """

    prunes: bool
    targets_dropout: bool
    sized: Literal["one width", "one factor"] | None
    explanation: str

    @property
    def has_target(self) -> bool:
        """Whether the target says how large the network becomes."""
        return self.prunes or self.sized is not None


METHODS: dict[str, MethodTraits] = {
    "stamp+": MethodTraits(True, True, None, "prune with targeted dropout"),
    "stamp": MethodTraits(True, False, None, "prune without it"),
    "dense": MethodTraits(False, False, None, "train only"),
    "flat": MethodTraits(
        False, False, "one width", "train a U-Net of one width whose size is nearest to the target"
    ),
    "thin": MethodTraits(
        False, False, "one factor", "train the U-Net with all layers narrowed by one factor to the target"
    ),
}
if METHODS.keys() != set(get_args(Method)):
    raise AssertionError("Method and METHODS name different methods")


def methods_that_prune() -> list[str]:
    """Their names, for messages."""
    return [name for name, traits in METHODS.items() if traits.prunes]
