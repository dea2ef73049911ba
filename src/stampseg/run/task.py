"""What a run knows before it has a network: its data as surveyed, its options, settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..channels.criteria import CRITERIA, SIMPLEST
from ..core.config import Config, dump_config
from ..core.errors import ConfigError
from ..core.level import Level
from ..core.run_folder import CONFIG_FILE
from ..data.cases import Case, Dataset
from ..data.fingerprint import FINGERPRINT
from ..data.plan import PLAN, Plan
from ..data.splits.record import SPLITS, Splits, read_splits
from ..networks.device import lay_out
from ..networks.model_file import load_model
from ..networks.pretrained.trained_network import Source
from ..train.loss import class_weights
from .copies import told_copies
from .folder import RunFolder
from .rare_labels import rare_labels
from .reporters import Reporter
from .spec import case_differences
from .survey import Survey, survey


@dataclass(frozen=True)
class Task:
    """What a run knows before it has a network: data as surveyed, settled options, device, its teachers."""

    seen: Survey
    config: Config
    device: torch.device
    learnt_from: tuple[str, ...] = ()  # digests of the images with labels that train, or trained before
    teachers: tuple[nn.Module, ...] = ()  # trained networks that take the same windows

    @property
    def plan(self) -> Plan:
        """How every case is prepared."""
        return self.seen.plan

    @property
    def taught(self) -> tuple[Case, ...]:
        """Scans of which a teacher says what is there: those without labels, and for trained teachers all."""
        split = self.seen.split
        if not self.teachers:
            return split.unlabelled
        return (*split.unlabelled, *(replace(case, label=None) for case in split.training))


def task_of(
    dataset: Dataset,
    folder: RunFolder,
    config: Config,
    reporter: Reporter,
    source: Source | None,
    device: torch.device,
) -> Task:
    """What the run knows before it has a network; written to the folder, and told."""
    stored = folder.config()
    known = read_splits(folder.path) if stored is not None else None
    seen = survey(dataset, stored or config, source, known, folder.plan())
    config = stored or options_for(config, seen, reporter)
    splits = _write_inputs(folder, seen, config)
    for text in (*dataset.warnings, *seen.table.notes, *seen.plan.notes):
        reporter.note(text)
    for text, level in rare_labels(seen, config):
        reporter.note(text, level)
    for text in (*seen.warnings, *(told_copies(seen) if stored is None else ())):
        reporter.note(text, Level.WARNING)
    reporter.note(seen.split.note, seen.split.level)
    digests = {entry.image_digest for entry in splits.learnt_from}
    return Task(seen, config, device, tuple(sorted(digest for digest in digests if digest is not None)))


def taught_by(task: Task, teachers: Sequence[Path]) -> Task:
    """With trained networks as teachers."""
    trusted, dims = (task.config.network.name,), task.plan.spatial_dims
    networks = (load_model(path, task.device, trusted=trusted).network for path in teachers)
    return replace(task, teachers=tuple(lay_out(network, dims, task.device) for network in networks))


def options_for(config: Config, seen: Survey, reporter: Reporter) -> Config:
    """Options that only the data can decide, and combinations it rules out."""
    changes: dict[str, Any] = {}
    criterion = CRITERIA[config.prune.criterion]
    if criterion.deviation and len(seen.split.training) == 1:
        reporter.note(f"{criterion.name} needs two cases and there is one: {SIMPLEST} is used")
        changes["prune"] = {"criterion": SIMPLEST}
    if config.train.schedule == "auto":
        changes["train"] = {"schedule": "hold" if seen.split.unlabelled or config.train.distil else "cosine"}
    if config.prune.target.floor is not None and not seen.split.validation:
        raise ConfigError(
            "a Dice floor as `prune.target` needs validation cases that hold a label; give "
            "`train.validation`, or a size such as 15%"
        )
    asked = {
        f"`train.patience` {config.train.patience}": config.train.patience is not None,
        "`prune.choose` smallest": config.traits.prunes and config.prune.choose == "smallest",
    }
    if config.train.mixing and seen.split.unlabelled and not config.train.distil:
        reporter.note(
            f"`train.mixing` {config.train.mixing:g} is for runs that learn from labelled scans alone, and "
            "does nothing here; `teacher.mixing` is for those that learn from others as well",
            Level.WARNING,
        )
    for what in (what for what, given in asked.items() if given and not seen.split.validation):
        reporter.note(
            f"{what} goes by validation cases, of which there is none: it does nothing", Level.WARNING
        )
    weights = class_weights(config.train, seen.fingerprint.class_voxels)
    if weights is not None:
        pairs = zip(seen.plan.label_names, weights, strict=False)
        reporter.note(f"class weights: {', '.join(f'{name} {weight:.3g}' for name, weight in pairs)}")
    settled = config.merged(changes)
    batch = settled.train.batch_size
    if len(seen.split.training) < batch:
        reporter.note(
            f"{len(seen.split.training)} case(s) are fewer than a batch of {batch}: "
            "each is drawn several times"
        )
    return settled


def _write_inputs(folder: RunFolder, seen: Survey, config: Config) -> Splits:
    folder.write_text(CONFIG_FILE, dump_config(config))
    splits = seen.split.record()
    folder.write_or_match(SPLITS, splits, "the cases, or what is in their files,", case_differences)
    folder.write_or_match(PLAN, seen.plan, "the data, or how they are prepared,")
    FINGERPRINT.write(folder.path, seen.fingerprint)
    return splits
