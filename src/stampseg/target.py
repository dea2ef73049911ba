"""How small or how fast a network shall become."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, ValidationError, model_validator

from .errors import ConfigError
from .options import Options

Cost = Literal["parameters", "flops", "memory", "latency"]
COSTS: tuple[Cost, ...] = get_args(Cost)
_UNITS: dict[str, dict[str, float]] = {
    "parameters": {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
    "flops": {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
    "memory": {"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    "latency": {"us": 1e-3, "ms": 1, "s": 1e3},
}


class Target(Options):
    """How far to prune: a cost to come down to, or a floor of validation Dice to stay above.

    Amounts are counts of parameters or FLOPs, bytes of memory, or milliseconds of latency.
    """

    kind: Literal[Cost, "dice"] = "parameters"
    share: float | None = Field(None, gt=0, le=1, description="Share of the dense network.")
    amount: float | None = Field(None, gt=0, description="Absolute amount.")
    floor: float | None = Field(None, ge=0, le=1, description="Lowest validation Dice allowed.")

    @classmethod
    def parse(cls, text: str, kind: Cost = "parameters", option: str = "--target") -> Target:
        """Read `15%`, `50k`, `flops:25%`, `flops:2G`, `memory:200MB`, `latency:50ms` or `dice:0.85`.

        Args:
            text: with a kind and a colon in front, or of the given kind.
            kind: of a text without one.
            option: for the error.

        Raises:
            ConfigError: the text is none of these.
        """
        match = re.fullmatch(r"(?:([a-z]+):)?\s*(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)", text.strip())
        found = (match.group(1) or kind) if match else ""
        if not match or found not in (*COSTS, "dice") or (match.group(1) and option != "--target"):
            raise ConfigError(_not_a_target(option, text, kind))
        number, unit = float(match.group(2)), match.group(3)
        if found in ("parameters", "flops") and not unit and "." in match.group(2):
            raise ConfigError(
                f"{option} {text!r} is neither a count nor a share; write 60% or 60k, for example"
            )
        units = {"": 1.0} if found == "dice" else _UNITS[found]
        if unit != "%" and unit not in units:
            raise ConfigError(_not_a_target(option, text, kind))
        try:
            if found == "dice":
                return cls(kind="dice", floor=number / 100 if unit == "%" else number)
            if unit == "%":
                return cls(kind=found, share=number / 100)
            return cls(kind=found, amount=number * units[unit])
        except ValidationError as error:
            raise ConfigError(
                f"{option} {text!r} is out of range: {error.errors()[0]['msg']}; a share lies "
                "above 0% and at most 100%, an amount above 0, a Dice floor between 0 and 1"
            ) from None

    @model_validator(mode="after")
    def _one_amount(self) -> Target:
        given = [v is not None for v in (self.share, self.amount, self.floor)]
        wanted_floor = self.kind == "dice"
        if sum(given) != 1 or wanted_floor != (self.floor is not None):
            raise ValueError("a target needs exactly one of share, amount (costs) or floor (dice)")
        return self

    def limit(self, dense: float) -> float:
        """The amount to come down to, given the dense network's."""
        if self.amount is not None:
            return self.amount
        if self.share is None:
            raise ConfigError("a Dice floor has no size to reach")
        return dense * self.share if self.kind == "latency" else int(dense * self.share)

    def __str__(self) -> str:
        if self.floor is not None:
            return f"validation Dice of at least {self.floor:g}"
        if self.share is not None:
            return f"{self.share:.3g} of the {self.kind}"
        return say_amount(self.kind, self.amount or 0)


def _not_a_target(option: str, text: str, kind: Cost) -> str:
    examples = {
        "parameters": "a share such as 15%, a count such as 50k, flops:25%, flops:2G, memory:200MB, "
        "latency:50ms or dice:0.85",
        "flops": "a share such as 25% or a count such as 2G",
        "memory": "a share such as 25% or an amount such as 200MB",
        "latency": "a share such as 25% or a time such as 50ms",
    }
    chosen = examples["parameters" if option == "--target" else kind]
    return f"{option} {text!r} is not understood; expected {chosen}"


def say_amount(kind: str, amount: float) -> str:
    """An amount with its unit: 52,341 parameters, 12.5 MB memory, 48.2 ms latency."""
    if kind == "memory":
        return f"{amount / 1e6:,.1f} MB memory"
    if kind == "latency":
        return f"{amount:,.3g} ms latency"
    return f"{int(amount):,} {kind}"
