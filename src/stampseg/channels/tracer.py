"""Follow the channels through every torch function that a network calls.

`rules.py` says what each does to the layout of channels. Anything not understood freezes the
channels that reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..errors import WiringError
from .graph import ChannelGraph, LayerCall, Role
from .layer_rules import layer_call
from .layout import Layout, argument, data_input
from .meta_norm import norm_on_meta
from .observer import Observer
from .rules import COUNTED, RULES, rule_name
from .wiring import Wiring

# Calls that return no tensor, and yet write one or carry one out of sight.
_ESCAPES = ("setitem", "set", "numpy", "array", "tolist", "item", "dlpack")


class Tracer(TorchFunctionMode):
    """Sees every torch function called by the network and follows the channels through it."""

    def __init__(self, network: nn.Module, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network, self.state = network, state
        self.wiring, self.observer = Wiring(), Observer()
        self.calls: list[LayerCall] = []
        self.fixed_flops = 0  # of what no cut changes
        self.unknown: list[str] = []
        self.output_shapes: list[tuple[int, ...]] = []
        self._names: dict[int, str] = {}
        for name, tensor in state.items() if state is not None else _named_state(network):
            self._names.setdefault(id(tensor), name)  # a shared tensor goes by its first name
        self._used: set[str] = set()
        self._set_constants()
        self._reset(training=False)

    def _set_constants(self) -> None:
        """What modules hold outside their state comes from no channel, and is not replaced by a cut."""
        held = _tensors(
            [v for m in self.network.modules() for k, v in vars(m).items() if k not in REGISTRIES]
        )
        self._constants = {id(t): t for t in held}
        own = {id(tensor): name for name, tensor in _named_state(self.network)}
        for tensor in held:
            if id(tensor) in own:
                self.wiring.poisoned[own[id(tensor)]] = "code that holds it as a plain attribute"

    def _reset(self, training: bool) -> None:
        self._training = training
        self._layouts: dict[int, tuple[Tensor, Layout]] = {}  # holds the tensor so that its id stays its own
        self._others = dict(self._constants)  # seen to be made, but from no channels that are followed
        self._origins: dict[int, int] = {}  # tensor -> number of the layer call it comes from, unmixed
        self._layer_calls = 0

    def run(self, example: Tensor, training: bool) -> None:
        """One pass; the second one, in training mode, adds ties but no probes or costs."""
        self._reset(training)
        self._batch = len(example)
        self.network.train(training)
        for module in self.network.modules():  # with batch statistics one example may be too little
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        self._set(example, self._frozen("input", example.shape[1], "the network's input"))
        try:
            with self.observer.watching(self.network, None if training else self._origin), self:
                if self.state is None:
                    outputs = self.network(example)
                else:
                    outputs = functional_call(self.network, dict(self.state), (example,), tie_weights=False)
        except WiringError:
            raise
        except Exception as error:
            mode = "training" if training else "eval"
            raise WiringError(
                f"{type(self.network).__name__} does not run in {mode} mode on an input of shape "
                f"{tuple(example.shape)}: {error}; give an example it accepts"
            ) from error
        self._freeze_outputs(output_tensors(outputs))

    def _origin(self, tensor: Tensor) -> tuple[int, Layout] | None:
        if id(tensor) not in self._origins:
            return None
        return self._origins[id(tensor)], self._layouts[id(tensor)][1]

    def _freeze_outputs(self, outputs: list[Tensor]) -> None:
        if not outputs:
            raise WiringError(
                f"{type(self.network).__name__} returns no tensors that could be found; it must return a "
                "tensor, or a tuple, list or dictionary of them"
            )
        self._look_for_strangers(outputs)
        self.output_shapes += [tuple(output.shape) for output in outputs]
        if not self._training:
            self.wiring.output = self.layout(outputs[0])
        for output in outputs:
            layout = self.layout(output)
            if layout is not None:
                self.wiring.freeze(layout, "the network's output")

    def finish(self) -> ChannelGraph:
        """The graph of what was seen."""
        parameters = {id(p): name for name, p in self.network.named_parameters()}
        unreached = tuple(name for name in parameters.values() if name not in self._used)
        return self.wiring.finish(
            self.observer.probes(), self.calls, self.unknown, unreached, self.fixed_flops
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = norm_on_meta(func, args, kwargs)
        if out is None:
            out = func(*args, **kwargs)
        outputs = _tensors(out)
        inputs = _tensors((args, kwargs))
        if inputs and (outputs or rule_name(func) in _ESCAPES):
            self._follow(func, args, kwargs, out, inputs, outputs)
        for tensor in outputs:
            if id(tensor) not in self._layouts:
                self._others[id(tensor)] = tensor
        return out

    def _follow(
        self, func: Any, args: Any, kwargs: Any, out: Any, inputs: list[Tensor], outputs: list[Tensor]
    ) -> None:
        name = rule_name(func)
        self._look_for_strangers(inputs)
        states = [t for t in inputs if self.state_name(t) is not None]
        self._used.update(self._names[id(t)] for t in states)
        if not self._training:
            self._count(name, args, kwargs, out)
        self.wiring.touched.clear()
        traced = [t for t in inputs if id(t) in self._layouts]
        origins = {self._origins.get(id(t)) for t in traced}
        rule = RULES.get(name) if traced or name.startswith(("conv", "linear")) else None
        layouts = rule(self, args, kwargs, out) if rule else None
        if layouts is None or isinstance(layouts, str):
            self._give_up(name, inputs, traced, layouts)
            return
        for tensor in states:  # used here in a way that no cut of it would follow
            if tensor.numel() > 1 and self._names[id(tensor)] not in self.wiring.touched:
                self._poison(tensor, name)
        if isinstance(layouts, np.ndarray):
            layouts = [layouts] * len(outputs)
        unmixed = origins.pop() if len(traced) == 1 else None
        for tensor, layout in zip(outputs, layouts, strict=True):
            self._set(tensor, layout)
            if name.startswith(("conv", "linear")):
                self._origins[id(tensor)] = self._layer_calls
                self._layer_calls += 1
            elif unmixed is not None and len(outputs) == 1:
                self._origins[id(tensor)] = unmixed
            else:
                self._origins.pop(id(tensor), None)

    def _give_up(self, name: str, inputs: list[Tensor], traced: list[Tensor], reason: str | None) -> None:
        """Freeze what went in: for a known reason, or because nobody knows what comes out."""
        place = self.observer.place
        for tensor in traced:
            why = f"{reason} in {place}" if reason else f"{name} in {place} is not understood"
            self.wiring.freeze(self._layouts[id(tensor)][1], why)
        for tensor in inputs:
            if self.state_name(tensor) is not None:
                self._poison(tensor, name)
        if traced and not reason:
            self.unknown.append(f"{name} in {place}")

    def _poison(self, tensor: Tensor, name: str) -> None:
        where = f"{name} in {self.observer.place}, which is not understood"
        self.wiring.poisoned.setdefault(self._names[id(tensor)], where)

    def _count(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        """Where a weight is applied, followed or not; products without one cost what no cut changes."""
        if name.startswith(("conv", "linear")) and isinstance(out, Tensor):
            x, weight = data_input(args, kwargs), argument(args, kwargs, 1, "weight")
            transposed = name.startswith("conv_transpose")
            spread = x if transposed else out
            channels = spread.shape[-1 if name == "linear" else 1]
            places = spread.numel() // max(1, channels * self._batch)
            state = self.state_name(weight)
            if state is not None:
                self.calls.append(layer_call(args, kwargs, out, state, places, transposed))
            else:
                self.fixed_flops += 2 * weight.numel() * places
        elif name in ("matmul", "bmm", "rmatmul") and isinstance(out, Tensor):
            self.fixed_flops += 2 * out.numel() * args[0].shape[-1] // self._batch
        elif name == "scaled_dot_product_attention":
            query, key, value = args[:3] if len(args) > 2 else (kwargs[n] for n in ("query", "key", "value"))
            products = query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
            self.fixed_flops += 2 * products // self._batch

    def _look_for_strangers(self, tensors: list[Tensor]) -> None:
        """A tensor that no observed operation made may come from any channels: freeze them all."""
        for tensor in tensors:
            known = id(tensor) in self._layouts or id(tensor) in self._others or self.state_name(tensor)
            if not known:
                self._others[id(tensor)] = tensor
                where = self.observer.place
                for _, layout in self._layouts.values():
                    self.wiring.freeze(layout, f"a tensor in {where} comes from code that cannot be followed")
                self.unknown.append(f"a tensor from code that cannot be followed in {where}")

    def runs(self, kind: type[nn.Module]) -> bool:
        """Whether the call comes from such a module's own forward."""
        return bool(self.observer.stack) and isinstance(self.observer.stack[-1][1], kind)

    def _set(self, tensor: Tensor, layout: Layout) -> None:
        self._layouts[id(tensor)] = (tensor, layout)

    def _frozen(self, name: str, count: int, reason: str) -> Layout:
        atoms = self.wiring.new_block(name, count, layer=False)
        self.wiring.freeze(atoms, reason)
        return atoms

    def layout(self, tensor: Any) -> Layout | None:
        """The layout of a tensor of this pass, or None."""
        known = self._layouts.get(id(tensor))
        return None if known is None else known[1]

    def layout_or_frozen(self, tensor: Tensor) -> Layout:
        """The layout, or new frozen atoms for a tensor that was not followed."""
        layout = self.layout(tensor)
        return (
            layout
            if layout is not None
            else self._frozen(
                "constant", tensor.shape[1], "it meets a tensor that does not come from cuttable channels"
            )
        )

    def state_name(self, tensor: Any) -> str | None:
        """The name of a parameter or buffer of the network."""
        return self._names.get(id(tensor))

    def bind_state(self, tensor: Tensor, layout: Layout, role: Role = "other") -> bool:
        """Bind a vector of the network's state; False when it is not one."""
        name = self.state_name(tensor)
        if name is not None:
            self.wiring.bind(name, 0, layout, role)
        return name is not None

    def count_module(self, attribute: str, layout: Layout) -> None:
        """Record the attribute of the module now running, if it has it."""
        if any(self.runs(kind) for kind in COUNTED[attribute]):
            self.wiring.count_by(self.observer.stack[-1][0], attribute, layout)


REGISTRIES = frozenset(vars(nn.Module()))


def _named_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for item in value for t in _tensors(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in _tensors(item)]
    return []


def output_tensors(value: Any) -> list[Tensor]:
    """As `_tensors`, and in mappings, data classes and other objects that a network may give back."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in output_tensors(item)]
    if isinstance(value, tuple | list):
        return [t for item in value for t in output_tensors(item)]
    if is_dataclass(value) or hasattr(value, "__dict__"):
        return [t for item in vars(value).values() for t in output_tensors(item)]
    return []
