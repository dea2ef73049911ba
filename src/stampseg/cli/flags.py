"""Names of options on their way to the user of the command line.

The library calls an option by the name it has there, in backquotes: "`labels` 9: 3 labelled cases are there",
"give `train.validation`". Whoever called a command reads the flag of that command instead.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, get_args

from typer.models import ArgumentInfo, OptionInfo

# Options of commands that have another name in a Config; all others are called alike.
CONFIG_NAMES = {
    "target": "prune.target",
    "steps": "train.steps",
    "validation": "train.validation",
    "test": "train.test",
    "folds": "train.folds",
    "fold_column": "train.fold_column",
    "distil": "train.distil",
    "search": "train.search",
    "budget": "train.budget",
    "network": "network.name",
    "grid": "data.grid",
    "ignore_label": "data.ignore_label",
    "names": "data.names",
    "merge": "data.merge",
    "only": "data.only",
}
# Options that a flag sets beside the one that it is named for.
ALSO = {"grid": "data.spacing"}
# What the library would have its user call, and the command that does it.
COMMANDS = {
    "examine": "`stampseg check`",
    "segment": "`stampseg predict`",
    "suggest": "`stampseg suggest`",
    "write_report": "`stampseg report`",
    "RunFolder.reopen": "`stampseg train --resume`",
}
_QUOTED = re.compile(r"`([A-Za-z_]+(?:\.[a-z_]+)*)`")
_FLAGS: ContextVar[Mapping[str, str] | None] = ContextVar("flags", default=None)


def speak_of(command: Callable[..., Any]) -> None:
    """From here on `in_flags` answers in the flags of this command."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    flags = {p.name: flag_of(p.name, p.annotation) for p in parameters}
    names = {library_name(name): flag for name, flag in flags.items()}
    _FLAGS.set(COMMANDS | names | {also: flags[name] for name, also in ALSO.items() if name in flags})


def library_name(parameter: str) -> str:
    """What the library calls a parameter of a command: `steps` is `train.steps` there."""
    return CONFIG_NAMES.get(parameter, parameter)


def flag_of(name: str, declared: Any) -> str:
    """An option's flag (-o of -o and --output), an argument's name in the help."""
    for part in get_args(declared)[1:]:
        if isinstance(part, OptionInfo):
            return str(part.default).split("/")[0]  # typer keeps the first flag in the place of a default
        if isinstance(part, ArgumentInfo) and part.metavar:
            return str(part.metavar)
    return name.upper()


def in_flags(text: str) -> str:
    """The text with flags of the running command for the names of options; other quotes stay.

    An option of the configuration that has no flag of its own is set by --set, where the command has that.
    """
    flags = _FLAGS.get() or {}

    def spelled(match: re.Match[str]) -> str:
        name = match[1]
        if name in flags:
            return flags[name]
        return f"{flags['settings']} {name}" if "." in name and "settings" in flags else match[0]

    return _QUOTED.sub(spelled, text)
