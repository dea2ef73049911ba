"""What a network makes of noise: whether code of others still computes what it did when a file was saved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..channels.call import output_tensors
from ..channels.modes import evaluating
from ..channels.untouched import untouched

PLACES = 16
CHANGED = 1e-2  # of the largest output; processors differ by less
Answer = tuple[float, ...]


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
    with evaluating(network), untouched(network, real=True), torch.no_grad():
        torch.manual_seed(seed)
        return [out.cpu() for out in output_tensors(network(noise.to(device, first.dtype)))]


def answer_of(network: nn.Module, shape: Sequence[int]) -> Answer | None:
    """Some of its outputs for noise; None where chance has a part in them, or they are not finite."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    found = [_some(outputs_for_noise(network, shape, device, seed)) for seed in (0, 1)]
    return None if differ(*found) or not all(map(torch.isfinite, torch.tensor(found[0]))) else found[0]


def differ(before: Answer, after: Answer | None) -> bool:
    """Whether two answers are of networks that compute different things."""
    if after is None or len(before) != len(after):
        return True
    most = CHANGED * max(map(abs, before), default=0.0)
    return not all(abs(a - b) <= most for a, b in zip(before, after, strict=True))


def _some(outputs: Sequence[torch.Tensor]) -> Answer:
    """Values from the first to the last place of all outputs, as many decimals as single precision has."""
    flat = torch.cat([out.detach().double().flatten() for out in outputs if out.is_floating_point()])
    places = torch.linspace(0, len(flat) - 1, min(PLACES, len(flat))).long()
    return tuple(float(f"{value:.7g}") for value in flat[places].tolist())
