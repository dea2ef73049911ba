"""The bases of all option sets, of values with several parts, and of what files hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

NUMBERS = {int, float}
BESIDE_NUMBERS = {str, NoneType, Literal, tuple, dict}  # which true and false are not either


class Value(BaseModel):
    """One value of several parts: frozen, a misspelt part is an error, and it is replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true for 1, and YAML reads yes and on as true: `steps: yes` would be one step."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = set(_kinds(annotation, within=not isinstance(value, bool)))
        if kinds & NUMBERS and kinds <= NUMBERS | BESIDE_NUMBERS and _holds_truth(value):
            raise PydanticKnownError("float_type" if float in kinds else "int_type")
        return value


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


def _kinds(annotation: Any, within: bool) -> Iterator[Any]:
    """The types in an annotation; with `within`, those of the parts of lists and mappings in their place."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(parts[0], within)
    elif origin in (Union, UnionType) or (within and origin in (tuple, dict)):
        for part in parts:
            yield from _kinds(part, within)
    elif annotation is not ...:
        yield origin or annotation


def _holds_truth(value: Any) -> bool:
    """Whether it is true or false, or a list or a mapping with one of them."""
    if isinstance(value, dict):
        return _holds_truth([*value.keys(), *value.values()])
    return any(map(_holds_truth, value)) if isinstance(value, list | tuple) else isinstance(value, bool)
