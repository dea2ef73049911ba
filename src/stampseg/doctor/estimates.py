"""What a run would take on this machine: time and memory of a few real steps, and space on the disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from ..core.config import Config
from ..data.plan import Plan
from ..networks.device import lay_out, resolve_device
from ..networks.factory import network_spec
from ..run.learner import Task, objective_of
from ..run.survey import Survey
from ..train.trainer import Trainer
from .finding import Finding, finding

STEPS = 3  # after one that warms up
COPIES = 3 * 3  # checkpoints of weights and two moments, three at a time at most


@dataclass(frozen=True)
class Estimate:
    """Of a run as it is planned.

    Attributes:
        step_seconds: of one training step of the dense network; None where it was not measured.
        run_minutes: all of `train.steps` at that speed; less with pruning, for steps become faster.
        peak_megabytes: resident memory of this process after those steps.
        free_megabytes: memory that is free.
        disk_megabytes: that the run folder takes at most.
        free_disk_megabytes: where the program was called.
    """

    step_seconds: float | None
    run_minutes: float | None
    peak_megabytes: float | None
    free_megabytes: float
    disk_megabytes: float
    free_disk_megabytes: float

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready dictionary."""
        return asdict(self)


def estimate(seen: Survey, config: Config, parameters: int, measured: bool = True) -> Estimate:
    """Measure a few steps and calculate the rest.

    Args:
        seen: the planned run.
        config: its options.
        parameters: of the dense network.
        measured: False leaves the steps out.
    """
    step = _step_seconds(seen, config) if measured else None
    rounds = config.prune.rounds + 10
    disk = 4 * parameters * (rounds + COPIES + 1) / 1e6
    return Estimate(
        step_seconds=step,
        run_minutes=None if step is None else step * config.train.steps / 60,
        peak_megabytes=None if step is None else psutil.Process().memory_info().rss / 1e6,
        free_megabytes=psutil.virtual_memory().available / 1e6,
        disk_megabytes=disk,
        free_disk_megabytes=shutil.disk_usage(Path.cwd()).free / 1e6,
    )


def judge(costs: Estimate) -> list[Finding]:
    """What does not fit on this machine."""
    findings = []
    if costs.disk_megabytes > costs.free_disk_megabytes:
        findings.append(
            finding(
                "disk",
                f"a run folder may take {costs.disk_megabytes:,.0f} MB and "
                f"{costs.free_disk_megabytes:,.0f} MB are free in {Path.cwd()}",
                "free some space, or choose `output` on another disk",
            )
        )
    if costs.peak_megabytes is not None and costs.free_megabytes < 0.1 * costs.peak_megabytes:
        findings.append(
            finding(
                "memory",
                f"a step takes {costs.peak_megabytes:,.0f} MB and {costs.free_megabytes:,.0f} MB are left",
                "lower train.batch_size or data.patch_size",
            )
        )
    return findings


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


def _step_seconds(seen: Survey, config: Config) -> float:
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
