"""How long a network takes for one image on this machine, with the runtime that will run it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from ..channels.dropout import detach_dropout
from ..export.onnx_form import onnx_of
from ..export.score_network import ScoreNetwork
from ..networks.folding import fold_norms
from .layer_table import Runtime, eager
from .onnx_layer import runner
from .stopwatch import Timing, measure


def network_latency(
    network: nn.Module, spatial_dims: int, example: torch.Tensor, runtime: Runtime, *, seconds: float = 0.5
) -> Timing:
    """Milliseconds of one forward pass, as in prediction: norms folded, no dropout.

    Args:
        network: not changed.
        spatial_dims: 2 or 3.
        example: (1, C, *S), of the size of a window.
        runtime: what to run it with.
        seconds: to spend on the measurement, without warm-up and export.

    Raises:
        ExportError: the runtime cannot have the network.
    """
    return measure(prepared_call(network, spatial_dims, example, runtime), seconds=seconds)


def prepared_call(
    network: nn.Module, spatial_dims: int, example: torch.Tensor, runtime: Runtime
) -> Callable[[], object]:
    """A call of the network on the example."""
    twin = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    detach_dropout(twin)
    example = example.cpu().float()
    folded = fold_norms(twin, spatial_dims, example)
    if runtime == "eager":
        return eager(folded, example)
    scorer = ScoreNetwork(folded.to(memory_format=torch.contiguous_format), spatial_dims)  # type: ignore[call-overload]
    run = runner(onnx_of(scorer.eval(), example).proto.SerializeToString(), runtime, torch.get_num_threads())
    image = example.contiguous().numpy()
    return lambda: run(image)
