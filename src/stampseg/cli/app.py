"""The program's face: one app, and errors as one line with an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from ..core.errors import DataError, StampsegError
from ..core.packages import missing

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="stampseg",
    help="Train and prune a segmentation network at the same time, with few labelled scans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into one line and an exit code; nobody sees a traceback for a wrong input."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except StampsegError as error:
            typer.echo(f"stampseg: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except ModuleNotFoundError as error:
            said = missing(error, f"stampseg {command.__name__}")
            if said is None:
                raise
            typer.echo(f"stampseg: {said}", err=True)
            raise typer.Exit(said.exit_code) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(
                f"stampseg: {where}{error.strerror or error}; check the path and the space left", err=True
            )
            raise typer.Exit(DataError.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("stampseg: stopped by the user", err=True)
            raise typer.Exit(130) from None

    return wrapped


def console() -> Console:
    """Where tables and notes are printed."""
    from rich.console import Console

    return Console(soft_wrap=True)
