"""Pictures of cases beside those that validated: people kept aside, or scans without labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..core.errors import StampsegError
from ..core.text import counted
from ..data.cases import Case, Dataset
from ..data.io.placing import on_grid_of
from ..data.io.readers import read_header, read_image, read_label
from ..data.labels.label_table import to_classes
from ..data.labels.postprocess import postprocessed
from ..data.plan import Plan
from ..data.splits.record import SplitCase, digest_of
from ..evaluation.overlay import evenly
from ..evaluation.predicted import reference_of
from ..run.aside import FIGURES, LOWEST, MASKS
from ..run.folder import TEST
from ..runtime.torch_scorer import OpenNetwork, open_network, predict_case
from .aside import cases_aside
from .cases import PredictedCase, case_of, view_upright
from .record import Record

MOST_ASIDE, MOST_UNLABELLED = 12, 8  # cases in pictures
SLICES = 24  # of each
PREDICTED = 30_000_000  # voxels of scans without labels that are predicted for the page


@dataclass(frozen=True)
class Pictures:
    """Cases of one kind, in the order in which they are shown, and what is said above them."""

    kind: str
    title: str
    words: str
    cases: tuple[PredictedCase, ...]


def pictures_aside(record: Record, data: Dataset | None = None) -> Pictures | None:
    """The masks that the run made of the people kept aside, beside their labels, lowest Dice first.

    Left out are cases whose files are not there, or are others than those that the masks and the Dice are of.
    None where there are none.

    Args:
        record: the run.
        data: where the cases are, by their ids; None: where splits.json says.
    """
    plan, place = record.plan, record.path / TEST
    entries = {entry.id: entry for entry in record.splits.test} if record.splits else {}
    if plan is None or not entries or not (place / FIGURES).is_file():
        return None
    with suppress(StampsegError):
        dice = {case.id: case.dice for case in cases_aside(record.path) if case.id in entries}
        ranked = list(dice)  # lowest first
        rest = ranked[LOWEST:]
        shown = ranked[:LOWEST] + [rest[i] for i in evenly(len(rest), MOST_ASIDE - LOWEST)]
        found = [_aside(entries[name], dice[name], record, plan, data) for name in shown]
        cases = tuple(case for case in found if case is not None)
        words = f"Masks of test/masks, lowest Dice first: {len(cases)} of {counted(len(ranked), 'case')}"
        if len(shown) < len(ranked):
            words += ", the lowest and some of the others"
        if len(cases) < len(shown):
            words += f"; of {len(shown) - len(cases)} more the files are not there any more, or have changed"
        return Pictures("aside", "People kept aside", f"{words}.", cases) if cases else None
    return None


def _aside(
    entry: SplitCase, dice: float | None, record: Record, plan: Plan, data: Dataset | None
) -> PredictedCase | None:
    case = case_of(entry, data)
    if isinstance(case, str):
        return None
    with suppress(StampsegError, OSError):
        moved = data is not None  # else it has been looked at already
        if entry.digest is None or (moved and digest_of(case.files) != entry.digest):
            return None  # the mask on the disk, and its Dice, are of other files
        image = read_image(case.images, plan.in_channels)
        mask = on_grid_of(read_label(record.path / TEST / MASKS / entry.case.mask_name), image.header)
        found = to_classes(mask.array, plan.label_values, mask.header.path)
        reference = reference_of(case, image.header, plan)
        view = view_upright(image, found, reference, len(plan.label_values), SLICES)
        return PredictedCase(entry.id, entry.group or "", dice, view=view)
    return None


def pictures_unlabelled(record: Record, device: str, trusted: Collection[str]) -> Pictures | None:
    """What the network finds in some of the scans without labels that it learnt from.

    Args:
        record: the run.
        device: where to compute.
        trusted: `package.module:Class` names whose code the model may use.
    """
    entries = record.splits.unlabelled if record.splits else ()
    if record.model is None or not entries:
        return None
    with suppress(StampsegError, ImportError):
        opened = open_network(record.model, device, trusted=trusted)
        cases = list[PredictedCase]()
        for case in _within_reach(entries):
            with suppress(StampsegError, OSError):
                cases.append(_found_in(case, opened))
        words = (
            f"{len(cases)} of the {len(entries)} scans without labels that were learnt from, and what the "
            "network finds in them: nobody was held out, so there is no Dice to show."
        )
        return Pictures("unlabelled", "Scans without labels", words, tuple(cases)) if cases else None
    return None


def _found_in(case: Case, opened: OpenNetwork) -> PredictedCase:
    plan = opened.plan
    image = read_image(case.images, plan.in_channels)
    found = predict_case(opened.network, case, plan, opened.device)
    mask = postprocessed(found, opened.steps, image.header.spacing)  # as `predict` writes it
    view = view_upright(image, mask, np.zeros_like(mask), len(plan.label_values), SLICES)
    return PredictedCase(case.id, case.group, view=view)


def _within_reach(entries: Sequence[SplitCase]) -> Iterator[Case]:
    """Some of them, evenly spaced, as long as they are not too large together."""
    left = PREDICTED
    for place in evenly(len(entries), MOST_UNLABELLED):
        case = entries[place].case
        with suppress(StampsegError, OSError):
            voxels = math.prod(read_header(case.images).shape)
            if voxels <= left:
                left -= voxels
                yield case
