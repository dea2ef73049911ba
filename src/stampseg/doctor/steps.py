"""Seconds of a training step of a planned run, on noise."""

from __future__ import annotations

import time

import torch

from ..core.config import Config
from ..data.plan import Plan
from ..networks.device import lay_out, resolve_device
from ..networks.factory import network_spec
from ..run.learner import objective_of
from ..run.survey import Survey
from ..run.task import Task
from ..train.trainer import Trainer

STEPS = 3  # after one that warms up


class _Noise:
    """Batches of the planned size, without any file."""

    def __init__(self, plan: Plan, batch_size: int, unlabelled: int) -> None:
        shape, generator = (plan.in_channels, *plan.patch_size), torch.Generator().manual_seed(0)
        image = torch.randn((batch_size, *shape), generator=generator)
        label = (image[:, :1] > 0).long().clamp_(max=plan.out_channels - 1)
        self.content = {"image": image, "label": label}
        if unlabelled:
            views = {
                name: torch.randn((unlabelled, *shape), generator=generator) for name in ("weak", "strong")
            }
            self.content |= views

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The same in every step."""
        return self.content

    def scoring_batches(self, count: int | None = None) -> list[dict[str, torch.Tensor]]:
        """The same once."""
        return [self.batch(0)]


def step_seconds(seen: Survey, config: Config) -> float:
    """Median seconds of a step on noise, with all that the method computes in the middle of a run."""
    plan, device, size = seen.plan, resolve_device(config.device), config.train.batch_size
    network = lay_out(network_spec(plan, config).build((config.network.name,)), plan.spatial_dims, device)
    unlabelled = (config.teacher.batch_size or size) if seen.split.unlabelled else 0
    batches, objective = _Noise(plan, size, unlabelled), objective_of(network, Task(seen, config, device))
    trainer = Trainer(network, batches, config.train, 10**6, device, objective)
    trainer.done = trainer.steps // 2
    trainer.train(1)
    taken = []
    for _ in range(STEPS):
        start = time.perf_counter()
        trainer.train(1)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[STEPS // 2]
