"""A program that torch.export wrote, run without the network's code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from .sliding import Scorer


def open_program(path: Path) -> Scorer:
    """The network of a file that was just written, as a function of windows (B, C, *S)."""
    return scorer_of(torch.export.load(path))


def scorer_of(program: ExportedProgram) -> Scorer:
    module = program.module()

    def scores(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(image)).numpy()

    return scores
