"""One pass through a network, and the questions that rules ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
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

    def runs(self, kind: type[nn.Module]) -> bool:
        """Whether the call comes from such a module's own forward."""
        return bool(self.observer.stack) and isinstance(self.observer.stack[-1][1], kind)

    def count_module(self, attribute: str, layout: Layout) -> None:
        """Record the attribute of the module now running, if it has it."""
        if any(self.runs(kind) for kind in COUNTED[attribute]):
            self.wiring.count_by(self.observer.stack[-1][0], attribute, layout)


# What a rule gives: the layout of the output (a list of them for several outputs), None when the operation
# is not understood, or a reason in words why its channels cannot be cut.
Rule = Callable[[Pass, tuple[Any, ...], dict[str, Any], Any], Layout | list[Layout] | str | None]


def argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str, default: Any = None
) -> Any:
    return args[index] if len(args) > index else kwargs.get(name, default)


def data_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return argument(args, kwargs, 0, "input")


def tensors_in(value: Any) -> list[Tensor]:
    """Tensors of a call's arguments or result."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors_in(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors_in(item)]
    return []


def output_tensors(value: Any) -> list[Tensor]:
    """As `tensors_in`, and in mappings, data classes and other objects that a network may give back."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in output_tensors(item)]
    if isinstance(value, tuple | list):
        return [t for item in value for t in output_tensors(item)]
    if is_dataclass(value) or hasattr(value, "__dict__"):
        return [t for item in vars(value).values() for t in output_tensors(item)]
    return []
