"""A look at the data before a run: who trains, what the classes are, how every case is prepared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import Config
from ..core.errors import DataError
from ..core.text import some
from ..data.appearance import Look
from ..data.cases import Case, Dataset, in_channel_order
from ..data.exchanged_labels import telling_exchanged
from ..data.fingerprint import Fingerprint, fingerprint
from ..data.io.colours import describe
from ..data.io.kept import kept_files
from ..data.io.readers import check_storable
from ..data.labels.label_table import LabelTable, label_table
from ..data.labels.organs import first_of, read_label_files
from ..data.labels.regions import ValueRegion, regions_of_classes
from ..data.labels.relabelling import ChosenLabels, Relabelling, labels_asked, relabelled
from ..data.labels.values import Counted
from ..data.odd_poses import odd_poses
from ..data.oddity import Oddity
from ..data.own_grids import own_grids
from ..data.plan import INTENSITIES, PIECES, Plan
from ..data.planner import make_plan, plan_pieces
from ..data.splits.record import Splits
from ..data.splits.split import Split
from ..data.splits.unlabelled import with_unlabelled
from ..networks.factory import fixed_strides, spec_strides
from ..networks.pretrained.trained_network import Source
from .appearance import looks_of, with_appearance
from .labels_as_begun import check_labels_as_begun
from .split import split_for, values_held, with_people_of, without_empty_validation


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
    if config.group_regex is None:
        dataset = with_people_of(source, dataset)
    if source is not None and source.plan is not None:
        dataset = in_channel_order(dataset, source.plan.channel_names, source.path)
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
    chosen, relabel, ignored = _labels_asked(dataset, config, source)
    split = split_for(dataset, config, source, stored, values_held(ignored, relabel, counted))
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
    split = without_empty_validation(split, plan)
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


def _labels_asked(
    dataset: Dataset, config: Config, source: Source | None
) -> tuple[ChosenLabels, Relabelling | None, int | None]:
    """Which labels are to be learnt, how values are read, and which value is ignored."""
    chosen, ignored = labels_asked(config.data, dataset.label_names, dataset.ignored, dataset.regions)
    relabel = chosen.relabel
    if relabel is None and source is not None and source.plan is not None:
        relabel = source.plan.relabel
    return chosen, relabel, ignored


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
    if stated.get("orientation") == "file" and plan.spatial_dims == 3:
        stated |= _along_the_files(plan, seen, config)
    if "normalization" in stated:
        stated["notes"] = tuple(note for note in plan.notes if not note.startswith(INTENSITIES))
    return Plan.model_validate({**plan.model_dump(), **stated})


def _along_the_files(plan: Plan, seen: Fingerprint, config: Config) -> dict[str, Any]:
    """Spacing and patch that were planned along RAS axes, along the axes by which most files are stored."""
    stored, _ = Counter(seen.orientations).most_common(1)[0]
    axes = [next(axis for axis, ends in enumerate(("RL", "AP", "SI")) if end in ends) for end in stored]
    planned = {"spacing": config.data.spacing is None, "patch_size": config.data.patch_size is None}
    return {name: tuple(getattr(plan, name)[axis] for axis in axes) for name, own in planned.items() if own}


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
