"""One pass through a network, one call in it, and the questions that rules ask of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .graph import Role
from .module_kinds import COUNTED
from .observer import Observer
from .wiring import Layout, Wiring


class Pass:
    """Which channels lie in which tensor of one forward pass.

    Attributes:
        names: of the network's parameters and buffers, by id; a shared one goes by its first name.
        wiring: atoms and their ties, of all passes.
        observer: follows which module runs.
        layouts: of the tensors seen so far, by id; each is held so that its id stays its own.
    """

    def __init__(self, names: Mapping[int, str], wiring: Wiring, observer: Observer) -> None:
        self.names, self.wiring, self.observer = names, wiring, observer
        self.layouts: dict[int, tuple[Tensor, Layout]] = {}

    def follow(self, tensor: Tensor, layout: Layout) -> None:
        """Say where the channels of a tensor lie."""
        self.layouts[id(tensor)] = (tensor, layout)

    def follows(self, tensor: Any) -> bool:
        """Whether the tensor's channels are known."""
        return id(tensor) in self.layouts

    def layout(self, tensor: Any) -> Layout | None:
        """The layout of a tensor of this pass, or None."""
        known = self.layouts.get(id(tensor))
        return None if known is None else known[1]

    def layout_or_frozen(self, tensor: Tensor) -> Layout:
        """The layout, or new frozen atoms for a tensor that was not followed."""
        layout = self.layout(tensor)
        if layout is not None:
            return layout
        reason = "it meets a tensor that does not come from cuttable channels"
        return self.frozen("constant", tensor.shape[1], reason)

    def frozen(self, name: str, count: int, reason: str) -> Layout:
        """New atoms that are never cut."""
        atoms = self.wiring.new_block(name, count, layer=False)
        self.wiring.freeze(atoms, reason)
        return atoms

    def state_name(self, tensor: Any) -> str | None:
        """The name of a parameter or buffer of the network."""
        return self.names.get(id(tensor))

    def bind_state(self, tensor: Tensor, layout: Layout, role: Role = "other") -> bool:
        """Bind a vector of the network's state; False when it is not one."""
        name = self.state_name(tensor)
        if name is not None:
            self.wiring.bind(name, 0, layout, role)
        return name is not None

    def inside(self, kind: type[nn.Module]) -> bool:
        """Whether the module now running is of that kind."""
        return bool(self.observer.stack) and isinstance(self.observer.stack[-1][1], kind)

    def count_module(self, attribute: str, layout: Layout) -> None:
        """Record the attribute of the module now running, if it has it."""
        if any(self.inside(kind) for kind in COUNTED[attribute]):
            self.wiring.count_by(self.observer.stack[-1][0], attribute, layout)


@dataclass(frozen=True)
class Call:
    """One call of a torch function within a pass."""

    run: Pass
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    @property
    def input(self) -> Any:
        """The first argument."""
        return self.argument(0, "input")

    @property
    def layout(self) -> Layout | None:
        """The layout of the first argument, or None."""
        return self.run.layout(self.input)

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument given by its place or by its name; `axis`, as in NumPy, is `dim`."""
        if len(self.args) > index:
            return self.args[index]
        return self.kwargs.get("axis" if name == "dim" and "axis" in self.kwargs else name, default)

    def integers(self, first: int, name: str) -> list[int]:
        """Integers given one by one from place `first` on, in a sequence there, or by name."""
        return flat_integers(self.args[first:] or (self.kwargs.get(name, ()),))


# What a rule gives: the layout of the output (a list of them for several outputs), None when the operation
# is not understood, or a reason in words why its channels cannot be cut.
Rule = Callable[[Call], Layout | list[Layout] | str | None]


def flat_integers(values: Sequence[Any]) -> list[int]:
    """The integers of nested tuples and lists, in order."""
    return [n for v in values for n in (flat_integers(v) if isinstance(v, tuple | list) else [int(v)])]


def tensors_in(value: Any) -> list[Tensor]:
    """Tensors of a call's arguments or result."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors_in(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors_in(item)]
    return []


def output_tensors(value: Any, seen: frozenset[int] = frozenset()) -> list[Tensor]:
    """As `tensors_in`, and in mappings, data classes and other objects that a network may give back.

    Args:
        value: any; modules in it are no output.
        seen: ids of the objects that it lies in, which it may hold in turn.
    """
    if isinstance(value, Tensor):
        return [value]
    if id(value) in seen or isinstance(value, nn.Module | type):
        return []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, tuple | list):
        parts = list(value)
    else:
        slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
        parts = [*getattr(value, "__dict__", {}).values(), *(getattr(value, name) for name in slots)]
    return [tensor for part in parts for tensor in output_tensors(part, seen | {id(value)})]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))
