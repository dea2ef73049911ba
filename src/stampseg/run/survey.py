"""A look at the data before a run: who trains, what the classes are, how every case is prepared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import Config
from ..core.errors import ConfigError, DataError
from ..core.level import Level
from ..core.run_folder import run_folder_of
from ..core.text import counted, some
from ..data.appearance import Look
from ..data.cases import Case, Dataset
from ..data.exchanged_labels import telling_exchanged
from ..data.fingerprint import Fingerprint, fingerprint
from ..data.io.colours import describe
from ..data.io.kept import kept_files
from ..data.io.readers import check_storable
from ..data.labels.label_table import LabelTable, count_values, ignored_value, label_table
from ..data.labels.organs import LabelFiles, first_of, read_label_files
from ..data.labels.regions import ValueRegion, regions_of_classes
from ..data.labels.relabelling import ChosenLabels, Relabelling, choose_labels, relabelled
from ..data.labels.values import Counted
from ..data.odd_poses import odd_poses
from ..data.oddity import Oddity
from ..data.own_grids import own_grids
from ..data.plan import PIECES, Plan
from ..data.planner import make_plan, plan_pieces
from ..data.splits.aside import set_aside
from ..data.splits.balance import Holds
from ..data.splits.known import digests_in, trained_on
from ..data.splits.record import SplitCase, Splits, read_splits
from ..data.splits.split import Split, split_cases
from ..data.splits.unlabelled import with_unlabelled
from ..networks.factory import fixed_strides, spec_strides
from ..networks.pretrained.trained_network import Source
from .appearance import looks_of, with_appearance
from .labels_as_begun import check_labels_as_begun


@dataclass(frozen=True)
class Survey:
    """What is there, who trains, and how every case is prepared."""

    dataset: Dataset
    table: LabelTable
    split: Split
    fingerprint: Fingerprint
    plan: Plan
    oddities: tuple[Oddity, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What is odd about the labels, and about how scans lie, one line each."""
        return [*self.table.warnings, *map(str, self.oddities)]


@kept_files()
def survey(
    dataset: Dataset,
    config: Config,
    source: Source | None = None,
    stored: Splits | None = None,
    stored_plan: Plan | None = None,
    counted: Counted | None = None,
) -> Survey:
    """Look at the data and plan the run; the plan sees the training cases only.

    Args:
        dataset: what there is.
        config: options.
        source: a trained network whose own preparation of images counts, as far as it states one.
        stored, stored_plan: of a run that is resumed: it goes on with the same cases, and prepares all as it
            did, whatever would be drawn and planned today.
        counted: values of labels that were read before.

    Raises:
        DataError: the data do not fit the source's plan.
    """
    with telling_exchanged(dataset.cases):
        return _survey(dataset, config, source, stored, stored_plan, {} if counted is None else counted)


def _survey(
    dataset: Dataset,
    config: Config,
    source: Source | None,
    stored: Splits | None,
    stored_plan: Plan | None,
    counted: Counted,
) -> Survey:
    learnt, tested = _known_to(source)
    ignored = ignored_value(config.data.ignore_label, dataset.ignored)
    chosen = choose_labels(config.data, dataset.label_names, ignored, dataset.regions)
    relabel = chosen.relabel
    if relabel is None and source is not None and source.plan is not None:
        relabel = source.plan.relabel
    split = _as_stored(dataset, stored)
    if split is None:
        digests = digests_in(source.provenance) if source is not None else ()
        known = {case.group for case in trained_on(dataset.cases, learnt, digests)}
        before = {case.group for case in trained_on(dataset.cases, tested)}
        split = _drawn(dataset, config, values_held(ignored, relabel, counted), known, before)
    split = replace(split, known=learnt if stored is None else stored.known)
    split = _without_held_out(split, dataset)
    if stored is None:
        _check_alike((*split.training, *split.validation, *split.test, *split.held_out))
    # Cases that were not drawn stay unread: their labels cost time, and may be broken. Those held out are
    # read, so that all folds know the same classes.
    read = (*split.training, *split.validation, *split.held_out)
    table = label_table(read, chosen.names, ignored, relabel, counted)
    table = replace(
        table, notes=(*table.notes, *chosen.notes), warnings=(*table.warnings, *_of_no_region(table, chosen))
    )
    if source is not None and source.plan is not None:
        table = table.with_classes(source.plan.label_values, source.plan.label_names)
    for case in read:
        check_storable(case.images, max(table.values))
    looks: dict[Case, Look] = {}
    seen = fingerprint(split.training, table, dataset.channel_names, looks)
    plan = stored_plan or _planned(seen, table, config, source, chosen.regions)
    if stored_plan is not None and source is None:
        check_labels_as_begun(dataset, stored_plan, table, chosen.regions)
    if source is not None:
        check_plan(plan, seen, table, source.path, read)
        if dataset.sides and stored_plan is None:
            plan = _renewed(plan, seen, config)
    split = _without_empty_validation(split, plan)
    if stored is not None:
        split = replace(split, unlabelled=tuple(entry.case for entry in stored.unlabelled))
    else:
        split = with_unlabelled(split, dataset, config, seen)
    looks |= looks_of(split.unlabelled, seen, looks)
    seen = with_appearance(seen, looks)
    of_these_data = source is None or source.plan is None or bool(dataset.sides)
    if of_these_data and stored_plan is None and plan.scans is not None:
        scans = plan.scans.model_copy(update={"appearance": seen.appearance})
        plan = plan.model_copy(update={"scans": scans})
    odd = (
        own_grids((*read, *split.test)),
        odd_poses(looks | looks_of((*split.validation, *split.test), seen, looks)),
    )
    return Survey(dataset, table, split, seen, plan, tuple(each for each in odd if each is not None))


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


