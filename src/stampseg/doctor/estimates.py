"""What a run would take on this machine: time and memory of a few real steps, and space on the disk."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from ..core.config import Config
from ..core.memory import keeping_freed_memory
from ..run.survey import Survey
from .finding import Finding, finding

CHECKPOINTS, MOMENTS = 3, 2  # at a time at most; of the optimiser, beside the weights


@dataclass(frozen=True)
class RunEstimate:
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


def estimate(seen: Survey, config: Config, parameters: int, measured: bool = True) -> RunEstimate:
    """Measure a few steps and calculate the rest.

    Args:
        seen: the planned run.
        config: its options.
        parameters: of the dense network.
        measured: False leaves the steps out.
    """
    step = peak = None
    if measured:
        from .steps import step_seconds  # training takes longer to import than small data to check

        with keeping_freed_memory():  # as in a run; what is resident then is the most that was
            step = step_seconds(seen, config)
            peak = psutil.Process().memory_info().rss / 1e6
    rounds = config.prune.rounds + 10
    averages = bool(seen.split.unlabelled) * (1 + (config.teacher.dense_self > 0))  # of the teacher
    copies = CHECKPOINTS * (1 + MOMENTS + averages)
    disk = 4 * parameters * (rounds + copies + 1) / 1e6
    return RunEstimate(
        step_seconds=step,
        run_minutes=None if step is None else step * config.train.steps / 60,
        peak_megabytes=peak,
        free_megabytes=psutil.virtual_memory().available / 1e6,
        disk_megabytes=disk,
        free_disk_megabytes=shutil.disk_usage(Path.cwd()).free / 1e6,
    )


def judge(costs: RunEstimate) -> list[Finding]:
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
