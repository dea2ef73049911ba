"""All that training changes, at one moment: weights, optimiser, generators of random numbers.

What is put back is bit for bit what was taken, strides included, so that training continues as if it had
never stopped.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..channels.surgery import state_of
from ..core.errors import ModelFileError


@dataclass(frozen=True)
class State:
    """Tensors by name, on the CPU where they come from a file, and values that JSON can hold."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]

    def on_cpu(self) -> State:
        """The same, to be sent to other processes."""
        return State({name: tensor.cpu() for name, tensor in self.tensors.items()}, self.values)


def take_training(network: nn.Module, optimizer: Optimizer, *, copy: bool = False) -> State:
    """The network's parameters and buffers, and what the optimiser remembers of each parameter.

    Args:
        network, optimizer: as they are now.
        copy: True where training continues before the state is stored.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    tensors = {f"network/{name}": tensor.detach() for name, tensor in state_of(network).items()}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, remembered in optimizer.state.items():
        name = names[id(parameter)]
        for key, value in remembered.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{key}/{name}"] = value.detach()
            else:
                scalars.setdefault(name, {})[key] = value
    if copy:
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    strides = {name: list(t.stride()) for name, t in tensors.items() if name.startswith("optimizer/")}
    return State(tensors, {"strides": strides, "scalars": scalars})


def put_training(network: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Put a state back into a network of the same channels and its optimiser, in place.

    Raises:
        ModelFileError: the state is of another network.
    """
    current = state_of(network)
    stored = {n.removeprefix("network/"): t for n, t in state.tensors.items() if n.startswith("network/")}
    odd = [n for n in current.keys() | stored.keys() if n not in current or n not in stored]
    odd += [n for n in current.keys() & stored.keys() if current[n].shape != stored[n].shape]
    if odd:
        raise ModelFileError(
            f"the checkpoint is of another network than this version makes of the run's options (see "
            f"{min(odd)}); begin the run anew, or go on with the version that it was begun with"
        )
    with torch.no_grad():
        for name, tensor in current.items():
            tensor.copy_(stored[name])
    parameters = dict(network.named_parameters())
    optimizer.state.clear()
    for name, scalars in state.values["scalars"].items():
        optimizer.state[parameters[name]].update(scalars)
    for full, tensor in state.tensors.items():
        kind, _, rest = full.partition("/")
        if kind != "optimizer":
            continue
        key, _, name = rest.partition("/")
        parameter = parameters[name]
        # a counter of steps stays on the CPU, as torch keeps it
        beside = key != "step" and tensor.shape == parameter.shape
        device = parameter.device if beside else tensor.device
        again = torch.empty_strided(
            tensor.shape, state.values["strides"][full], dtype=tensor.dtype, device=device
        )
        optimizer.state[parameter][key] = again.copy_(tensor)


def take_randomness(generator: np.random.Generator, device: torch.device) -> State:
    """The generators that a run draws from: torch's, Python's, NumPy's and its own."""
    tensors = {"random/torch": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        tensors["random/mps"] = torch.mps.get_rng_state()
    kind, keys, *rest = np.random.get_state()
    version, numbers, gauss = random.getstate()
    return State(
        tensors,
        {
            "python": [version, list(numbers), gauss],
            "numpy": [kind, np.asarray(keys).tolist(), *rest],
            "own": generator.bit_generator.state,
        },
    )


def put_randomness(generator: np.random.Generator, device: torch.device, state: State) -> None:
    """Set the generators to where they were."""
    torch.set_rng_state(state.tensors["random/torch"])
    if device.type == "cuda" and "random/cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["random/cuda"], device)
    if device.type == "mps" and "random/mps" in state.tensors:
        torch.mps.set_rng_state(state.tensors["random/mps"])
    version, numbers, gauss = state.values["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state.values["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), *rest))
    generator.bit_generator.state = state.values["own"]
