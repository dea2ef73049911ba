"""docs/reference/commands.md from the program itself: `python docs/generate_commands.py`."""

from __future__ import annotations

from pathlib import Path

import click
import typer.main

from stampseg.cli.commands import app

TARGET = Path(__file__).resolve().parent / "reference" / "commands.md"


def commands_page() -> str:
    """All commands with their arguments and options."""
    group = typer.main.get_command(app)
    lines = ["# Commands", "", "Made from the program by `python docs/generate_commands.py`.", ""]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += [f"## stampseg {name}", "", (command.help or "").strip(), "", "| | meaning |", "|---|---|"]
        lines += [row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        lines.append("")
    return "\n".join(lines)


def row(parameter: click.Parameter) -> str:
    """A line of the table."""
    arguments = isinstance(parameter, click.Argument)
    shown = parameter.make_metavar(click.Context(click.Command("x"))) if arguments else ""
    names = shown or ", ".join((*parameter.opts, *parameter.secondary_opts))
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| `{names}` | {text} |"


if __name__ == "__main__":
    TARGET.write_text(commands_page(), encoding="utf-8")
