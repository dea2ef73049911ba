"""What the model of a run can be trusted with, into its model file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ..core.config import Config
from ..core.run_folder import FOLDS_FOLDER, MODEL_FILE
from ..data.calibration import LEAST_PEOPLE, Calibration
from ..data.cases import Dataset
from ..data.loaders import CaseCache, ValidationCases
from ..data.splits.folds import Fold
from ..networks.device import lay_out, resolve_device
from ..networks.model_file import load_model, save_model
from ..train.calibration import calibration_of, joined, measure
from .task import Task


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


def calibrate_by_folds(
    run: Path, folds: Sequence[Fold], dataset: Dataset, config: Config, trusted: Collection[str]
) -> Calibration | None:
    """Hold the network of each fold against the people who were held out of it.

    What certainty is worth is learnt from all of them together, and holds for the network of all people as
    far as it is of the same kind.

    Args:
        run: folder with folds/.
        folds: who was held out, in the order of their folders.
        dataset: their cases.
        config: for the device and the cache.
        trusted: `package.module:Class` names whose code the models may use.

    Returns:
        None where no label is found in five people or more.
    """
    there, device = {case.id: case for case in dataset.cases}, resolve_device(config.device)
    parts = []
    for number, fold in enumerate(folds):
        place = run / FOLDS_FOLDER / str(number) / MODEL_FILE
        model = load_model(place, device, trusted=trusted)
        network = lay_out(model.network, model.plan.spatial_dims, device)
        held = ValidationCases(
            [there[name] for name in fold.held_out], CaseCache(model.plan, config.data.cache_megabytes)
        )
        parts.append(measure(network, held, model.plan, device))
    return calibration_of(joined(parts), "folds")


def keep(path: Path, calibration: Calibration, trusted: Collection[str]) -> None:
    """Write the calibration into the plan of a model file."""
    model = load_model(path, "cpu", trusted=trusted)
    plan = model.plan.model_copy(update={"calibration": calibration})
    save_model(path, model.network, model.description.model_copy(update={"plan": plan}))
