"""Follow the channels through every torch function that a network calls.

`rules.py` says what each does to the layout of channels. Anything not understood freezes the
channels that reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..core.errors import WiringError
from .call import Call, Pass, output_tensors, tensors_in
from .graph import ChannelGraph, LayerCall
from .layer_rules import layer_call
from .leftovers import Leftovers
from .meta_calls import call_on_meta
from .modes import set_mode
from .observer import Observer
from .rules import RULES, rule_name
from .untouched import REGISTRIES
from .wiring import Layout, Wiring

# Calls that return no tensor, and yet write one or carry one out of sight.
_ESCAPES = ("setitem", "set", "numpy", "array", "tolist", "item", "dlpack")


class Tracer(TorchFunctionMode):
    """Sees every torch function called by the network and follows the channels through it."""

    def __init__(self, network: nn.Module, state: Mapping[str, Tensor] | None, leftovers: Leftovers) -> None:
        super().__init__()
        self.network, self.state = network, state
        self._leftovers = leftovers
        if state is not None:
            leftovers.note(state.values())
        self.wiring, self.observer = Wiring(), Observer()
        self.calls: list[LayerCall] = []
        self.fixed_flops = 0  # of what no cut changes
        self.unknown: list[str] = []
        self.output_shapes: list[tuple[int, ...]] = []
        self.steps: list[tuple[str, str]] = []  # what was done to the channels that are followed, and where
        self._names: dict[int, str] = {}
        for name, tensor in state.items() if state is not None else _named_state(network):
            self._names.setdefault(id(tensor), name)  # a shared tensor goes by its first name
        self._used = _scripted_state(network)  # seen in use; in TorchScript nothing is seen
        self._kept: list[tuple[Layout, str]] = []
        self._set_constants()
        self._reset(training=False)

    def _set_constants(self) -> None:
        """What modules hold outside their state comes from no channel, and is not replaced by a cut."""
        held = tensors_in(
            [v for m in self.network.modules() for k, v in vars(m).items() if k not in REGISTRIES]
        )
        self._constants = {id(t): t for t in held}
        own = {id(tensor): name for name, tensor in _named_state(self.network)}
        for tensor in held:
            if id(tensor) in own:
                self.wiring.poisoned[own[id(tensor)]] = "code that holds it as a plain attribute"

    def _reset(self, training: bool) -> None:
        self._training = training
        self._pass = Pass(self._names, self.wiring, self.observer)
        # Seen to be made, but from no channels that are followed.
        self._others = {**self._constants, **self._leftovers.plain}
        self._read: set[int] = set()  # ids of tensors that some call takes
        self._origins: dict[int, int] = {}  # tensor -> number of the layer call it comes from, unmixed
        self._layer_calls = 0

    def run(self, example: Tensor, training: bool) -> None:
        """One pass; the second one, in training mode, adds ties but no probes or costs."""
        self._reset(training)
        self._batch = len(example)
        set_mode(self.network, training)
        for module in self.network.modules():  # with batch statistics one example may be too little
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = False  # it alone: a dropout may be attached to it, which is looked at
        self._pass.follow(example, self._pass.frozen("input", example.shape[1], "the network's input"))
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
        self._find_kept()

    def _find_kept(self) -> None:
        """What a module keeps of a pass and nothing reads, as of a side head, is for a loss to read."""
        for name, module in self.network.named_modules():
            for key, value in vars(module).items():
                place = f"{name}.{key}" if name else key
                for tensor in [] if key in REGISTRIES else output_tensors(value):
                    layout = self._pass.layout(tensor)
                    if layout is not None and id(tensor) not in self._read:
                        reason = f"the network keeps it as {place}, where other code may read it"
                        self._kept.append((layout, reason))

    def _origin(self, tensor: Tensor) -> tuple[int, Layout] | None:
        if id(tensor) not in self._origins:
            return None
        return self._origins[id(tensor)], self._pass.layouts[id(tensor)][1]

    def _freeze_outputs(self, outputs: list[Tensor]) -> None:
        if not outputs:
            raise WiringError(
                f"{type(self.network).__name__} returns no tensors that could be found; it must return a "
                "tensor, or a tuple, list or dictionary of them"
            )
        self._look_for_strangers(outputs)
        self.output_shapes += [tuple(output.shape) for output in outputs]
        if not self._training:
            self.wiring.output = self._pass.layout(outputs[0])
        for output in outputs:
            layout = self._pass.layout(output)
            if layout is not None:
                self.wiring.freeze(layout, "the network's output")

    def finish(self) -> ChannelGraph:
        """The graph of what was seen."""
        for layout, reason in self._kept:  # last: what is known to keep them better is said
            self.wiring.freeze(layout, reason)
        parameters = {id(p): name for name, p in self.network.named_parameters()}
        unreached = tuple(name for name in parameters.values() if name not in self._used)
        return self.wiring.finish(
            self.observer.probes(), self.calls, self.unknown, unreached, self.fixed_flops
        )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = call_on_meta(func, args, kwargs)
        if out is None:
            out = func(*args, **kwargs)
        outputs = tensors_in(out)
        inputs = tensors_in((args, kwargs))
        self._read.update(id(tensor) for tensor in inputs if self._pass.follows(tensor))
        given = {id(tensor) for tensor in inputs}  # what writes into a tensor gives it back
        self._leftovers.note(tensor for tensor in outputs if id(tensor) not in given)
        if inputs and (outputs or rule_name(func) in _ESCAPES or _writes(func)):
            self._follow(rule_name(func), Call(self._pass, args, kwargs, out), inputs, outputs)
        for tensor in outputs:
            if self._pass.follows(tensor):
                self._leftovers.plain.pop(id(tensor), None)
            else:
                self._others[id(tensor)] = tensor
                if tensor.is_meta:
                    self._leftovers.plain[id(tensor)] = tensor
        return out

    def _follow(self, name: str, call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self._look_for_strangers(inputs)
        traced = [t for t in inputs if self._pass.follows(t)]
        if self.observer.in_script:
            self._give_up(name, inputs, traced, "TorchScript, which cannot be followed,")
            return  # how it is run inside is no step of the network's
        states = [t for t in inputs if self._pass.state_name(t) is not None]
        self._used.update(self._names[id(t)] for t in states)
        if not self._training:
            self._count(name, call)
        self.wiring.touched.clear()
        if traced:
            self.steps.append((name, self.observer.place))
        origins = {self._origins.get(id(t)) for t in traced}
        rule = RULES.get(name) if traced or name.startswith(("conv", "linear")) else None
        layouts = rule(call) if rule else None
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
            self._pass.follow(tensor, layout)
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
            self.wiring.freeze(self._pass.layouts[id(tensor)][1], why)
        for tensor in inputs:
            if self._pass.state_name(tensor) is not None:
                self._poison(tensor, name)
        if traced and not reason:
            self.unknown.append(f"{name} in {place}")

    def _poison(self, tensor: Tensor, name: str) -> None:
        where = f"{name} in {self.observer.place}, which is not understood"
        self.wiring.poisoned.setdefault(self._names[id(tensor)], where)

    def _count(self, name: str, call: Call) -> None:
        """Where a weight is applied, followed or not; products without one cost what no cut changes."""
        out = call.out
        if name.startswith(("conv", "linear")) and isinstance(out, Tensor):
            x, weight = call.input, call.argument(1, "weight")
            transposed = name.startswith("conv_transpose")
            spread = x if transposed else out
            channels = spread.shape[-1 if name == "linear" else 1]
            places = spread.numel() // max(1, channels * self._batch)
            state = self._pass.state_name(weight)
            if state is not None:
                self.calls.append(layer_call(call, state, places, transposed))
            else:
                self.fixed_flops += 2 * weight.numel() * places
        elif name in ("matmul", "bmm", "rmatmul") and isinstance(out, Tensor):
            self.fixed_flops += 2 * out.numel() * call.input.shape[-1] // self._batch
        elif name == "scaled_dot_product_attention":
            query, key, value = (call.argument(i, name) for i, name in enumerate(("query", "key", "value")))
            products = query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
            self.fixed_flops += 2 * products // self._batch

    def _look_for_strangers(self, tensors: list[Tensor]) -> None:
        """A tensor that no observed operation made may come from any channels: freeze them all."""
        for tensor in tensors:
            known = self._pass.follows(tensor) or id(tensor) in self._others or self._pass.state_name(tensor)
            if not known:
                self._others[id(tensor)] = tensor
                where = self.observer.place
                for _, layout in self._pass.layouts.values():
                    self.wiring.freeze(layout, f"a tensor in {where} comes from code that cannot be followed")
                self.unknown.append(f"a tensor from code that cannot be followed in {where}")


def _writes(func: Any) -> bool:
    """Whether a registered operator (`torch.ops`, `torch.library`) writes into its arguments."""
    if isinstance(func, OpOverloadPacket):
        return any(_writes(getattr(func, name)) for name in func.overloads())
    return isinstance(func, OpOverload) and func._schema.is_mutable


def _scripted_state(network: nn.Module) -> set[str]:
    """Names of the parameters in modules of TorchScript."""
    return {
        f"{prefix}.{name}"
        for prefix, module in network.named_modules()
        if isinstance(module, torch.jit.ScriptModule)
        for name, _ in module.named_parameters(recurse=False)
    }


def _named_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()
