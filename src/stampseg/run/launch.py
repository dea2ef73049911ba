"""From what was asked to a finished run folder: started, or taken up where a process was stopped."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..core.config import Config
from ..core.errors import ConfigError
from ..core.level import Level
from ..core.remarks import REMEDY, gathered
from ..core.run_folder import SEARCH_FOLDER
from ..core.text import some
from ..data.cases import Dataset, check_people, find_dataset
from ..data.plan import PLAN
from ..data.splits.folds import wants_folds, without_held_out
from ..data.splits.likely_people import doubtful_people
from ..evaluation.metrics import FOUND_DICE
from .aside import with_people_aside
from .calibration import calibrate_by_folds, keep
from .compatibility import check_together
from .continuation import go_on
from .folder import RunFolder
from .folds.cross_validation import (
    CarryOut,
    cross_validate,
    models_of,
    settled_for_folds,
    told_if_weaker,
    without_validation,
)
from .from_trained import prune_trained, recovering
from .lock import FolderLock
from .pipeline import run_training
from .postprocess import keep_steps, postprocess_by_validation
from .records import Result
from .reporters import NoteKeeper, Reporter, Reporters
from .search.candidates import DEFAULT
from .search.race import chosen_config, search
from .spec import SPEC, RunSpec

FEW_STEPS = 100  # of which small labels are seldom found, though large ones may be


def open_run(spec: RunSpec, output: Path) -> RunFolder:
    """A new folder for the run, or the one in which the same run was stopped.

    Raises:
        ConfigError: the folder holds something else, such as a run that has ended or of other options, or
            another process is at work on it.
    """
    if not (output / SPEC.name).is_file():
        return RunFolder.create(output, spec)
    folder = RunFolder(output)
    other, ended = spec.differences(folder.spec), folder.ended
    if ended:
        what = f"a finished run of other options ({', '.join(other)})" if other else "this run, finished"
        raise ConfigError(
            f"{output}: holds {what}; {folder.what_came}, its page is {output / 'report.html'}; "
            "to train anew, choose another `output`"
        )
    if other:
        _refuse_at_work(output)
        raise ConfigError(
            f"{output}: holds a stopped run of other options ({', '.join(other)}); resume it with "
            f"`RunFolder.reopen` {output}, or choose another `output`"
        )
    return RunFolder.reopen(output)


def _refuse_at_work(output: Path) -> None:
    """Refuse a run that another process works on; else its folder stays as it is."""
    lock = FolderLock(output)
    with suppress(OSError):  # of a folder that cannot be written to
        lock.take()
        lock.release()


def execute(
    folder: RunFolder, spec: RunSpec, reporter: Reporter, carry_out_fold: CarryOut | None = None
) -> Result:
    """Do what is asked, from the last checkpoint on if there is one; what is noted is kept in the folder.

    Args:
        folder: of the run.
        spec: what is asked.
        reporter: is told what goes on.
        carry_out_fold: carries out the run of a fold, with what belongs to it; None: as this one, no more.

    Returns:
        What result.json holds.
    """
    kept = Reporters([NoteKeeper(folder), reporter])
    with gathered() as remarks:
        try:
            result = _by_kind(
                folder, spec, kept, carry_out_fold or (lambda fold, asked: _quietly(fold, asked, reporter))
            )
            # last of all: their figures are those of the model file as it stays
            return with_people_aside(result, folder, spec.config.device, spec.trusted_names, kept)
        finally:
            for text, _ in remarks.sentences():
                kept.note(f"{text}; {REMEDY}", Level.WARNING)


def _quietly(folder: RunFolder, spec: RunSpec, reporter: Reporter) -> Result:
    with folder:
        result = execute(folder, spec, reporter)
        folder.finish()
        return result


def _by_kind(folder: RunFolder, spec: RunSpec, reporter: Reporter, carry_out_fold: CarryOut) -> Result:
    check_together(spec.config, spec.model, begun=folder.begun)
    if spec.work == "train" and spec.model is not None:
        return _gone_on(folder, spec, reporter)
    if not folder.begun and spec.fold is None:
        _warn_of_options(spec, reporter)
    dataset = find_dataset(
        spec.data, images=spec.images, masks=spec.masks, group_regex=spec.config.group_regex
    )
    check_people(dataset, spec.config.group_regex)
    if not folder.begun and spec.fold is None:
        for odd in doubtful_people(dataset, spec.config.group_regex is not None):
            reporter.note(str(odd), Level.WARNING)
    config, trusted = settled_for_folds(spec.config), spec.trusted_names
    if spec.work == "prune" and spec.model is not None:
        result = prune_trained(spec.model, spec.trusted, dataset, folder, config, reporter)
        return postprocess_by_validation(folder, result, config.device, trusted, reporter)
    if spec.fold is not None:
        return run_training(without_held_out(dataset, spec.fold), folder, config, reporter)
    if config.train.search:
        return _searched(folder, spec, dataset, reporter, carry_out_fold)
    if not wants_folds(config):
        result = run_training(dataset, folder, config, reporter)
        return postprocess_by_validation(folder, result, config.device, trusted, reporter)
    return _with_folds(folder, spec, dataset, config, reporter, carry_out_fold)


def _warn_of_options(spec: RunSpec, reporter: Reporter) -> None:
    """What may be meant, though it is seldom what is wanted."""
    config, steps = spec.config, spec.config.train.steps
    if spec.model is None and config.train.missed_label == "fail" and steps < FEW_STEPS:
        reporter.note(
            f"`train.steps` {steps} are few: where a label is not found by then, as small ones may not be, "
            "the run ends without a model (`train.missed_label=warn` keeps it)",
            Level.WARNING,
        )
    if "target" in config.prune.model_fields_set and not config.traits.has_target:
        reporter.note(
            f"`prune.target` ({config.prune.target}) does nothing with `method` {config.method}, which "
            "trains the whole network",
            Level.WARNING,
        )


def _gone_on(folder: RunFolder, spec: RunSpec, reporter: Reporter) -> Result:
    """Train on from an earlier run."""
    dataset, config, source = go_on(spec)
    spec = replace(spec, config=config)  # some are of the earlier run
    check_together(spec.config, spec.model, begun=folder.begun)
    result = run_training(dataset, folder, recovering(config), reporter, source, spec.trusted_names)
    return postprocess_by_validation(folder, result, config.device, spec.trusted_names, reporter)


def _searched(
    folder: RunFolder, spec: RunSpec, dataset: Dataset, reporter: Reporter, carry_out_fold: CarryOut
) -> Result:
    found = search(folder, spec, dataset, reporter, carry_out_fold)
    config = without_validation(chosen_config(spec.config, found))
    reporter.note("the network of the run: it learns from all of them")
    result = run_training(dataset, folder, config, reporter)
    if result.failure is None and found.entrant(found.chosen or DEFAULT).folds == len(found.folds):
        place = folder.path / SEARCH_FOLDER / (found.chosen or DEFAULT)
        known = calibrate_by_folds(place, found.folds, dataset, config, spec.trusted_names)
        if known is not None:
            keep(folder.model, known, spec.trusted_names)
    return postprocess_by_validation(folder, result, config.device, spec.trusted_names, reporter)


def _with_folds(
    folder: RunFolder,
    spec: RunSpec,
    dataset: Dataset,
    config: Config,
    reporter: Reporter,
    carry_out_fold: CarryOut,
) -> Result:
    trusted = spec.trusted_names
    found = cross_validate(folder, spec, dataset, reporter, carry_out_fold)
    reporter.note("the network of the run: it learns from all of them")
    teachers = models_of(folder, found) if config.train.distil else []
    lost = [one.label for one in found.labels if one.label != "mean" and (one.mean or 0) < FOUND_DICE]
    if teachers and lost:
        reporter.note(
            f"the networks that teach find next to nothing of {some(lost)} in people held out of them: what "
            "they teach of that is worth nothing; give all of them more `train.steps`",
            Level.WARNING,
        )
    result = run_training(dataset, folder, config, reporter, teachers=teachers)
    # a network that was taught by those of the folds is of another kind than they are
    if found.calibration is not None and result.failure is None and not config.train.distil:
        keep(folder.model, found.calibration, trusted)
    result = told_if_weaker(folder, result, found, reporter)
    plan = PLAN.read(folder.path)
    return keep_steps(folder, result, plan, found.steps, found.trials, trusted, "out of fold", reporter)
