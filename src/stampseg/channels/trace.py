"""Run a network once on an example and learn which of its channels live and dies together.

Every torch function that the network calls is seen on its way; `rules.py` says what it does
to the layout of channels. Anything not understood freezes the channels that reach it: less
can be pruned, nothing is ever wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ..errors import WiringError
from .graph import ChannelGraph, Role
from .layout import Layout
from .rules import ACTIVATIONS, COUNTED, RULES, rule_name
from .wiring import Wiring


def trace(network: nn.Module, example: Tensor) -> ChannelGraph:
    """Find the channel groups of `network`.

    The network runs in eval mode and once more in training mode, because some networks use
    layers only while they learn. It runs on the meta device, which computes nothing and takes no
    memory; a network that looks at its values, or holds tensors outside its state, runs for real.
    Its buffers, random state and modes are left as they were.

    Args:
        network: any module, on any device (the meta device included).
        example: (B, C, *S) input the network accepts, on the network's device.

    Raises:
        WiringError: the network does not run on the example, or nothing in it can be traced.
    """
    try:
        tracer = _follow(network, example.to("meta"), _on_meta(network))
    except Exception:  # whatever it was, the run for real shows it again
        tracer = _follow(network, example, None)
    graph = tracer.wiring.finish(tracer.probes(), tracer.positions, tracer.unknown)
    if not graph.groups:
        raise WiringError(f"{type(network).__name__} has no convolution or linear layer that could be traced")
    return graph


def _follow(network: nn.Module, example: Tensor, state: Mapping[str, Tensor] | None) -> Tracer:
    """Both passes; with `state` in place of the network's own parameters and buffers."""
    tracer = Tracer(network, state)
    with _untouched(network, buffers=state is None), torch.no_grad():
        for training in (False, True):
            tracer.run(example, training)
    return tracer


def _on_meta(network: nn.Module) -> dict[str, Tensor]:
    """Stand-ins without memory for all parameters and buffers; a shared one stays shared.

    A module registered under two names counts once: swapped twice, it would be left with a stand-in.
    """
    stand_ins: dict[int, Tensor] = {}
    return {
        f"{prefix}.{key}" if prefix else key: stand_ins.setdefault(
            id(tensor), torch.empty_like(tensor, device="meta", requires_grad=False)
        )
        for prefix, module in network.named_modules()
        for key, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
    }


