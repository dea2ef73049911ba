"""Write docs/reference/options.md from the option classes: python docs/generate_options.py."""

from __future__ import annotations

from pathlib import Path
from typing import get_origin

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
    annotation = field.annotation
    text = (
        annotation.__name__
        if isinstance(annotation, type) and get_origin(annotation) is None
        else str(annotation)
    )
    optional = "Optional" in text
    for old in ("typing.", "Literal", "Optional"):
        text = text.replace(old, "")
    text = text.replace("NoneType", "None").replace("|", "or")
    return f"`{text.strip('[]')}`{' or None' if optional else ''}" if "'" in text else text


def _default(field) -> str:  # type: ignore[no-untyped-def]
    return "" if field.default is PydanticUndefined else f"`{field.default}`"


if __name__ == "__main__":
    TARGET.write_text(options_page(), encoding="utf-8")