def _without_held_out(split: Split, dataset: Dataset) -> Split:
    """The split with the people of whom nothing is learnt, and a word about them."""
    if not dataset.held_out:
        return split
    people = {case.group for case in dataset.held_out}
    note = (
        f"{split.note}; {counted(len(dataset.held_out), 'case')} of "
        f"{counted(len(people), 'person', 'people')} held out"
    )
    return replace(split, held_out=dataset.held_out, note=note)


def _of_no_region(table: LabelTable, chosen: ChosenLabels) -> list[str]:
    """A warning about values that no region holds, where there are regions."""
    held = frozenset().union(*(region.values for region in chosen.regions))
    lone = [describe(value) for value in table.values[1:] if value not in held] if held else []
    if not lone:
        return []
    return [
        f"label {some(lone)} in no region of dataset.json: learnt as what is of none, and no mask will hold "
        "it; add it to a region, or to the background (0)"
    ]


def _known_to(source: Source | None) -> tuple[tuple[SplitCase, ...], tuple[SplitCase, ...]]:
    """The cases that a network of ours was trained on, and that were kept aside, as its run folder says."""
    if source is None or source.kind != "stampseg model":
        return (), ()
    splits = read_splits(run_folder_of(source.path))
    return (splits.learnt_from, splits.test) if splits is not None else ((), ())


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
                found, expected = (some(list(names), 9) or "without names" for names in (ours, theirs))
                raise DataError(
                    f"{case.images[0]}: {what} {found}, those of {first.images[0]} are {expected}; expected "
                    "the same columns for all that train, validate and are kept aside"
                )


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


def _without_empty_validation(split: Split, plan: Plan) -> Split:
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


def _planned(
    seen: Fingerprint,
    table: LabelTable,
    config: Config,
    source: Source | None,
    regions: tuple[ValueRegion, ...],
) -> Plan:
    """The source's plan, or one made from the data with what the source states, unless the user does."""
    if source is not None and source.plan is not None:
        if table.ignored in source.plan.label_values:
            raise DataError(
                f"{source.path}: knows the label value {table.ignored}, which is to be ignored "
                "(`data.ignore_label`); name a value that is none of its classes"
            )
        changes: dict[str, Any] = {"ignored_value": table.ignored, "relabel": table.relabel}
        changes["calibration"] = None  # it was of another network
        changes["channel_names"] = source.plan.channel_names or _named(seen)
        if regions:
            changes["regions"] = regions_of_classes(regions, source.plan.label_values)
        if config.data.pieces == "all" or regions:
            changes["one_piece"] = ()
        return source.plan.model_copy(update=changes)
    strides = (
        spec_strides(source.spec, seen.spatial_dims)
        if source is not None and source.spec is not None
        else fixed_strides(config.network, seen.spatial_dims)
    )
    plan = make_plan(seen, table, config.data, config.network.settled.poolings, strides, regions)
    if source is None:
        return plan.model_copy(update={"channel_names": _named(seen)})
    given = set(config.data.model_fields_set) - set(source.data)
    if "normalization" in given:
        given.add("ct")
    stated = {name: value for name, value in source.overrides.items() if name not in given}
    return Plan.model_validate({**plan.model_dump(), **stated})


def _named(seen: Fingerprint) -> tuple[str, ...]:
    return seen.channel_names if len(seen.channel_names) == seen.in_channels else ()


def _renewed(plan: Plan, seen: Fingerprint, config: Config) -> Plan:
    """A run's plan with what is known of all scans that it now learns from; images are prepared as before."""
    shapes = seen.label_shapes
    changes: dict[str, Any] = {"scans": seen.scans.model_copy(update={"labels": shapes})}
    if plan.convention == "stampseg" and not plan.regions:
        notes = [note for note in plan.notes if not note.startswith(PIECES)]
        changes["one_piece"] = plan_pieces(shapes, plan.label_names, config.data, notes)
        changes["notes"] = tuple(notes)
    return plan.model_copy(update=changes)


def check_plan(plan: Plan, seen: Fingerprint, table: LabelTable, path: Path, cases: Sequence[Case]) -> None:
    """Check that data fit a plan that was made elsewhere.

    Raises:
        DataError: other dimensions or channels, or label values that the plan does not know.
    """
    if seen.spatial_dims != plan.spatial_dims or seen.in_channels != plan.in_channels:
        raise DataError(
            f"{path}: takes {plan.spatial_dims}D images of {plan.in_channels} channel(s), the data are "
            f"{seen.spatial_dims}D of {seen.in_channels}; give the kind of data it was trained on"
        )
    unknown = sorted(set(table.values) - set(plan.label_values))
    if unknown:
        raise DataError(
            f"{path}: knows the label values {list(plan.label_values)}, the masks also hold {unknown}"
            f"{_first_with(unknown, cases, table)}; give masks of the structures it was trained on, in the "
            f"values that these have there{_meant(unknown, plan)}"
        )


def _first_with(values: Sequence[int], cases: Sequence[Case], table: LabelTable) -> str:
    """The first label that holds one of these values, as a part of a sentence."""
    for case in cases:
        files = case.label_files
        if files and np.isin(relabelled(read_label_files(files).array, table.relabel), values).any():
            return f" (the first: {first_of(files)})"
    return ""


def _meant(unknown: Sequence[int], plan: Plan) -> str:
    """Which value of a single structure another one may stand for."""
    if len(unknown) > 1 or len(plan.label_values) != 2:
        return ""
    return f": where {describe(unknown[0])} is {plan.label_names[1]}, write {describe(plan.label_values[1])}"
