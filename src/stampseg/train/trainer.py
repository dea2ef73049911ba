"""Optimiser steps: rate, losses that are not finite, several processes. Knows nothing of pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..core.errors import TrainingError
from ..core.train_options import TrainOptions
from ..networks.denormals import flushing_denormals
from ..networks.device import memory_format
from ..networks.narrow_layers import narrow_layers
from .loss import in_float32, make_loss
from .objective import Batch, Objective, Supervised
from .shared_layers import shared_layers
from .state import put_training, take_training
from .team import ALONE, Team

STATISTICS_BATCHES = 50  # that an average of the weights estimates its batch norms on at the end
DAMPING = 0.1  # of the learning rate, after a loss that was not finite


class Batches(Protocol):
    """A source of training batches: image (B, C, *S) float32, label (B, 1, *S)."""

    def batch(self, step: int) -> Batch:
        """The batch of an optimiser step, or this process's rows of it; the same for the same step."""
        ...

    def scoring_batches(self, count: int | None = None) -> Iterable[Batch]:
        """The training set once, without augmentation; incomplete batches included."""
        ...


class StepWatcher(Protocol):
    """Whoever looks at the passes of training steps."""

    def step(self, left: int) -> AbstractContextManager[None]:
        """Around a step, of which `left` are left in this call of `train`, this one included."""
        ...

    def state(self) -> tuple[Any, ...]:
        """What was seen so far."""
        ...

    def set_state(self, *state: Any) -> None:
        """Go on from where `state` was taken."""
        ...


