"""A user's own network, named by its import path: `package.module:Class`.

Importing a module runs its code, so whoever builds one says that it may: the options name it
themselves, whoever opens a model file names it as trusted.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from ..core.errors import ConfigError
from .entry import Arguments, Task, data_values

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_import_path(name: str) -> bool:
    """Whether the name is of the form `package.module:Class`."""
    return ":" in name


def import_class(name: str, trusted: Collection[str]) -> type[nn.Module]:
    """The class; the current directory is searched after everything installed.

    Raises:
        ConfigError: not trusted, no such module or class, its code fails, or it is no nn.Module.
    """
    if not _PATH.fullmatch(name):
        raise ConfigError(f"network {name!r}: a network of your own is named package.module:Class")
    if name not in trusted:
        raise ConfigError(
            f"network {name!r} is not part of stampseg: building it would run the code of the module "
            f"{name.split(':')[0]}; if you know that code, allow it with `trusted` {name}"
        )
    module_name, _, attribute = name.partition(":")
    with _current_directory():
        try:
            target: object = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"network {name!r}: no module named {error.name!r} in {Path.cwd()} or installed; run "
                "where it can be imported from"
            ) from None
        except Exception as error:  # whatever the module does
            raise ConfigError(
                f"network {name!r}: importing {module_name} failed ({type(error).__name__}: {error}); mend it"
            ) from None
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if not (isinstance(target, type) and issubclass(target, nn.Module)):
        raise ConfigError(
            f"network {name!r}: {module_name} has no class {attribute} derived from torch.nn.Module"
        )
    return target


@contextmanager
def _current_directory() -> Iterator[None]:
    """The current directory at the end of the search path, where it can hide nothing installed."""
    here = str(Path.cwd())
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(here)]


def defaults(cls: type[nn.Module], task: Task) -> Arguments:
    """What the data decide, as far as the constructor names it."""
    named = inspect.signature(cls).parameters
    return {name: value for name, value in data_values(task).items() if name in named}
