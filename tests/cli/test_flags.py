"""Options are called by their name in the library, and by their flag on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from stampseg.cli import commands, models
from stampseg.cli.flags import COMMANDS, in_flags, library_name, speak_of
from stampseg.core.config import Config
from stampseg.core.options import Options

SOURCE = Path(commands.__file__).resolve().parents[1]
LIBRARY = sorted(path for path in SOURCE.rglob("*.py") if "cli" not in path.relative_to(SOURCE).parts)
# Where command lines of programs are put together, which nobody reads.
COMMANDERS = {"run/lock.py", "run/study/command.py", "run/study/slurm.py"}
FLAG = re.compile(r"(?:^|[\s`'\"(,;/])(?:--[a-z]|-[a-z]\b)")
WHOLE_COMMAND = re.compile(r"`[\w ]+ -[^`]*`|^stampseg .*")  # speaks to whoever types commands, and shows all
QUOTED = re.compile(r"`([a-z_]+(?:\.[a-z_]+)*)`")


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """String constants, parts of f-strings among them, with their lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def option_names(options: type[Options], prefix: str = "") -> Iterator[str]:
    for name, field in options.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
            yield from option_names(field.annotation, f"{prefix}{name}.")


@pytest.mark.parametrize(
    "path",
    [path for path in LIBRARY if path.relative_to(SOURCE).as_posix() not in COMMANDERS],
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_the_library_does_not_speak_of_flags(path: Path) -> None:
    said = {line: text for line, text in strings(path) if FLAG.search(WHOLE_COMMAND.sub("", text))}
    assert not said, "write the option's name in backquotes; the command line makes the flag of it"


def test_the_rule_sees_flags() -> None:
    for text in ("give --labels", "--labels ", "say `--trust`", "choose another -o", "(-o or --overlays)"):
        assert FLAG.search(WHOLE_COMMAND.sub("", text)), text
    for text in ("A `stampseg check --json` prints it.", "a self-made one", "--", "x - y", "well-known"):
        assert not FLAG.search(WHOLE_COMMAND.sub("", text)), text


def test_names_that_errors_call_are_options_or_functions() -> None:
    """A misspelt name would reach a user of the command line as it is."""
    group = get_command(commands.app)
    parameters = {p.name for command in group.commands.values() for p in command.params}  # type: ignore[attr-defined]
    known = {library_name(name or "") for name in parameters} | COMMANDS.keys() | {*option_names(Config)}
    wrong = {
        (path.name, name)
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Raise)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        for name in QUOTED.findall(part.value)
        if name not in known
    }
    of_library = {("library.py", "validate"), ("arguments.py", "validate"), ("arguments.py", "copies")}
    assert not wrong - of_library - {("record.py", "prune")}
    defined = "\n".join(path.read_text("utf-8") for path in LIBRARY)
    assert all(f"def {name.split('.')[-1]}(" in defined for name in COMMANDS)


@pytest.mark.parametrize(
    ("command", "text", "expected"),
    [
        (commands.train, "`train.validation` 0.3: lower `labels`", "--validation 0.3: lower --labels"),
        (commands.train, "give `data` and `output`", "give DATA and -o"),
        (commands.check, "`network.name` with `network.arguments`", "--network with --set network.arguments"),
        (commands.prune, "allow it with `trusted` a:B", "allow it with --trust a:B"),
        (commands.prune, "go on by `RunFolder.reopen` run", "go on by `stampseg train --resume` run"),
        (models.export, "name `inputs` or `data`", "name --input or --data"),
        (
            models.report,
            "say `group_regex`, `seed` or `x`",
            "say `group_regex`, `seed` or `x`",
        ),  # it has none
        (models.evaluate, "as `stampseg export` does", "as `stampseg export` does"),
    ],
)
def test_a_message_in_flags_of_the_command(command: object, text: str, expected: str) -> None:
    assert callable(command)
    speak_of(command)
    assert in_flags(text) == expected
