"""The program's face: one app, and errors as one line with an exit code."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import re
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from typer.core import TyperGroup

from ..core.errors import ConfigError, DataError, StampsegError, StoppedError
from ..core.level import Level
from ..core.packages import missing
from ..core.remarks import REMEDY, gathered
from ..core.version import __version__
from .flags import in_flags, speak_of

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")
EMPTY = re.compile("(--[a-z-]+=)?")
UNREAD = 141  # of a process that SIGPIPE has ended


class _Commands(TyperGroup):
    """All commands. An empty argument is refused: a variable of a shell that is not set became one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As those of any group."""
        for before, word in pairwise(["", *args]):
            if EMPTY.fullmatch(word):
                text = f"nothing is given after {word or before}; expected a value (is a variable not set?)"
                raise _ended(text, ConfigError.exit_code, "--json" in args)
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    name="stampseg",
    help="Train and prune a segmentation network at the same time, with few labelled scans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer than all else that help needs
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stampseg {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Options of the program itself."""


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into one line and an exit code; nobody sees a traceback for a wrong input.

    The library's messages name its own options; here they become the command's flags.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        speak_of(command)
        as_json = bool(kwargs.get("as_json"))
        try:
            with gathered() as remarks:
                try:
                    return command(*args, **kwargs)
                finally:
                    for text, _ in remarks.sentences():
                        say(Level.WARNING.shown(f"{text}; {REMEDY}"), err=True)
        except (StampsegError, StoppedError) as error:
            raise _ended(in_flags(str(error)), error.exit_code, as_json) from None
        except ModuleNotFoundError as error:
            said = missing(error, f"stampseg {command.__name__}")
            if said is None:
                raise
            raise _ended(str(said), said.exit_code, as_json) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _is_unread():
                raise typer.Exit(UNREAD) from None
            where = f"{error.filename}: " if error.filename else ""
            text = f"{where}{error.strerror or error}; check the path and the space left"
            raise _ended(text, DataError.exit_code, as_json) from None
        except KeyboardInterrupt:
            raise _ended("stopped by the user", 130) from None

    return wrapped


def _is_unread() -> bool:
    """Whether nobody reads what is printed any more, as behind `| head`; nothing is printed from then on."""
    unread = False
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # no file of the system; Windows, which has no poll
            place, watch = stream.fileno(), select.poll()
            watch.register(place, 0)  # errors are told of unasked
            if watch.poll(0):
                unread = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), place)  # else Python itself complains at its end
    return unread


def print_anything() -> None:
    """From here on, letters that the console's encoding lacks are replaced by question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _ended(text: str, code: int, as_json: bool = False) -> typer.Exit:
    if as_json:
        print_json({"error": text, "exit_code": code})
    typer.echo(f"stampseg: {text}", err=True)
    return typer.Exit(code)


def print_json(value: dict[str, Any]) -> None:
    """One JSON document on standard output; numbers that JSON does not know are null."""
    typer.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def say(text: str, err: bool = False) -> None:
    """Print a note of the library's."""
    typer.echo(in_flags(text), err=err)


def say_at_once(text: str) -> None:
    """Print to a terminal what comes next, before imports and reading that take seconds."""
    if sys.stdout.isatty():
        typer.echo(text)


def console() -> Console:
    """Where tables and notes are printed."""
    from rich.console import Console

    return Console(soft_wrap=True)
