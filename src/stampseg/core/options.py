"""The bases of all option sets and of values with several parts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """One value of several parts: frozen, a misspelt part is an error, and it is replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class Options(Value):
    """Base of all option sets: frozen, a misspelt name is an error, and options are set one by one."""


class _Lenient(BaseModel):
    """What other versions wrote beside it is no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)
