"""How small or how fast a network should become."""

from __future__ import annotations

import re
from reprlib import Repr
from typing import Literal, get_args

from pydantic import Field, ValidationError, model_validator

from .errors import ConfigError
from .options import Value

Cost = Literal["parameters", "flops", "memory", "latency"]
COSTS: tuple[Cost, ...] = get_args(Cost)
_UNITS: dict[str, dict[str, float]] = {
    "parameters": {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
    "flops": {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9},
    "memory": {"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    "latency": {"us": 1e-3, "ms": 1, "s": 1e3},
}

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


class Target(Value):
    """How far to prune: a cost to come down to, or a floor of validation Dice to stay above.

    Amounts are counts of parameters or FLOPs, bytes of memory, or milliseconds of latency. Where a
    target is validated, a text or a number as `parse` reads it will do.
    """

    kind: Literal[Cost, "dice"] = "parameters"
    share: float | None = Field(None, gt=0, le=1, description="Share of the dense network.")
    amount: float | None = Field(None, gt=0, description="Absolute amount.")
    floor: float | None = Field(None, ge=0, le=1, description="Lowest validation Dice allowed.")

    @classmethod
    def parse(cls, text: str, kind: Cost | None = None, option: str = "`prune.target`") -> Target:
        """Read `15%`, `50k`, `flops:25%`, `flops:2G`, `memory:200MB`, `latency:50ms` or `dice:0.85`.

        Args:
            text: a number of parameters, or with a kind and a colon in front; only an amount or share where
                `kind` is given.
            kind: the one kind that the option is of.
            option: what the error calls it.

        Raises:
            ConfigError: the text is none of these.
        """
        try:
            return cls._read(text, kind)
        except ValueError as error:
            raise ConfigError(f"{option} {error}") from None

    @model_validator(mode="before")
    @classmethod
    def _from_plain(cls, value: object) -> object:
        """A text or a number, as options and files give it; the parts by name pass."""
        return value if isinstance(value, dict) else cls._read(value, None).model_dump(exclude_none=True)

    @classmethod
    def _read(cls, value: object, kind: Cost | None) -> Target:
        """As `parse`.

        Raises:
            ValueError: the same in words that begin with the value.
        """
        shown = _SHORT.repr(value)
        match = re.fullmatch(r"(?:([a-z]+):)?\s*(\d+(?:\.\d+)?)\s*([a-zA-Z%]*)", str(value).strip())
        measure = (match.group(1) or kind or "parameters") if match else ""
        if not match or measure not in (*COSTS, "dice") or (match.group(1) and kind):
            raise ValueError(_not_a_target(shown, kind))
        number, unit = float(match.group(2)), match.group(3)
        if measure in ("parameters", "flops") and not unit and "." in match.group(2):
            of, share = match.group(1), f"{100 * number:g}%" if 0 < number <= 1 else "60%"
            either = f"{of}:{share} or {of}:60k" if of else f"{share} or 60k"
            raise ValueError(f"{shown} is neither a count nor a share; write {either}, for example")
        units = {"": 1.0} if measure == "dice" else _UNITS[measure]
        if unit != "%" and unit not in units:
            raise ValueError(_not_a_target(shown, kind))
        try:
            if measure == "dice":
                return cls(kind="dice", floor=number / 100 if unit == "%" else number)
            if unit == "%":
                return cls(kind=measure, share=number / 100)
            return cls(kind=measure, amount=number * units[unit])
        except ValidationError as error:
            raise ValueError(
                f"{shown} is out of range: {error.errors()[0]['msg']}; a share lies "
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


def _not_a_target(shown: str, kind: Cost | None) -> str:
    examples = {
        None: "a share such as 15%, a count such as 50k, flops:25%, flops:2G, memory:200MB, "
        "latency:50ms or dice:0.85",
        "parameters": "a share such as 15% or a count such as 50k",
        "flops": "a share such as 25% or a count such as 2G",
        "memory": "a share such as 25% or an amount such as 200MB",
        "latency": "a share such as 25% or a time such as 50ms",
    }
    return f"{shown} is not understood; expected {examples[kind]}"


def say_amount(kind: str, amount: float) -> str:
    """An amount with its unit: 52,341 parameters, 12.5 MB memory, 48.2 ms latency."""
    if kind == "memory":
        return f"{amount / 1e6:,.1f} MB memory"
    if kind == "latency":
        return f"{amount:,.3g} ms latency"
    return f"{int(amount):,} {kind}"
