"""From what was asked to a finished run folder: started, or taken up where a process was stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.config import Config
from ..core.errors import ConfigError
from ..core.level import Level
from ..core.method import methods_that_prune
from ..core.remarks import REMEDY, gathered
from ..core.run_folder import SEARCH_FOLDER
from ..core.text import some
from ..data.cases import Dataset, check_people, find_dataset
from ..data.plan import PLAN
from ..data.splits.folds import wants_folds, without_held_out
from ..networks.model_file import load_model
from ..networks.pretrained.nnunet_export import export_nnunet
from ..networks.pretrained.source import open_source
from ..networks.pretrained.trained_network import Source
from ..train.round import FOUND_DICE
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
)
from .lock import FolderLock
from .pipeline import run_training
from .postprocess import settle, settle_on_validation
from .records import Result
from .reporters import NoteKeeper, Reporter, Reporters
from .search.candidates import DEFAULT
from .search.race import chosen_config, search, settled_for_search
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
            result = _carry_out(
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


def _carry_out(folder: RunFolder, spec: RunSpec, reporter: Reporter, carry_out_fold: CarryOut) -> Result:
    check_together(spec.config, spec.model, begun=folder.begun)
    if spec.work == "train" and spec.model is not None:
        return _gone_on(folder, spec, reporter)
    if not folder.begun and spec.fold is None:
        _warn_of_options(spec, reporter)
    dataset = find_dataset(
        spec.data, images=spec.images, masks=spec.masks, group_regex=spec.config.group_regex
    )
    check_people(dataset, spec.config.group_regex)
    config, trusted = settled_for_folds(spec.config), spec.trusted_names
    if spec.work == "prune" and spec.model is not None:
        result = prune_trained(spec.model, spec.trusted, dataset, folder, config, reporter)
        return settle_on_validation(folder, result, config.device, trusted, reporter)
    if spec.fold is not None:
        return run_training(without_held_out(dataset, spec.fold), folder, config, reporter)
    if config.train.search:
        return _searched(folder, spec, dataset, reporter, carry_out_fold)
    if not wants_folds(config):
        result = run_training(dataset, folder, config, reporter)
        return settle_on_validation(folder, result, config.device, trusted, reporter)
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
    return settle(folder, result, plan, found.steps, found.trials, trusted, "out of fold", reporter)


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
    return settle_on_validation(folder, result, config.device, spec.trusted_names, reporter)


def _searched(
    folder: RunFolder, spec: RunSpec, dataset: Dataset, reporter: Reporter, carry_out_fold: CarryOut
) -> Result:
    found = search(folder, spec, dataset, reporter, carry_out_fold)
    config = settled_for_search(chosen_config(spec.config, found))
    reporter.note("the network of the run: it learns from all of them")
    result = run_training(dataset, folder, config, reporter)
    if result.failure is None and found.entrant(found.chosen or DEFAULT).folds == len(found.folds):
        place = folder.path / SEARCH_FOLDER / (found.chosen or DEFAULT)
        known = calibrate_by_folds(place, found.folds, dataset, config, spec.trusted_names)
        if known is not None:
            keep(folder.model, known, spec.trusted_names)
    return settle_on_validation(folder, result, config.device, spec.trusted_names, reporter)


RECOVERY_RATE = 1e-3  # a trained network is not to be shaken as a fresh one is


def adapted(config: Config, source: Source) -> Config:
    """The options for a trained network: no warm-up, a lower rate, the source's own data options.

    What the user said stays.

    Raises:
        ConfigError: a method that does not prune, or a network named beside a source that brings its own.
    """
    if not config.traits.prunes:
        able = " or ".join(methods_that_prune())
        raise ConfigError(f"`method` {config.method} does not prune; use {able}")
    if source.spec is not None and config.network.model_fields_set:
        raise ConfigError(
            f"{source.path}: the {source.kind} brings its own network ({source.spec.name}); leave out "
            f"network.{min(config.network.model_fields_set)}"
        )
    if source.spec is None and not config.network.model_fields_set:
        raise ConfigError(
            f"{source.path}: the {source.kind} does not say which network it is of; give `network.name`, "
            "and its arguments as `network.arguments`"
        )
    return recovering(config, source.data)


def recovering(config: Config, data: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """The options for a network that is trained already, where the user has not said otherwise.

    Args:
        config: the options.
        data: what the source says of the preparation of images.
    """
    changes: dict[str, Any] = {"data": dict(data), "prune": {"warmup_share": 0.0}}
    changes["train"] = {"learning_rate": RECOVERY_RATE}
    for part, values in changes.items():
        given = getattr(config, part).model_fields_set
        config = config.merged({part: {name: value for name, value in values.items() if name not in given}})
    return config


def prune_trained(
    model: Path,
    trusted: Collection[str],
    dataset: Dataset,
    folder: RunFolder,
    config: Config,
    reporter: Reporter,
) -> Result:
    """Prune a trained network with recovery training; a run folder as `run_training` leaves it.

    The pruned network of an nnU-Net results folder is also written as one, into `nnunet/`.

    Args:
        model: our model file or run folder, an nnU-Net results folder, a MONAI bundle, or a checkpoint.
        trusted: `package.module:Class` names whose code the model may use.
        dataset: labelled cases to recover on.
        folder: a new run folder.
        config: options.
        reporter: is told of decisions, steps and rounds.

    Returns:
        What result.json holds.
    """
    source = open_source(model, trusted=trusted)
    for text in (f"{source.kind}: {source.path}", *source.notes):
        reporter.note(text)
    result = run_training(dataset, folder, adapted(config, source), reporter, source, trusted)
    if source.kind == "nnU-Net results" and result.failure is None:
        pruned = load_model(folder.model)
        export_nnunet(source.path, folder.path / "nnunet", pruned.network, pruned.description)
        reporter.note(f"for nnU-Net's own predictor: {folder.path / 'nnunet'}")
    return result
