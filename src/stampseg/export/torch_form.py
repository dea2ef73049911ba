"""PyTorch's own exported program, for C++ and for Python without stampseg.

The format is PyTorch's; stampseg writes such files and reads back only the one it has just written.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from ..core.errors import ExportError
from ..runtime.details import DETAILS, Details
from ..runtime.sliding import Scorer
from ..runtime.torch_program import scorer_of
from .score_network import ScoreNetwork


class TorchForm:
    """An exported program, in memory."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program

    def write(self, path: Path, details: Details) -> None:
        """One .pt2 archive, the details in its extra file "stampseg.json"."""
        self.program.example_inputs = None  # it would be stored: megabytes beside a small network
        for node in self.program.graph.nodes:
            node.meta.pop("stack_trace", None)  # lines of code with this machine's folders, perhaps a name
        archive = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # not to the file: on a full disk PyTorch ends the process
            torch.export.save(self.program, archive, extra_files={DETAILS.name: DETAILS.line(details)})
        path.write_bytes(archive.getbuffer())

    def run(self) -> Scorer:
        """Image (B, C, *S) -> scores, by PyTorch."""
        return scorer_of(self.program)


def torch_form_of(scorer: ScoreNetwork, example: torch.Tensor, multiple: Sequence[int]) -> TorchForm:
    """Export with free batch and spatial sizes that are multiples of `multiple`.

    Where the network rules some sizes out by asking for them, those that it leaves are found by
    PyTorch.

    Raises:
        ExportError: PyTorch cannot follow the network.
    """

    def size(axis: int) -> Any:
        free = Dim(f"size_{axis}", min=1)
        return multiple[axis] * free if multiple[axis] > 1 else free

    axes = range(len(multiple))
    strided = {0: Dim("batch", min=1)} | {axis + 2: size(axis) for axis in axes}
    ways: list[dict[int, Any]] = [strided, dict.fromkeys(strided, Dim.AUTO)]
    failure: Exception | None = None
    for way in ways:
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                return TorchForm(torch.export.export(scorer, (example,), dynamic_shapes={"image": way}))
        except Exception as error:  # of the exporter, in many classes
            failure = error
    text = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
    raise ExportError(
        f"{type(scorer.network).__name__} cannot be exported by torch.export: {text}; try `format` onnx"
    ) from failure
