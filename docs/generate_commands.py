"""docs/reference/commands.md from the program itself: `python docs/generate_commands.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from stampseg.cli.commands import app

TARGET = Path(__file__).resolve().parent / "reference" / "commands.md"


def commands_page() -> str:
    """All commands with their arguments and options."""
    group = typer.main.get_command(app)
    lines = ["# Commands", "", "Made from the program by `python docs/generate_commands.py`.", ""]
    lines += ["## stampseg", "", "| | meaning |", "|---|---|", *map(row, group.params), ""]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += [f"## stampseg {name}", "", (command.help or "").strip(), "", "| | meaning |", "|---|---|"]
        lines += [row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        lines.append("")
    return "\n".join(lines)


def row(parameter: Any) -> str:
    """A line of the table; typer's parameters are of click's classes, or of its own copies of them."""
    if parameter.param_type_name == "argument":
        names = parameter.metavar or parameter.name.upper()
    else:
        names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| `{names}` | {text}{default(parameter, text)} |"


def default(parameter: Any, text: str) -> str:
    """What holds where nothing is given, if the meaning does not say it."""
    value = parameter.default
    known = value is None or isinstance(value, bool) or value in ((), "") or "default" in text.lower()
    return "" if known or callable(value) else f" Default: {value}."


if __name__ == "__main__":
    TARGET.write_text(commands_page(), encoding="utf-8")
