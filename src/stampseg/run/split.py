"""On which side of a run everybody is: as in a run that is resumed or gone on from, or drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.config import Config
from ..core.errors import ConfigError, DataError
from ..core.level import Level
from ..core.run_folder import run_folder_of
from ..core.text import counted, some
from ..data.cases import Case, Dataset
from ..data.labels.label_table import count_values
from ..data.labels.organs import LabelFiles, read_label_files
from ..data.labels.relabelling import Relabelling, relabelled
from ..data.labels.values import Counted
from ..data.plan import Plan
from ..data.splits.aside import set_aside
from ..data.splits.balance import Holds
from ..data.splits.identity import with_known_people
from ..data.splits.known import digests_in, trained_on
from ..data.splits.record import SplitCase, Splits, read_splits
from ..data.splits.split import Split, split_cases
from ..networks.pretrained.trained_network import Source


def split_for(
    dataset: Dataset, config: Config, source: Source | None, stored: Splits | None, holds: Holds
) -> Split:
    """Who is on which side: as in a run that is resumed, or drawn; those held out beside them.

    Raises:
        DataError: cases of a new run have other channels or organs than others.
    """
    learnt, tested = _known_to(source)
    split = _as_stored(dataset, stored)
    if split is None:
        digests = digests_in(source.provenance) if source is not None else ()
        known = {case.group for case in trained_on(dataset.cases, learnt, digests)}
        known |= _called_alike(dataset.cases, learnt)
        before = {case.group for case in trained_on(dataset.cases, tested)}
        before |= _called_alike(dataset.cases, tested)
        split = _drawn(dataset, config, holds, known, before)
    split = replace(split, known=learnt if stored is None else stored.known)
    split = _with_held_out(split, dataset)
    if stored is None:
        _check_alike((*split.training, *split.validation, *split.test, *split.held_out))
    return split


def with_people_of(source: Source | None, dataset: Dataset) -> Dataset:
    """The data set with the people that the run of a network of ours knows, where nothing else names them.

    Else two scans of one person could be on two sides, though that run was told whose they are.
    """
    splits = _splits_of(source)
    if splits is None:
        return dataset
    sides = (*splits.learnt_from, *splits.validation, *splits.test, *splits.held_out)
    people = {entry.id: entry.group for entry in sides if entry.group not in (None, entry.id)}
    if not people:
        return dataset

    def named(cases: Sequence[Case]) -> list[Case]:
        owned = (people.get(case.id) if case.group == case.id else None for case in cases)
        return [replace(case, group=of or case.group) for case, of in zip(cases, owned, strict=True)]

    known = [entry.case for entry in sides if entry.images and all(map(Path.exists, entry.images))]
    count = len(dataset.cases)
    found = with_known_people(named((*dataset.cases, *dataset.unlabelled)), named(known))
    return replace(dataset, cases=tuple(found[:count]), unlabelled=tuple(found[count:]))


def _called_alike(cases: Sequence[Case], entries: Sequence[SplitCase]) -> set[str]:
    """People of the cases who have the name of one of the entries, where both say who is who."""
    told = {entry.group for entry in entries if entry.group is not None and entry.group != entry.id}
    return {case.group for case in cases if case.group != case.id and case.group in told}


def _drawn(
    dataset: Dataset, config: Config, holds: Holds, known: Collection[str], before: Collection[str]
) -> Split:
    """Who is kept aside, and who of the others trains and validates."""
    if dataset.sides:
        return _as_before(dataset, config)
    aside = set_aside(dataset.cases, config, known, before)
    split = split_cases(aside.others, config, holds, known)
    if not aside.cases:
        return split
    level = max(split.level, aside.level, key=list(Level).index)
    return replace(split, test=aside.cases, note=f"{split.note}; {aside.note}", level=level)


def _as_before(dataset: Dataset, config: Config) -> Split:
    """Everybody on the side where an earlier run had them."""
    for name in ("validation", "test"):
        if name in config.train.model_fields_set:
            raise ConfigError(
                f"`train.{name}`: who validates and who is kept aside stay as in the earlier run, for its "
                "network has learnt from the others; leave it out"
            )
    training, validation, test = (
        tuple(case for case in dataset.cases if dataset.sides[case.id] == side)
        for side in ("training", "validation", "test")
    )
    aside = f", {len(test)} are kept aside" if test else ""
    note = (
        f"{counted(len(training), 'case trains', 'cases train')}, {len(validation)} validate{aside}: "
        "those of the earlier run as before"
    )
    return Split(training, validation, note, test=test)


def _with_held_out(split: Split, dataset: Dataset) -> Split:
    """The split with the people of whom nothing is learnt, and a word about them."""
    if not dataset.held_out:
        return split
    people = {case.group for case in dataset.held_out}
    note = (
        f"{split.note}; {counted(len(dataset.held_out), 'case')} of "
        f"{counted(len(people), 'person', 'people')} held out"
    )
    return replace(split, held_out=dataset.held_out, note=note)


def _as_stored(dataset: Dataset, stored: Splits | None) -> Split | None:
    """Who trained and who validated before a run was stopped; None where they are not there any more."""
    if stored is None:
        return None
    there = {case.id: case for case in dataset.cases}
    sides = [
        tuple(there.get(entry.id, entry.case) for entry in entries)
        for entries in (stored.training, stored.validation, stored.test)
    ]
    cases = [case for side in sides for case in side]
    if not all(case.label is not None and all(map(Path.exists, case.files)) for case in cases):
        return None
    training, validation, test = sides
    aside = f", {len(test)} are kept aside" if test else ""
    trains = counted(len(training), "case trains", "cases train")
    note = f"{trains}, {len(validation)} validate{aside}, as the run began"
    return Split(training, validation, note, test=test)


def _known_to(source: Source | None) -> tuple[tuple[SplitCase, ...], tuple[SplitCase, ...]]:
    """The cases that a network of ours was trained on, and that were kept aside, as its run folder says."""
    splits = _splits_of(source)
    return (splits.learnt_from, splits.test) if splits is not None else ((), ())


def _splits_of(source: Source | None) -> Splits | None:
    if source is None or source.kind != "stampseg model":
        return None
    return read_splits(run_folder_of(source.path))


def _check_alike(cases: Sequence[Case]) -> None:
    """See that all cases have the same channels and organs: these are counted in the order of their names.

    Raises:
        DataError: the columns of two CSVs, or of a CSV and a folder, are others.
    """
    first = cases[0]
    for case in cases:
        pairs = (
            ("channels", case.channels, first.channels),
            ("masks", case.organ_names, first.organ_names),
        )
        for what, ours, theirs in pairs:
            if ours != theirs:
                found, expected = (some(names, 9) or "without names" for names in (ours, theirs))
                raise DataError(
                    f"{case.images[0]}: {what} {found}, those of {first.images[0]} are {expected}; expected "
                    "the same columns for all that train, validate and are kept aside"
                )


def without_empty_validation(split: Split, plan: Plan) -> Split:
    """No validation where none of its cases holds a label: Dice of nothing would choose the model."""
    cases = split.validation
    if not cases or any(_holds_label(case, plan) for case in cases):
        return split
    trains = counted(len(split.training), "case trains", "cases train")
    empty = counted(len(cases), "validation case")
    note = (
        f"{trains}, none validates: there is only background in {empty} "
        f"({some([case.id for case in cases])}); name others with `train.validation`"
    )
    return replace(split, validation=(), note=note, unused=cases, level=Level.WARNING)


def _holds_label(case: Case, plan: Plan) -> bool:
    """Whether it holds more than background, and what is ignored."""
    nothing = [value for value in (plan.label_values[0], plan.ignored_value) if value is not None]
    if case.label_files is None:
        return False
    return not np.isin(relabelled(read_label_files(case.label_files).array, plan.relabel), nothing).all()


def values_held(
    ignored: int | None, relabel: Relabelling | None = None, counted: Counted | None = None
) -> Holds:
    """Reads each label once, however often it is asked for; what is ignored is no label.

    Labels in `counted` are not read, and those that are read are put there.
    """
    known: dict[LabelFiles, frozenset[int]] = {}

    def holds(case: Case) -> frozenset[int]:
        files = case.label_files
        if files is None:
            return frozenset()
        if files not in known:
            known[files] = frozenset(count_values([files], ignored, relabel, counted).voxels) - {ignored}
        return known[files]

    return holds
