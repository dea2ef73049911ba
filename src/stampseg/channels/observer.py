"""Where in a network each layer's activation can be seen, and where a dropout may stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from .module_kinds import ACTIVATIONS, LAYERS
from .wiring import Layout

Find = Callable[[Tensor], tuple[int, Layout] | None]  # tensor -> the layer call it comes from, its layout


@dataclass(frozen=True)
class Sight:
    """The output of a module, which comes from one layer alone."""

    module: str
    call: int
    layout: Layout
    activated: bool
    single: bool  # a layer, norm or activation without modules inside


class Observer:
    """Follows which module runs, and what comes out of it."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, nn.Module]] = []
        self._calls: dict[str, int] = {}
        self._most: dict[str, int] = {}  # calls of a module in one pass, at the most
        self._sights: dict[int, list[Sight]] = {}  # by the number of the layer call

    @property
    def place(self) -> str:
        """Where the network is now, in words."""
        return (self.stack[-1][0] if self.stack else "") or "the network itself"

    @property
    def in_script(self) -> bool:
        """Whether what runs now is code of TorchScript."""
        return bool(self.stack) and isinstance(self.stack[-1][1], torch.jit.ScriptModule)

    @contextmanager
    def watching(self, network: nn.Module, find: Find | None) -> Iterator[None]:
        """Follow one pass; without `find` calls are counted, and nothing is looked at."""
        self.stack, self._calls = [], {}
        hooks, scripted = [], {}
        try:
            for name, module in network.named_modules():
                if isinstance(module, torch.jit.ScriptModule):  # takes no hooks of its own
                    scripted[id(module)] = name
                    continue
                hooks.append(module.register_forward_pre_hook(self._enter(name)))
                hooks.append(module.register_forward_hook(self._leave(find)))
            if scripted:
                hooks += self._watch_scripted(scripted)
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for name, count in self._calls.items():
                self._most[name] = max(count, self._most.get(name, 0))

    def _watch_scripted(self, names: Mapping[int, str]) -> list[Any]:
        """Follow when modules of TorchScript run, by hooks that see every module."""

        def enter(module: nn.Module, args: Any) -> None:
            if id(module) in names:
                self.stack.append((names[id(module)], module))

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            if id(module) in names:
                self.stack.pop()

        return [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self.stack.append((name, module))

        return hook

    def _leave(self, find: Find | None) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            name, _ = self.stack.pop()
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
            found = find(output) if find is not None and isinstance(output, Tensor) else None
            if found is not None:
                origin, layout = found
                activated = isinstance(module, ACTIVATIONS)
                single = not module._modules and (activated or isinstance(module, LAYERS))
                sight = Sight(name, call, layout, activated, single)
                self._sights.setdefault(origin, []).append(sight)

        return hook

    def probes(self) -> list[tuple[str, int, Layout, bool, str | None]]:
        """One per layer call: module, call, layout, whether behind an activation, host of a dropout."""
        found = []
        for origin in sorted(self._sights):
            sights = self._sights[origin]
            first = next((i for i, sight in enumerate(sights) if sight.activated), None)
            best = sights[0 if first is None else first]
            way = sights if first is None else sights[: first + 1]
            hosts = [s.module for s in way if s.single and self._most[s.module] == 1]
            found.append((best.module, best.call, best.layout, best.activated, hosts[-1] if hosts else None))
        return found