@contextmanager
def _untouched(network: nn.Module, buffers: bool) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    before = [(buffer, buffer.detach().clone()) for buffer in network.buffers()] if buffers else []
    cuda = sorted({p.device.index for p in network.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


# Calls that return no tensor, and yet write one or carry one out of sight.
_ESCAPES = ("setitem", "set", "numpy", "array", "tolist", "item", "dlpack")


class Tracer(TorchFunctionMode):
    """Sees every torch function called by the network and follows the channels through it."""

    def __init__(self, network: nn.Module, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network, self.state = network, state
        self.wiring = Wiring()
        self.positions: list[tuple[str, int]] = []
        self.unknown: list[str] = []
        self._names: dict[int, str] = {}
        for name, tensor in state.items() if state is not None else _named_state(network):
            self._names.setdefault(id(tensor), name)  # a shared tensor goes by its first name
        # what modules hold outside their state is constant: it comes from no channel
        held = [vars(module).values() for module in network.modules()]
        self._constants = {id(t): t for values in held for t in _tensors(list(values))}
        self._reset(training=False)
        self._observed: dict[int, tuple[str, int, np.ndarray, bool]] = {}  # by the number of the layer call

    def _reset(self, training: bool) -> None:
        self._training = training
        self._layouts: dict[int, tuple[Tensor, Layout]] = {}  # holds the tensor so that its id stays its own
        self._others = dict(self._constants)  # seen to be made, but from no channels that are followed
        self._origins: dict[int, int] = {}  # tensor -> number of the layer call it comes from, unmixed
        self._layer_calls = 0
        self._stack: list[tuple[str, nn.Module]] = []
        self._calls: dict[str, int] = {}

    def run(self, example: Tensor, training: bool) -> None:
        """One pass; the second one, in training mode, adds ties but no probes or costs."""
        self._reset(training)
        self.network.train(training)
        for module in self.network.modules():  # with batch statistics one example may be too little
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        modules = dict(self.network.named_modules())
        hooks = [module.register_forward_pre_hook(self._enter(name)) for name, module in modules.items()]
        hooks += [module.register_forward_hook(self._leave) for module in modules.values()]
        self._set(example, self._frozen("input", example.shape[1], "the network's input"))
        try:
            with self:
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
        finally:
            for hook in hooks:
                hook.remove()
        self._freeze_outputs(_tensors(outputs))

    def _freeze_outputs(self, outputs: list[Tensor]) -> None:
        if not outputs:
            raise WiringError(
                f"{type(self.network).__name__} returns no tensors that could be found; it must return a "
                "tensor, or a tuple, list or dictionary of them"
            )
        self._look_for_strangers(outputs)
        for output in outputs:
            layout = self.layout(output)
            if layout is not None:
                self.wiring.freeze(layout, "the network's output")

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._stack.append((name, module))

        return hook

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        name, _ = self._stack.pop()
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        if self._training or not isinstance(output, Tensor) or id(output) not in self._origins:
            return
        origin = self._origins[id(output)]
        layout = self._layouts[id(output)][1]
        activated = isinstance(module, ACTIVATIONS)
        if origin not in self._observed or (activated and not self._observed[origin][3]):
            self._observed[origin] = (name, call, layout, activated)

    def probes(self) -> list[tuple[str, int, np.ndarray, bool]]:
        """Where each layer's activation is observed: (module, call, layout, behind an activation)."""
        return [self._observed[origin] for origin in sorted(self._observed)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
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
        traced = [t for t in inputs if id(t) in self._layouts]
        origins = {self._origins.get(id(t)) for t in traced}
        rule = RULES.get(name) if traced or name.startswith(("conv", "linear")) else None
        layouts = rule(self, args, kwargs, out) if rule else None
        if layouts is None or isinstance(layouts, str):
            self._give_up(name, inputs, traced, layouts)
            return
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
        place = self._place()
        for tensor in traced:
            why = f"{reason} in {place}" if reason else f"{name} in {place} is not understood"
            self.wiring.freeze(self._layouts[id(tensor)][1], why)
        for tensor in inputs:
            state = self.state_name(tensor)
            if state is not None:
                self.wiring.poisoned.setdefault(state, f"{name} in {place}, which is not understood")
        if traced and not reason:
            self.unknown.append(f"{name} in {place}")

    def _place(self) -> str:
        """Where the network is now, in words."""
        return (self._stack[-1][0] if self._stack else "") or "the network itself"

    def _look_for_strangers(self, tensors: list[Tensor]) -> None:
        """A tensor that no observed operation made may come from any channels: freeze them all."""
        for tensor in tensors:
            known = id(tensor) in self._layouts or id(tensor) in self._others or self.state_name(tensor)
            if not known:
                self._others[id(tensor)] = tensor
                where = self._place()
                for _, layout in self._layouts.values():
                    self.wiring.freeze(layout, f"a tensor in {where} comes from code that cannot be followed")
                self.unknown.append(f"a tensor from code that cannot be followed in {where}")

    def runs(self, kind: type[nn.Module]) -> bool:
        """Whether the call comes from such a module's own forward."""
        return bool(self._stack) and isinstance(self._stack[-1][1], kind)

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
            self.wiring.count_by(self._stack[-1][0], attribute, layout)

    def place(self, weight: str, places: int) -> None:
        """Record that a weight is applied at `places` positions of one example."""
        if not self._training:
            self.positions.append((weight, places))


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
