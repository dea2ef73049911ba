"""Networks by name with arguments: what a model file stores instead of code."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from difflib import get_close_matches
from typing import Any

from pydantic import field_validator
from torch import nn

from ..core.errors import ConfigError
from ..core.network_options import NetworkOptions, as_json
from ..core.options import Options
from . import custom as imported
from . import monai_networks, nnunet_networks, smp_networks
from .entry import Arguments, Entry, Task, data_values, doubled, plan_decides
from .meta import building_on_meta, real_constants
from .unet import doubling_widths

LARGEST_NUMBER = 2**20  # as an argument: widths, sizes, counts
DEEPEST = 16


def _unet(task: Task, options: NetworkOptions) -> Arguments:
    levels = len(task.strides)
    # Beside a single slice there is nothing to see.
    flat = [1 if size == 1 else 3 for size in task.patch_size]
    return {
        **data_values(task),
        **({"kernel_size": flat} if 1 in flat else {}),
        "widths": doubling_widths(doubled(options.width, 0)[0], levels),
        "strides": [list(step) for step in task.strides],
        "norm": options.norm or "batch",
        "activation": options.activation or "relu",
        "order": "activation-norm" if options.preset == "paper" else "norm-activation",
    }


_UNET = Entry(
    "unet", "stampseg.networks.unet", "UNet", _unet,
    {"width": "widths", "poolings": "strides", "norm": "norm", "activation": "activation", "preset": "order"},
)  # fmt: skip
_ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (_UNET, *monai_networks.ENTRIES, *nnunet_networks.ENTRIES, *smp_networks.ENTRIES)
}


def names() -> tuple[str, ...]:
    """Every name that needs no trust."""
    return tuple(_ENTRIES)


def find_entry(name: str) -> Entry:
    """What is known of a network, or of a user's own by its import path.

    Raises:
        ConfigError: no network has this name.
    """
    if imported.is_import_path(name):
        return Entry(name, *_own_place(name), defaults=_own_defaults, strides=plan_decides)
    entry = _ENTRIES.get(name)
    if entry is None:
        near = _near(name)
        hint = f"did you mean {near[0]}? Known" if near else "known"
        raise ConfigError(
            f"network {name!r} is not known; {hint} are {', '.join(_ENTRIES)}, and your own as "
            "package.module:Class"
        )
    return entry


def _near(name: str) -> list[str]:
    """The name that was meant, if any: the same class of another package before another class."""
    whole = {known.lower(): known for known in _ENTRIES}
    by_class = {known.split(".")[-1].lower(): known for known in reversed(tuple(_ENTRIES))}
    wanted, last = name.lower(), name.lower().split(".")[-1]
    tries = ((whole, wanted, 1.0), (by_class, last, 1.0), (whole, wanted, 0.85), (by_class, last, 0.7))
    for known, text, likeness in tries:
        near = get_close_matches(text, known, n=1, cutoff=likeness)
        if near:
            return [known[near[0]]]
    return []


def _own_place(name: str) -> tuple[str, str]:
    module, _, attribute = name.partition(":")
    return module, attribute


def _own_defaults(task: Task, options: NetworkOptions) -> Arguments:
    return imported.defaults(imported.import_class(options.name, (options.name,)), task)


class NetworkSpec(Options):
    """A network that can be built again: its name, its arguments, an input it accepts."""

    name: str
    arguments: dict[str, Any]
    example_shape: tuple[int, ...]  # (1, C, *S)

    @field_validator("arguments")
    @classmethod
    def _as_json(cls, values: dict[str, Any]) -> dict[str, Any]:
        return as_json(values)

    def build(self, trusted: Collection[str] = ()) -> nn.Module:
        """Construct it, with fresh weights, on the current default device.

        On the meta device its parameters take no memory, and the constants that its constructor
        computes stay real (see `meta.py`). Trained weights are fetched only for a network that
        `trusted` names, as the options of a user do, and never on the meta device: a file cannot
        ask for them.

        Args:
            trusted: names that the user gave: import paths (`package.module:Class`) whose code may
                run, networks of the registry that may fetch trained weights.

        Raises:
            ConfigError: the name is unknown or not trusted, its package is missing, or the arguments
                do not fit.
        """
        entry = find_entry(self.name)
        own = imported.is_import_path(self.name)
        cls = imported.import_class(self.name, trusted) if own else entry.load()
        check_arguments(self.name, cls, self.arguments)
        _check_numbers(self.name, self.arguments)
        arguments = entry.resolve(self.arguments)
        on_meta = building_on_meta()
        if on_meta or self.name not in trusted:
            arguments.update(entry.without_weights)  # where nothing is said too: a default may fetch
        try:
            with real_constants() if on_meta else nullcontext():
                network = cls(**arguments)
                entry.amend(network, self.arguments)
                return network
        except ConfigError:
            raise
        except Exception as error:  # whatever the constructor says of the values
            text = str(error) or type(error).__name__
            raise ConfigError(f"network {self.name!r} does not take these arguments: {text}") from None


def _check_numbers(name: str, value: Any, depth: int = 0) -> None:
    """Refuse numbers and nests that no network has, before a constructor counts up to them."""
    large = isinstance(value, int | float) and abs(value) > LARGEST_NUMBER
    if large or depth > DEEPEST:
        found = str(value)[:20] if large else f"more than {DEEPEST} nests"
        raise ConfigError(
            f"network {name!r} does not take {found} in its arguments; numbers go to {LARGEST_NUMBER:,}"
        )
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _check_numbers(name, inner, depth + 1)


def check_arguments(name: str, cls: type[nn.Module], arguments: Mapping[str, Any]) -> None:
    """Compare the names of the arguments with the constructor's signature.

    Raises:
        ConfigError: one that it does not take, or one that it needs and does not get.
    """
    parameters = dict(inspect.signature(cls).parameters)
    takes = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [] if anything else [key for key in arguments if key not in takes]
    if unknown:
        near = get_close_matches(unknown[0], takes, n=1)
        hint = f"did you mean {near[0]}? It" if near else "it"
        raise ConfigError(
            f"network {name!r} does not take the argument {unknown[0]!r}; {hint} takes {', '.join(takes)}"
        )
    needed = [key for key in takes if parameters[key].default is inspect.Parameter.empty]
    missing = [key for key in needed if key not in arguments]
    if missing:
        raise ConfigError(
            f"network {name!r} needs the argument {missing[0]!r}; give it as network.arguments.{missing[0]}. "
            f"It takes {', '.join(takes)}"
        )
