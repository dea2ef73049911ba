"""A training method as a value: the loss of a batch, and what lives beside the network while it trains.

The trainer takes steps, the loop cuts, the checkpoint stores; none of them knows which method is at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from .mixing import generator, mix_labelled
from .state import State

Batch = Mapping[str, Tensor]


class Forward(Protocol):
    """A forward pass in the precision of the run."""

    def __call__(self, image: Tensor, network: nn.Module | None = None) -> Any:
        """Output for images (B, C, *P), of the trained network or of another one."""
        ...


class Objective(Protocol):
    """What training minimises.

    Attributes:
        criterion: loss of a network's output and labels (B, 1, *P); ranks channels where they are scored by
            a pass over labelled batches.
        copies: networks of the same layers, such as an average of the weights: cut, and undone, like it.
    """

    criterion: Callable[[Any, Tensor], Tensor]
    copies: Sequence[nn.Module]

    def loss(self, forward: Forward, batch: Batch, progress: float) -> Tensor:
        """The loss of one step, of which the gradients are taken.

        Args:
            forward: see `Forward`.
            batch: of the step, on the device: `image` (B, C, *P), `label` (B, 1, *P), and what else the
                method asks its batches for.
            progress: share of the run's steps that were taken, from 0 to below 1.
        """
        ...

    def after_step(self, network: nn.Module, progress: float) -> None:
        """After the optimiser has changed the network."""
        ...

    def before_first_cut(self) -> None:
        """Before the first channel goes."""
        ...

    def ended(self, images: Iterable[Tensor]) -> None:
        """After the last step of the run, before the network is validated and kept.

        Args:
            images: windows (N, C, *P), with and without labels, as further steps would have seen them.
        """
        ...

    def trained(self, network: nn.Module) -> nn.Module:
        """What is validated and becomes the model: the network itself, or a copy."""
        ...

    def remarks(self) -> list[str]:
        """What the reader of a finished run should know of it."""
        ...

    def state(self, *, copy: bool = False) -> State:
        """What the method remembers, for a checkpoint or to go back to.

        Args:
            copy: True where training goes on before the state is stored.
        """
        ...

    def put(self, state: State) -> None:
        """Set what `state` gave, in place."""
        ...


class Supervised:
    """Learning from labelled images alone.

    Args:
        criterion: loss of a network's output and labels.
        mixing: share of the windows of which a box comes from another one.
        seed: of the boxes.
    """

    def __init__(
        self, criterion: Callable[[Any, Tensor], Tensor], mixing: float = 0.0, seed: int = 0
    ) -> None:
        self.criterion, self.mixing, self.seed = criterion, mixing, seed
        self.copies: Sequence[nn.Module] = ()
        self.steps = 0

    def loss(self, forward: Forward, batch: Batch, progress: float) -> Tensor:
        """The criterion of the labelled batch."""
        image, label = batch["image"], batch["label"]
        if self.mixing:
            image, label = mix_labelled(image, label, self.mixing, generator(self.seed, self.steps))
        return self.criterion(forward(image), label)

    def after_step(self, network: nn.Module, progress: float) -> None:
        """Count it."""
        self.steps += 1

    def before_first_cut(self) -> None:
        """Nothing."""

    def ended(self, images: Iterable[Tensor]) -> None:
        """Nothing: the network's statistics are its own."""

    def trained(self, network: nn.Module) -> nn.Module:
        """The network itself."""
        return network

    def state(self, *, copy: bool = False) -> State:
        """The number of steps."""
        return State({}, {"steps": self.steps})

    def put(self, state: State) -> None:
        """Go on counting."""
        self.steps = int(state.values.get("steps", 0))

    def remarks(self) -> list[str]:
        """None."""
        return []
