"""What the model of a run can be trusted with, into its model file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..data.calibration import LEAST_PEOPLE, Calibration
from ..data.loaders import CaseCache, ValidationCases
from ..networks.device import lay_out
from ..networks.model_file import load_model, save_model
from ..train.calibration import calibration_of, measure
from .learner import Task


def calibrate_by_validation(path: Path, task: Task, trusted: Collection[str]) -> Calibration | None:
    """Hold the model of a run against its validation cases, if five people or more are among them.

    They chose the round, so its Dice on them is a little high.

    Args:
        path: the model file; its plan gets the calibration.
        task: whose validation cases they are.
        trusted: `package.module:Class` names whose code the model may use.
    """
    cases = task.seen.split.validation
    if len({case.group for case in cases}) < LEAST_PEOPLE:
        return None
    model = load_model(path, task.device, trusted=trusted)
    network = lay_out(model.network, task.plan.spatial_dims, task.device)
    cache = CaseCache(task.plan, task.config.data.cache_megabytes)
    measured = measure(network, ValidationCases(cases, cache), task.plan, task.device)
    found = calibration_of(measured, "validation")
    if found is not None:
        keep(path, found, trusted)
    return found


def keep(path: Path, calibration: Calibration, trusted: Collection[str]) -> None:
    """Write the calibration into the plan of a model file."""
    model = load_model(path, "cpu", trusted=trusted)
    plan = model.plan.model_copy(update={"calibration": calibration})
    save_model(path, model.network, model.description.model_copy(update={"plan": plan}))
