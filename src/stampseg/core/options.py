"""The bases of all option sets, of values with several parts, and of what files hold."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Value(BaseModel):
    """One value of several parts: frozen, a misspelt part is an error, and it is replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class Options(Value):
    """Base of all option sets: frozen, a misspelt name is an error, and options are set one by one."""


class FileRecord(BaseModel):
    """Base of what files of ours hold, or lines and parts of them: frozen, and read with what is missing.

    What another version wrote beside it is no error. Numbers that JSON does not know (`Number`) are None.
    The format number is written and checked by `JsonFile`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
