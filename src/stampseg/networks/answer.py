"""What a network makes of noise: whether code of others still computes what it did when a file was saved."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..channels.call import output_tensors
from ..channels.modes import evaluating
from ..channels.untouched import untouched
from ..core.options import Options

PLACES = 16
CHANGED = 1e-2  # of the largest output; processors differ by less
PARTS = (4, 2, 1)  # of the example's lengths, the smallest that the network takes
SEEDS = (0, 1)


class Answer(Options):
    """Some of the outputs for noise of a shape (B, C, *S)."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


def outputs_for_noise(
    network: nn.Module, shape: Sequence[int], device: torch.device | str, seed: int = 0
) -> list[torch.Tensor]:
    """All its outputs on the CPU, in evaluation mode, for noise that is always the same.

    Args:
        network: stays as it is.
        shape: (B, C, *S) of an input it accepts.
        device: where it is.
        seed: of whatever chance it uses itself.
    """
    first = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    noise = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = torch.backends.cudnn.flags(enabled=False)  # its convolutions round to ten bits on a GPU
    with evaluating(network), untouched(network, real=True), torch.no_grad(), exact:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        return [out.cpu() for out in output_tensors(network(noise.to(device, first.dtype)))]


def answer_of(network: nn.Module, shape: Sequence[int]) -> Answer | None:
    """Its answer, for as small an input as it takes; None where chance has a part in it.

    Args:
        network: stays as it is.
        shape: (B, C, *S) of an input it accepts.
    """
    for part in PARTS:
        smaller = (*shape[:2], *(-(-length // part) for length in shape[2:]))
        try:
            first = _values(network, smaller, SEEDS[0])
        except Exception:  # an input that is too small for it
            if part == PARTS[-1]:
                raise
            continue
        same = not differ(Answer(shape=smaller, values=first), _values(network, smaller, SEEDS[1]))
        return Answer(shape=smaller, values=first) if same else None
    return None


def answers_so(network: nn.Module, answer: Answer) -> bool:
    """Whether a network still gives an answer.

    Raises:
        Exception: whatever its code raises.
    """
    return not differ(answer, _values(network, answer.shape, SEEDS[0]))


def differ(answer: Answer, values: Sequence[float]) -> bool:
    """Whether other values are of a network that computes something else; also where some are no numbers."""
    most = CHANGED * max(map(abs, answer.values), default=0.0)
    pairs = zip(answer.values, values, strict=False)
    return len(answer.values) != len(values) or not all(abs(a - b) <= most for a, b in pairs)


def _values(network: nn.Module, shape: Sequence[int], seed: int) -> tuple[float, ...]:
    """Outputs at places from the first to the last of each map, with as many digits as they have."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    values: list[float] = []
    for out in outputs_for_noise(network, shape, device, seed):
        if out.is_floating_point() and out.numel():
            places = [place * (out.numel() - 1) // (PLACES - 1) for place in range(PLACES)]
            values += out.detach().flatten()[places].double().tolist()
    return tuple(float(f"{value:.7g}") for value in values)
