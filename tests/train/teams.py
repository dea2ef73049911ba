"""Several processes that work as one team, for tests: started in a moment once the first have been."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

from stampseg.run import processes
from stampseg.run.processes import working_together
from stampseg.train.team import Team

T = TypeVar("T")
CPU = torch.device("cpu")


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that have torch imported before they start."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload(
            ["torch", "torch.distributed", "monai.losses", "stampseg.run.pipeline"]
        )
        monkeypatch.setattr(processes, "SPAWN", multiprocessing.get_context("forkserver"))


def in_team(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """What a function of a module gives in the first of so many processes, called with the team in each."""
    with working_together([CPU] * size, pytest.fail, _other, work, arguments) as team:
        return work(team, *arguments)


def _other(team: Team, device: torch.device, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    work(team, *arguments)
