"""Learning from several networks: the mean of their probabilities is what a network learns on any scan.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (arXiv 1503.02531). The rest
is the mean teacher's: mixed boxes, the student's stronger view, an average of the student that is the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..networks.outputs import main_map
from .mean_teacher import MeanTeacher
from .objective import Forward


class Distillation(MeanTeacher):
    """The mean teacher with trained networks in the place of the average: they give the targets.

    The networks stay as they are: they are no copies of the one that is trained, nor part of the state or of
    the model.
    """

    teachers: Sequence[nn.Module] = ()

    def taught_by(self, teachers: Sequence[nn.Module]) -> Distillation:
        """Itself, with its teachers: (B, C, *P) -> class logits (B, K, *P) each, on the network's device."""
        self.teachers = tuple(network.eval().requires_grad_(False) for network in teachers)
        return self

    @torch.no_grad()
    def targets(self, forward: Forward, weak: Tensor) -> Tensor:
        """Class probabilities (U, K, *P): the mean over the teachers, sharpened."""
        found = [main_map(forward(weak, n), weak.ndim - 2).float().softmax(1) for n in self.teachers]
        return self.sharpened(torch.stack(found).mean(0))

    def before_first_cut(self) -> None:
        """Nothing: the network as it was does not teach."""
