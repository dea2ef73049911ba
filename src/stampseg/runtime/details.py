"""What an exported file says of itself: JSON under the key "stampseg"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..core.errors import ModelFileError
from ..data.plan import Plan

FORMAT = 1
KEY = "stampseg"  # of the metadata; in archives the file of that name
MOST_BYTES = 2**24  # of the description
PRECISIONS = ("f32", "bf16", "int8")


def read_details(text: str | bytes | None, path: Path) -> tuple[dict[str, Any], Plan]:
    """The JSON as a dictionary, and its plan.

    Args:
        text: the JSON, or None if the file has none.
        path: named in errors.

    Raises:
        ModelFileError: there is none, it is damaged, or of another format.
    """
    if text is None:
        raise ModelFileError(
            f"{path}: holds no description of how images are prepared; expected a file written by "
            "`stampseg export`; export the model again"
        )
    if len(text) > MOST_BYTES:
        raise ModelFileError(
            f"{path}: its description has {len(text):,} bytes; expected at most {MOST_BYTES:,}; "
            "export the model again"
        )
    values = _values(text, path)
    if values.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: written in format {values.get('format')!r}; this version reads format {FORMAT}; "
            "update stampseg, or export the model again"
        )
    if values.get("precision") not in PRECISIONS:
        raise ModelFileError(
            f"{path}: precision {values.get('precision')!r} is not known; expected one of "
            f"{', '.join(PRECISIONS)}; export the model again"
        )
    return values, _plan(values.get("plan"), path)


def _values(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path}: its description is no JSON; copy or export the file again") from None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path}: its description is no JSON object; export the file again")
    return values


def _plan(values: object, path: Path) -> Plan:
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        where = ".".join(("plan", *map(str, first["loc"])))
        raise ModelFileError(
            f"{path}: its description is damaged ({where}: {said}); export the model again"
        ) from None