def make_optimizer(network: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum."""
    if options.optimizer == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
    return torch.optim.SGD(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay,
        momentum=options.momentum, nesterov=options.momentum > 0,
    )  # fmt: skip


def learning_rate(step: int, steps: int, options: TrainOptions) -> float:
    """Rate of optimiser step `step` (from 0): a short linear rise, then as `train.schedule` says."""
    rise = min(1.0, (step + 1) / max(1, min(20, steps // 20)))
    if options.schedule == "constant":
        return options.learning_rate * rise
    held = steps * options.hold_share if options.schedule == "hold" else 0.0
    falling = math.pi * max(0.0, step - held) / max(1.0, steps - held)
    return options.learning_rate * rise * 0.5 * (1 + math.cos(falling))


class NotFiniteError(TrainingError):
    """A loss or a gradient that is infinite or not a number."""


class Trainer:
    """Trains a network step by step; the schedule runs over the whole run's steps.

    Args:
        network: trained in place; moved to the device.
        batches: batch k is used in step k.
        options: optimiser, rate, loss.
        steps: length of the run, for the schedule.
        device: where to train.
        objective: what is minimised; None: the loss of the options on labelled images.
        on_step: called after every step with the step's number (from 1) and loss.
        warn: told when a loss or a gradient was not finite and training went back.
        team: the processes that train this network together.

    Attributes:
        done: steps of the run; `taken` of them, with losses adding up to `total`, in the stretch that
            `train` is in.
        damping: factor of the learning rate, below 1 once one was not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        options: TrainOptions,
        steps: int,
        device: torch.device,
        objective: Objective | None = None,
        on_step: Callable[[int, float], None] | None = None,
        warn: Callable[[str], None] | None = None,
        team: Team = ALONE,
    ) -> None:
        self.network, self.batches, self.options, self.steps = network, batches, options, steps
        self.device, self.on_step, self.warn, self.team = device, on_step, warn, team
        self.done = self.taken = 0
        self.total, self.damping = 0.0, 1.0
        self.watcher: StepWatcher | None = None
        self._call: Callable[[Tensor], Any] | None = None
        self._compiled_shapes: tuple[torch.Size, ...] = ()
        self.objective: Objective = objective or Supervised(make_loss(options))
        self.network.to(device)
        self.optimizer = make_optimizer(network, options)

    def train(self, steps: int) -> float:
        """Take exactly `steps` optimiser steps, less those of the stretch that were taken before a stop.

        The first time a loss is not a finite number, what was learnt in this stretch (since a resume, if it
        was resumed within) is undone and trained again, with a tenth of the rate from there on.

        After the last step of the run the objective is told that it has ended.

        Returns:
            The mean loss.

        Raises:
            TrainingError: the loss is not a finite number again.
        """
        mean = self._guarded_stretch(steps)
        self.end_if_done()
        return mean

    def end_if_done(self) -> None:
        """End the run, if all its steps are taken."""
        if self.done >= self.steps:
            self.end()

    def end(self) -> None:
        """Tell the objective that the run has ended; a team takes what its first process has."""
        self.objective.ended(self._further_windows())
        if self.team.size > 1:
            self.objective.put(self.team.answer(lambda: self.objective.state().on_cpu()))

    def _guarded_stretch(self, steps: int) -> float:
        self.network.train()
        if self.damping < 1:
            return self._stretch(steps)
        good, beside = take_training(self.network, self.optimizer, copy=True), self.objective.state(copy=True)
        done, taken, total = self.done, self.taken, self.total
        watched = self.watcher.state() if self.watcher is not None else ()
        try:
            return self._stretch(steps)
        except NotFiniteError as error:
            put_training(self.network, self.optimizer, good)
            self.objective.put(beside)
            if self.watcher is not None:
                self.watcher.set_state(*watched)
            self.done, self.taken, self.total, self.damping = done, taken, total, DAMPING
            if self.warn is not None:
                self.warn(f"{error}; back to step {done}, with {DAMPING:g} times the learning rate")
            return self._stretch(steps)

    def _stretch(self, steps: int) -> float:
        with flushing_denormals():
            while self.taken < steps:
                left = steps - self.taken
                with self.watcher.step(left) if self.watcher is not None else nullcontext():
                    value = self._guarded_step()
                self.total, self.taken = self.total + value, self.taken + 1
                if self.on_step is not None:
                    self.on_step(self.done, value)
        mean = self.total / max(1, steps)
        self.taken, self.total = 0, 0.0
        return mean

    def _guarded_step(self) -> float:
        try:
            return self._step()
        except (RuntimeError, MemoryError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"step {self.done + 1} failed: {reason}; if memory ran out, lower train.batch_size or "
                "data.patch_size"
            ) from error

    def _step(self) -> float:
        batch = self.batch(self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.damping * learning_rate(self.done, self.steps, self.options)
        self.optimizer.zero_grad(set_to_none=True)
        progress = self.done / self.steps
        loss = self.objective.loss(self.forward, batch, progress)
        loss.backward()
        value = self.team.add_gradients(self.network.parameters(), loss.detach())
        self._check_finite(value)
        self.optimizer.step()
        self.objective.after_step(self.network, progress)
        self.done += 1
        return value

    def _check_finite(self, value: float) -> None:
        """See that the loss is finite and so is each gradient, before any of them is in the weights."""
        finite = [p.grad.isfinite().all() for p in self.network.parameters() if p.grad is not None]
        if not math.isfinite(value):
            found = f"the loss of step {self.done + 1} is {value}"
        elif finite and not torch.stack(finite).all():
            found = f"a gradient of step {self.done + 1} is not finite"
        else:
            return
        raise NotFiniteError(
            f"{found}; try a lower train.learning_rate (now {self.options.learning_rate:g}) or look for "
            "extreme intensities with `examine`"
        )

    def forward(self, image: Tensor, network: nn.Module | None = None) -> Any:
        """Output of the trained network, or of another one, in the precision of the run; see `Forward`.

        Each process of a team passes its rows, and has the output of all.
        """
        part = self.team.part(image)
        bf16 = self.options.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if self.options.compile and network is None:
                output = self._compiled()(part)
            else:
                with narrow_layers(), shared_layers(self.team, len(image)):
                    output = (network or self.network)(part)
        return self.team.output(in_float32(output) if bf16 else output, len(image))

    def _compiled(self) -> Callable[[Tensor], Any]:
        """The network compiled as it is now: after a cut what was compiled is thrown away.

        Left to itself torch compiles again when shapes change, and gives up after a few times.
        """
        shapes = tuple(p.shape for p in self.network.parameters())
        if self._call is None or shapes != self._compiled_shapes:
            torch.compiler.reset()
            self._call, self._compiled_shapes = torch.compile(self.network, dynamic=False), shapes
        return self._call

    def batch(self, step: int) -> dict[str, Tensor]:
        """The whole batch of an optimiser step, on the device."""
        part = self.to_device(self.batches.batch(step))
        return part if self.team.size == 1 else self.to_device(self.team.batch(part))

    def _further_windows(self) -> Iterator[Tensor]:
        """Windows with and without labels, as they would come after the last step."""
        for step in range(min(STATISTICS_BATCHES, self.steps)):
            batch = self.batch(self.done + step)
            yield torch.cat([batch[name] for name in ("image", "weak") if name in batch])

    def to_device(self, batch: Batch) -> dict[str, Tensor]:
        """Images in the fast layout and labels, on the device."""
        layout = memory_format(batch["image"].ndim - 2, self.device)
        return {
            name: tensor.to(self.device, memory_format=layout)
            if tensor.is_floating_point()
            else tensor.to(self.device)
            for name, tensor in batch.items()
        }

    def scoring_batches(self, count: int | None) -> Iterable[dict[str, Tensor]]:
        """The training set once, on the device."""
        return (self.to_device(batch) for batch in self.batches.scoring_batches(count))
