"""Several processes that train one network: each passes its share of every batch, and all end up alike.

One batch, as one process would draw it, goes over all of them:

    batch      each process makes its windows; then all have the batch
    passes     each takes its rows through the network; batch statistics and random draws are of all rows
               (`shared_layers.py`); then all have the output
    loss       of the whole output, in each process: no loss and no training method needs to know of others
    gradients  of its rows in each; their sum is the gradient of the loss, and is in all of them

A cut changes nothing of that. Nothing here wraps the network: the parameters that have a gradient are
looked up at every step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from ..core.errors import TrainingError
from ..data.share import Share

T = TypeVar("T")
CPU = torch.device("cpu")


class LostError(TrainingError):
    """Another process does not answer any more."""


class Team:
    """The processes; this one alone unless torch.distributed has been started for them.

    Args:
        share: the part of this process.
    """

    def __init__(self, share: Share | None = None) -> None:
        self.share = share or Share()

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.share.size

    @property
    def first(self) -> bool:
        """Whether this is the one that decides, writes and speaks."""
        return self.share.rank == 0

    def part(self, whole: Tensor) -> Tensor:
        """The rows of this process."""
        return whole if self.size == 1 else whole[self.share.rows(len(whole))]

    def batch(self, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch of which each process has made its rows."""
        if self.size == 1:
            return dict(part)
        names = sorted(part)
        own = torch.tensor([len(part[name]) for name in names])
        counts = self.each(own).T.tolist()
        return {name: self._joined(part[name], count) for name, count in zip(names, counts, strict=True)}

    def output(self, part: Any, rows: int) -> Any:
        """The output of the network for all rows of the batch, of which each process has passed its own.

        Its gradient goes to the process that passed the row.

        Args:
            part: maps (rows of this process, ...), alone or in lists and dictionaries.
            rows: of the whole batch.
        """
        if self.size == 1:
            return part
        if isinstance(part, Tensor):
            return _Joined.apply(part, self, rows)
        if isinstance(part, Mapping):
            return {name: self.output(value, rows) for name, value in part.items()}
        if isinstance(part, list | tuple):
            return [self.output(value, rows) for value in part]
        return part

    def add_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> float:
        """Put the sum of all gradients into each process; the loss as the first one has it."""
        if self.size == 1:
            return float(loss)
        gradients = [p.grad for p in parameters if p.grad is not None]
        own = loss.reshape(1) if self.first else torch.zeros_like(loss.reshape(1))
        flat = torch.cat([own, *(gradient.reshape(-1) for gradient in gradients)])
        self.add(flat)
        value, *sums = flat.split([1, *(gradient.numel() for gradient in gradients)])
        for gradient, found in zip(gradients, sums, strict=True):
            gradient.copy_(found.view(gradient.shape))
        return float(value)

    def add(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            _ask(dist.all_reduce, values)
        return values

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum over the processes."""
        return values if self.size == 1 else self.add(torch.from_numpy(values.copy())).numpy()

    def each(self, own: Tensor) -> Tensor:
        """(processes, ...) of what each has in the same shape."""
        own = own.contiguous()
        found = [torch.empty_like(own) for _ in range(self.size)]
        _ask(dist.all_gather, found, own)
        return torch.stack(found)

    def _joined(self, part: Tensor, counts: Sequence[int]) -> Tensor:
        """All rows; parts travel in one size."""
        lack = max(counts) - len(part)
        if lack:
            part = torch.cat([part, part.new_zeros((lack, *part.shape[1:]))])
        return torch.cat([rows[:count] for rows, count in zip(self.each(part), counts, strict=True)])

    def answer(self, work: Callable[[], T]) -> T:
        """What the first process finds; the others wait for it and do nothing."""
        if self.size == 1:
            return work()
        found: list[Any] = [work() if self.first else None]
        _ask(dist.broadcast_object_list, found, src=0, device=CPU)
        return found[0]

    def draw_alike(self) -> None:
        """From here on all draw the random numbers that the first one would."""
        if self.size > 1:
            torch.set_rng_state(self.answer(torch.get_rng_state))

    def check_alike(self, tensors: Mapping[str, Tensor]) -> None:
        """See that all processes hold the same, bit for bit.

        Raises:
            TrainingError: they do not.
        """
        if self.size == 1:
            return
        digest = hashlib.sha256()
        for name in sorted(tensors):
            plain = tensors[name].detach().cpu().contiguous().reshape(-1)
            digest.update(name.encode() + plain.view(torch.uint8).numpy().tobytes())
        found: list[Any] = [None] * self.size
        _ask(dist.all_gather_object, found, digest.digest())
        if len(set(found)) > 1:
            raise TrainingError(
                f"the {self.size} processes are no longer alike; resume the run with `devices` 1, "
                "and report this as a bug"
            )


ALONE = Team()


class _Joined(torch.autograd.Function):
    """The rows of all processes; backwards each takes what comes for its own."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, team: Team, rows: int) -> Tensor:
        ctx.place = team.share.rows(rows)
        shares = [Share(rank, team.size).rows(rows) for rank in range(team.size)]
        return team._joined(part, [place.stop - place.start for place in shares])

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.place], None, None  # type: ignore[attr-defined]


def _ask(call: Callable[..., object], *values: Any, **options: Any) -> None:
    """Call a collective function.

    Raises:
        LostError: it failed, as it does where a process has ended.
    """
    try:
        call(*values, **options)
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LostError(f"another process of the run does not answer ({reason})") from error
