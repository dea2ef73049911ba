"""The records of a run folder: a line of rounds.jsonl, and result.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from ..core.options import _Lenient


def read_rounds(path: Path) -> list[dict[str, Any]]:
    """The lines of rounds.jsonl; the last one is left out where a process was killed while it wrote it."""
    lines = (path / "rounds.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _finite(value: Any) -> Any:
    """Numbers that JSON does not know become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]


class Validated(_Lenient):
    """Dice over the validation cases."""

    dice: Number = None
    per_label: dict[str, Number] = {}


class Turn(_Lenient):
    """A line of rounds.jsonl."""

    number: int
    event: str = ""
    widths: dict[str, int] = {}
    parameters: int | None = None
    flops: int | None = None
    steps: int | None = None
    loss: Number = None
    validation: Validated | None = None
    removed: dict[str, tuple[int, ...]] = {}
    dropout: dict[str, Number] = {}
    scores: dict[str, Number] = {}


class Result(_Lenient):
    """What result.json says, as far as the report shows it."""

    method: str | None = None
    parameters_before: int | None = None
    parameters_after: int | None = None
    parameters_dense: int | None = None
    flops_before: int | None = None
    flops_after: int | None = None
    validation_dice: Number = None
    validation_dice_before: Number = None
    rounds: int | None = None
    steps: int | None = None
    seconds: Number = None
    target: str | None = None
    target_reached: bool | None = None
    chosen_round: int | None = None
    rule: str | None = None
    remarks: tuple[str, ...] = ()
    machine: dict[str, str | int | float | None] = {}


class _Invocation(_Lenient):
    command: tuple[str, ...] = ()
