"""Claims, written down before a study is run: which method is better than which, or not worse by a margin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ...core.options import Value


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
