"""How long layers take by width: measured once on a machine with a runtime, and kept in a file.

A layer is timed with the ReLU behind it, on one example, at the widths of a grid; between them the
time is interpolated. Norms are left out: in prediction they are folded into the convolutions.
"""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ..channels.graph import LayerCall
from ..core.errors import DataError
from ..core.files import write_text
from ..core.machine import processor
from ..core.text import shape_text
from ..networks.denormals import flushing_denormals
from ..networks.narrow_layers import narrow_layers
from .onnx_layer import layer_model, runner
from .stopwatch import measure

Runtime = Literal["eager", "onnxruntime", "openvino"]

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
RATE = 1e10  # FLOPs a second of linear layers, which are not measured

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_UP = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class LayerTable:
    """Measured times, asked for layer by layer.

    Args:
        runtime: what runs the layers: eager PyTorch, ONNX Runtime or OpenVINO.
        cache: file to keep them in; None: the user's cache folder, by machine, runtime and threads.
        timer: milliseconds of a call; for tests.
    """

    def __init__(
        self,
        runtime: Runtime = "eager",
        cache: Path | None = None,
        timer: Callable[[Callable[[], object]], float] | None = None,
    ) -> None:
        self.runtime = runtime
        self.cache = cache or _cache_folder() / f"layer-times-{_machine(runtime)}.json"
        self._timer = timer or (lambda work: measure(work, seconds=0.03, least=5, warm_up=1).least)
        self._known = _read(self.cache)
        self._new = 0

    def milliseconds(
        self, call: LayerCall, kernel: tuple[int, ...], in_channels: int, out_channels: int
    ) -> float:
        """One call of a convolution with so many channels; between measured widths, bilinear."""
        if not call.size or len(kernel) not in _CONV:
            return 1e3 * 2 * call.places * in_channels * out_channels / RATE
        if in_channels < 1 or out_channels < 1:
            return 0.0
        total = 0.0
        for a, share_a in _corners(in_channels):
            for b, share_b in _corners(out_channels):
                total += share_a * share_b * self._at(call, kernel, a, b)
        return total

    def save(self) -> None:
        """Keep what was measured; a folder that cannot be written is no reason to stop."""
        if self._new:
            with suppress(DataError):
                write_text(self.cache, json.dumps(self._known, indent=0, sort_keys=True) + "\n")
            self._new = 0

    def _at(self, call: LayerCall, kernel: tuple[int, ...], in_channels: int, out_channels: int) -> float:
        numbers = (kernel, call.size, *call.options)
        words = [shape_text(part) for part in numbers]
        key = " ".join(["up" if call.transposed else "conv", *words, f"{in_channels}-{out_channels}"])
        if key not in self._known:
            self._known[key] = round(self._timer(self._layer(call, kernel, in_channels, out_channels)), 5)
            self._new += 1
        return self._known[key]

    def _layer(
        self, call: LayerCall, kernel: tuple[int, ...], in_channels: int, out_channels: int
    ) -> Callable[[], object]:
        if self.runtime != "eager":
            run = runner(
                layer_model(call, kernel, in_channels, out_channels), self.runtime, torch.get_num_threads()
            )
            image = np.random.default_rng(0).standard_normal((1, in_channels, *call.size), dtype=np.float32)
            return lambda: run(image)
        stride, padding, dilation = call.options
        kind: Any = (_UP if call.transposed else _CONV)[len(kernel)]
        with torch.random.fork_rng(devices=[]):  # that a time is not known yet must change nothing else
            layer = nn.Sequential(
                kind(in_channels, out_channels, kernel, stride, padding, dilation=dilation),
                nn.ReLU(inplace=True),
            )
            example = torch.randn(1, in_channels, *call.size)
        return eager(layer, example)


def eager(network: nn.Module, example: torch.Tensor, *, plain: bool = False) -> Callable[[], object]:
    """A forward pass without gradients, channels last where there is such a layout.

    Args:
        network: in evaluation mode.
        example: its input.
        plain: without the fast paths of `narrow_layers`; compiled code has its own.
    """
    if example.ndim in (4, 5):
        layout = torch.channels_last if example.ndim == 4 else torch.channels_last_3d
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        example = example.contiguous(memory_format=layout)

    def run() -> object:
        with torch.inference_mode(), flushing_denormals(), nullcontext() if plain else narrow_layers():
            return network(example)

    return run


def _corners(width: int) -> list[tuple[int, float]]:
    """The grid's widths around one, with the share that each has in it."""
    place = bisect.bisect_left(GRID, width)
    if place == len(GRID):
        return [(GRID[-1], width / GRID[-1])]
    above = GRID[place]
    if above == width:
        return [(width, 1.0)]
    below = GRID[place - 1]
    share = (width - below) / (above - below)
    return [(below, 1 - share), (above, share)]


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stampseg"


def _machine(runtime: Runtime) -> str:
    """A name for this machine, runtime and number of threads that is safe in a file name."""
    package = {"eager": "torch"}.get(runtime, runtime)
    try:
        release = version(package)
    except PackageNotFoundError:
        release = "unknown"
    words = f"{processor()} {runtime} {release} {torch.get_num_threads()} threads"
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in words).split())


def _read(path: Path) -> dict[str, float]:
    """Times kept earlier; a file that is missing or damaged holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        key: float(value)
        for key, value in found.items()
        if isinstance(value, int | float) and np.isfinite(value) and value >= 0
    }
