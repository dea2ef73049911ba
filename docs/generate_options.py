"""Write docs/reference/options.md from the option classes: python docs/generate_options.py."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from stampseg.core.config import Config
from stampseg.core.options import Options

TARGET = Path(__file__).parent / "reference" / "options.md"


def options_page() -> str:
    """The whole page."""
    lines = [
        "# Options",
        "",
        "Every option, for `--set NAME=VALUE` or, nested, for a `--config` YAML file. Made from the code.",
    ]
    for title, prefix, model in (
        ("The run", "", Config),
        *(
            (name, f"{name}.", field.annotation)
            for name, field in Config.model_fields.items()
            if _is_set(field)
        ),
    ):
        rows = [
            f"| `{prefix}{name}` | {_type(field)} | {_default(field)} | {field.description or ''} |"
            for name, field in model.model_fields.items()
            if not _is_set(field)
        ]
        lines += ["", f"## {title}", "", "| name | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _is_set(field) -> bool:  # type: ignore[no-untyped-def]
    return isinstance(field.annotation, type) and issubclass(field.annotation, Options)


def _type(field) -> str:  # type: ignore[no-untyped-def]
    words = _words(field.annotation)
    return f"`{words}`" if "'" in words else words


def _words(annotation: Any) -> str:
    """A type as a user would write it: no `Annotated`, `Union` or `Literal`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(parts[0])
    if origin is Literal:
        return ", ".join(map(repr, parts))
    if origin in (Union, UnionType):
        return " or ".join(map(_words, parts))
    if origin is not None:
        return f"{origin.__name__}[{', '.join('...' if part is ... else _words(part) for part in parts)}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _default(field) -> str:  # type: ignore[no-untyped-def]
    return "" if field.default is PydanticUndefined else f"`{field.default}`"


if __name__ == "__main__":
    TARGET.write_text(options_page(), encoding="utf-8")
