"""The criteria of importance: those of the paper and the controls it lacks, one row each.

Let a be a channel's map for one example, g the gradient of the batch's loss with respect to it, and sums
run over space (Dinsdale et al. 2022, section 3.2):

    l1         |a|_1,    mean over the batch, summed over batches
    l2         |a|_2,    the same
    l1-std     standard deviation of |a|_1 over all examples
    taylor     | sum over batches of mean over the batch of sum a g |     signs may cancel
    taylor-abs   sum over batches of mean over the batch of |sum a g|     Molchanov et al. 2017
    weight-l1  |w|_1 of the convolution's filter (Li et al. 2017)
    norm-scale |gamma| of the norm that follows (Liu et al. 2017)
    random     uniform noise, never normalised
    noise      uniform noise under the same normaliser: what the normaliser does by itself
    largest-layer  a channel by chance of whichever layer has most left, never normalised: what knowing the
               widths alone does

The paper averages over space where `taylor` sums here: the same after any per-layer scaling,
and comparable between layers without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Source = Literal["maps", "gradients", "filters", "norm scales", "chance"]


@dataclass(frozen=True)
class Criterion:
    """How one kind of importance is computed.

    Attributes:
        name: as in the options.
        source: what is measured: activation maps, maps and the gradients of the loss with respect to
            them, the filters of layers, the scales of norms, or uniform random numbers.
        formula: what is measured (B, C, *S), and its gradients where the source is gradients -> (B, C);
            of weights and random numbers B is 1.
        deviation: the standard deviation over all examples in place of the mean.
        normalised: False where layers compete without a normalizer.
        by_layer: the formula sees the numbers of one layer at a time.
    """

    name: str
    source: Source
    formula: Callable[..., Tensor]
    deviation: bool = False
    normalised: bool = True
    by_layer: bool = False

    @property
    def from_maps(self) -> bool:
        """Whether the network must run."""
        return self.source in ("maps", "gradients")

    @property
    def while_training(self) -> bool:
        """Whether training steps can gather it: their batches add up, and a deviation needs all at once."""
        return self.from_maps and not self.deviation

    @property
    def needs_gradients(self) -> bool:
        """Whether the loss must be propagated backwards."""
        return self.source == "gradients"

    def values(self, measured: Tensor, gradients: Tensor | None = None) -> Tensor:
        """One value for each channel of each example: (B, C, *S) -> (B, C).

        Args:
            measured: maps, weights or random numbers.
            gradients: of maps, where the source is gradients.
        """
        return self.formula(measured, gradients) if self.needs_gradients else self.formula(measured)


def l1_norm(a: Tensor) -> Tensor:
    """|a|_1 over space."""
    return torch.linalg.vector_norm(_flat(a), 1, dim=-1)


def l2_norm(a: Tensor) -> Tensor:
    """|a|_2 over space."""
    return torch.linalg.vector_norm(_flat(a), 2, dim=-1)


def taylor(a: Tensor, g: Tensor) -> Tensor:
    """Sum of a g over space: how the loss changes when the map goes, to first order."""
    product, space = a * g, tuple(range(2, a.ndim))
    return product.sum(space) if space else product


def absolute_taylor(a: Tensor, g: Tensor) -> Tensor:
    """The absolute value of `taylor`, for each example."""
    return taylor(a, g).abs()


def unchanged(x: Tensor) -> Tensor:
    """The numbers (1, C) as they are."""
    return x


def order_of_largest(x: Tensor) -> Tensor:
    """1 / (channels left when a channel's turn comes + x), in the order of a layer's numbers x (1, C)."""
    turn = x.argsort(-1).argsort(-1)
    return 1 / (x.shape[-1] - turn + x)


def _flat(a: Tensor) -> Tensor:
    return a.flatten(2) if a.ndim > 2 else a.unsqueeze(-1)


_ROWS = (
    Criterion("taylor", "gradients", taylor),
    Criterion("taylor-abs", "gradients", absolute_taylor),
    Criterion("l1", "maps", l1_norm),
    Criterion("l2", "maps", l2_norm),
    Criterion("l1-std", "maps", l1_norm, deviation=True),
    Criterion("random", "chance", unchanged, normalised=False),
    Criterion("weight-l1", "filters", l1_norm),
    Criterion("norm-scale", "norm scales", l1_norm),
    Criterion("noise", "chance", unchanged),
    Criterion("largest-layer", "chance", order_of_largest, normalised=False, by_layer=True),
)
CRITERIA: Mapping[str, Criterion] = {row.name: row for row in _ROWS}
SIMPLEST = "l1"  # asks for neither gradients nor a second example: what errors suggest
