"""Claims, written down before a study is run: which method is better than which, or not worse by a margin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from ...core.errors import ConfigError
from ...core.options import Value

_WORDS = {
    "model_type": "names with values, such as {method: ours, against: dense, kind: superior}",
    "string_type": "a text",
    "float_parsing": "a number, such as 0.01",
    "float_type": "a number, such as 0.01",
}


class Claim(Value):
    """One claim; its tasks are tested together, each counting alike."""

    method: str
    against: str
    kind: Literal["superior", "noninferior"]
    margin: float | None = Field(None, gt=0, description="Dice that may be lost; of `noninferior` alone.")
    tasks: Literal["all"] | tuple[str, ...] = "all"
    metric: Literal["dice"] = "dice"

    @model_validator(mode="after")
    def _whole(self) -> Claim:
        if self.kind == "noninferior" and self.margin is None:
            raise ValueError("noninferior needs a margin: how much Dice may be lost, such as 0.01")
        if self.kind == "superior" and self.margin is not None:
            raise ValueError("superior takes no margin; leave it out")
        if self.method == self.against:
            raise ValueError(f"compares {self.method} with itself; name another method to hold it against")
        if self.tasks == ():
            raise ValueError("names no task; write all, or a list of tasks")
        if len(set(self.tasks)) < len(self.tasks) and self.tasks != "all":
            raise ValueError("names a task twice, whose people would count twice; name each once")
        return self

    @property
    def bound(self) -> float:
        """What the difference must lie above."""
        return 0.0 if self.margin is None else -self.margin

    def __str__(self) -> str:
        if self.margin is None:
            return f"{self.method} is better than {self.against}"
        return f"{self.method} is not worse than {self.against} by more than {self.margin:g}"


def read_claims(written: object, file: object) -> tuple[Claim, ...]:
    """The claims of a study's file.

    Args:
        written: what stands there as claims; None: nothing.
        file: for messages.

    Raises:
        ConfigError: it is no list, or one of them is no claim.
    """
    if written is None:
        return ()
    if not isinstance(written, list):
        raise ConfigError(
            f"{file}: claims: expected a list, each with method, against, kind, tasks and, for noninferior, "
            "margin"
        )
    claims = []
    for number, value in enumerate(written, 1):
        try:
            claims.append(Claim.model_validate(value))
        except ValidationError as error:
            raise ConfigError(f"{file}: claim {number}: {_said(error)}; correct it") from None
    return tuple(claims)


def _said(error: ValidationError) -> str:
    """The first thing that is wrong with a claim; a name that is unknown before what it leaves missing."""
    first = next((e for e in error.errors() if e["type"] == "extra_forbidden"), error.errors()[0])
    name = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "missing":
        return f"has no {name}"
    if first["type"] == "extra_forbidden":
        return f"{name} is unknown; it has {', '.join(Claim.model_fields)}"
    if name == "tasks":
        return f"tasks {first['input']!r}: expected all, or a list of tasks"
    text = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if first["type"] == "value_error":
        return text
    return f"{name} {first['input']!r}: expected {_WORDS.get(first['type'], text)}".strip()
