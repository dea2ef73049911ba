"""Cross-validation: a run for each fold, predictions of whoever was held out, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...core.config import Config
from ...core.level import Level
from ...core.run_folder import FOLDS_FOLDER
from ...core.text import counted
from ...data.cases import Dataset
from ...data.labels.relabelling import labels_asked
from ...data.plan import PLAN, Plan
from ...data.splits.folds import Fold, make_folds, wants_folds, without_held_out
from ...networks.model_file import store_steps
from ..calibration import calibrate_by_folds, keep
from ..folder import RunFolder
from ..records import RESULT, Result
from ..reporters import Reporter
from ..spec import SPEC, RunSpec
from ..split import values_held
from ..survey import survey
from .out_of_fold import measured
from .records import FOLDS, Folds, read_folds

WEAKER = 0.05  # Dice

CarryOut = Callable[[RunFolder, RunSpec], Result]  # of one fold, to its end


def cross_validate(
    folder: RunFolder, spec: RunSpec, dataset: Dataset, reporter: Reporter, carry_out: CarryOut
) -> Folds:
    """Train a network for each fold and measure them; folds that are done are not trained again.

    Args:
        folder: of the run; folds/ in it gets a run folder for each fold, out_of_fold/ the masks.
        spec: what was asked of the run.
        dataset: what `spec` names.
        reporter: is told what goes on.
        carry_out: trains one fold.

    Returns:
        What folds.json holds.

    Raises:
        ConfigError: options that cannot be, such as more folds than people.
        DataError: cases have changed since the folds were made.
    """
    folds = _planned(folder, spec, dataset)
    reporter.note(folds.words)
    shared = _shared_plan(folder, spec, dataset) if spec.config.train.distil else None
    for number, fold in enumerate(folds.folds):
        place = folder.path / FOLDS_FOLDER / str(number)
        name = f"fold {number + 1} of {len(folds.folds)} ({FOLDS_FOLDER}/{number}{_value(fold, number)})"
        if RunFolder(place).ended:
            reporter.note(f"{name}: done before")
            continue
        learnt_from = without_held_out(dataset, fold)
        reporter.note(
            f"{name}: {counted(len(fold.training), 'case')} to learn from, {len(fold.held_out)} held out"
        )
        carry_out(*_opened(place, fold_spec(spec, fold), learnt_from, shared))
    found = measured(folder, folds, dataset, spec, reporter)
    for model in models_of(folder, found):  # so that each of them, and all together, do the same to a mask
        store_steps(model, found.steps, spec.trusted_names)
    known = calibrate_by_folds(folder.path, found.folds, dataset, spec.config, spec.trusted_names)
    if known is not None:
        found = found.model_copy(update={"calibration": known})
        for model in models_of(folder, found):
            keep(model, known, spec.trusted_names)
    FOLDS.write(folder.path, found)
    return found


def models_of(folder: RunFolder, folds: Folds) -> list[Path]:
    """Model files of the folds."""
    places = (folder.path / FOLDS_FOLDER / str(number) for number in range(len(folds.folds)))
    return [RunFolder(place).model for place in places]


def told_if_weaker(folder: RunFolder, result: Result, folds: Folds, reporter: Reporter) -> Result:
    """A warning where the network of all cases finds less of them than those of the folds of strange ones.

    It learnt from more, and is looked at on what it learnt from: then something went wrong, and the Dice out
    of fold is not its own.
    """
    own = [dice for dice in (result.training_dice_per_label or {}).values() if dice is not None]
    apart = folds.labels[-1].mean if folds.labels else None  # of several labels their mean is the last
    if not own or apart is None or sum(own) / len(own) >= apart - WEAKER:
        return result
    words = (
        f"the network of all cases has a Dice of {sum(own) / len(own):.3f} on the very cases it learnt from, "
        f"and those of the folds had {apart:.3f} on people they had not seen: that figure is not this "
        "network's; give it more `train.steps`, or predict with the folds together"
    )
    reporter.note(words, Level.WARNING)
    found = result.model_copy(update={"warnings": (*result.warnings, words)})
    RESULT.write(folder.path, found)
    return found


def _shared_plan(folder: RunFolder, spec: RunSpec, dataset: Dataset) -> Plan:
    """How all images are prepared: of networks that are to teach another one, all take the same windows."""
    plan = folder.plan()
    if plan is None:
        plan = survey(dataset, settled_for_folds(spec.config)).plan
        folder.write_or_match(PLAN, plan, "how the cases are prepared")
    return plan


def _value(fold: Fold, number: int) -> str:
    return "" if fold.name == str(number) else f", {fold.name}"


def _planned(folder: RunFolder, spec: RunSpec, dataset: Dataset) -> Folds:
    """The folds with which the run began, or new ones."""
    stored = read_folds(folder.path)
    if stored is not None:
        for fold in stored.folds:
            without_held_out(dataset, fold)
        return stored
    folds, words = folds_of(dataset, spec.data, spec.config)
    planned = Folds(words=words, folds=tuple(folds))
    FOLDS.write(folder.path, planned)
    return planned


def folds_of(dataset: Dataset, data: Path, config: Config) -> tuple[list[Fold], str]:
    """Who is held out with whom, and in words how that was chosen.

    Raises:
        ConfigError: more folds than people, or a column that does not say who is in which.
    """
    chosen, ignored = labels_asked(config.data, dataset.label_names, dataset.ignored, dataset.regions)
    return make_folds(dataset, data, config, values_held(ignored, chosen.relabel))


def settled_for_folds(config: Config) -> Config:
    """In folds everybody trains who is not held out, unless a share is to validate."""
    return without_validation(config) if wants_folds(config) else config


def without_validation(config: Config) -> Config:
    """The options with which everybody trains, unless a share is to validate."""
    if config.train.validation.strip() == "auto":
        return config.merged({"train": {"validation": "none"}})
    return config


def fold_spec(spec: RunSpec, fold: Fold) -> RunSpec:
    """What is asked of the run of a fold.

    A label that its network does not find is no failure: the Dice of those held out says so.
    """
    config = settled_for_folds(spec.config)
    changes = {"folds": None, "fold_column": None, "distil": False, "missed_label": "warn"}
    return replace(spec, config=config.merged({"labels": None, "train": changes}), fold=fold)


def opened(place: Path, spec: RunSpec) -> tuple[RunFolder, RunSpec]:
    """The folder of one of several runs, new or where it was stopped, and what is asked of it."""
    if (place / SPEC.name).is_file():
        folder = RunFolder.reopen(place)
        return folder, folder.spec.on_devices(spec.config.devices)
    return RunFolder.create(place, spec), spec


def _opened(place: Path, spec: RunSpec, dataset: Dataset, shared: Plan | None) -> tuple[RunFolder, RunSpec]:
    """The same of a fold, with its plan if images are prepared as in a shared one."""
    plan = None
    if shared is not None and RunFolder(place).plan() is None:  # before the folder: the data may be refused
        own = survey(dataset, spec.config).plan  # what labels are like is known of those who train alone
        plan = own.prepared_as(shared)
    folder, spec = opened(place, spec)
    if plan is not None:
        folder.write_or_match(PLAN, plan, "how the cases are prepared")
    return folder, spec
