"""Pictures of cases beside those that validated: people kept aside, or scans without labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..core.errors import StampsegError
from ..data.cases import Case, Dataset
from ..data.io.placing import on_grid_of
from ..data.io.readers import read_header, read_image, read_label
from ..data.labels.label_table import to_classes
from ..data.plan import Plan
from ..data.splits.split import SplitCase
from ..evaluation.metrics import UNION
from ..evaluation.predicted import reference_of
from ..run.aside import FIGURES, LOWEST, MASKS
from ..run.folder import TEST
from ..runtime.torch_scorer import open_network, predict_case
from .cases import Finding, case_of, evenly, upright
from .comparison.masks import read_masks
from .record import Record

MOST_ASIDE, MOST_UNLABELLED = 12, 8  # cases in pictures
SLICES = 24  # of each
PREDICTED = 30_000_000  # voxels of scans without labels that are predicted for the page, and one scan more


@dataclass(frozen=True)
class Pictures:
    """Cases of one kind, in the order in which they are shown, and what is said above and below that."""

    kind: str
    title: str
    words: str
    cases: tuple[Finding, ...]


def pictures_aside(record: Record, data: Dataset | None = None) -> Pictures | None:
    """The masks that the run made of the people kept aside, beside their labels, lowest Dice first.

    Cases whose files are not there any more are left out; None where there are none.

    Args:
        record: the run.
        data: where the cases are, by their ids; None: where splits.json says.
    """
    plan, place = record.plan, record.path / TEST
    entries = {entry.id: entry for entry in record.splits.test} if record.splits else {}
    if plan is None or not entries or not (place / FIGURES).is_file():
        return None
    with suppress(StampsegError):
        dice = _mean_dice(record)
        ranked = sorted(dice.keys() & entries.keys(), key=lambda name: (dice[name], name))
        rest = ranked[LOWEST:]
        shown = ranked[:LOWEST] + [rest[i] for i in evenly(len(rest), MOST_ASIDE - LOWEST)]
        found = [_aside(entries[name], dice[name], record, plan, data) for name in shown]
        cases = tuple(case for case in found if case is not None)
        words = "The masks of test/masks, lowest Dice first"
        if len(cases) < len(ranked):
            words += f"; {len(cases)} of {len(ranked)}, the lowest and some of the others"
        return Pictures("aside", "People kept aside", f"{words}.", cases) if cases else None
    return None


def _mean_dice(record: Record) -> dict[str, float]:
    """Of each case the mean Dice of the labels that it holds."""
    of: dict[str, list[float]] = {}
    for (case, label), each in read_masks(record.path / TEST / FIGURES).measures.items():
        if each.dice is not None and label != UNION:
            of.setdefault(case, []).append(each.dice)
    return {case: sum(dice) / len(dice) for case, dice in of.items()}


def _aside(entry: SplitCase, dice: float, record: Record, plan: Plan, data: Dataset | None) -> Finding | None:
    case = case_of(entry, data)
    if isinstance(case, str):
        return None
    with suppress(StampsegError, OSError):
        image = read_image(case.images, plan.in_channels)
        mask = on_grid_of(read_label(record.path / TEST / MASKS / entry.case.mask_name), image.header)
        found = to_classes(mask.array, plan.label_values, mask.header.path)
        reference = reference_of(case, image.header, plan)
        view = upright(image, found, reference, len(plan.label_values), SLICES)
        return Finding(entry.id, entry.group or "", dice, view=view)
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
        cases = []
        for case in _within_reach(entries):
            with suppress(StampsegError, OSError):
                image = read_image(case.images, opened.plan.in_channels)
                found = predict_case(opened.network, case, opened.plan, opened.device)
                nothing = np.zeros_like(found)
                view = upright(image, found, nothing, len(opened.plan.label_values), SLICES)
                cases.append(Finding(case.id, case.group, view=view))
        words = (
            f"Nobody was held out, so there is no Dice to show. These are {len(cases)} of the {len(entries)} "
            "scans without labels that were learnt from, and what the network finds in them."
        )
        return Pictures("unlabelled", "Scans without labels", words, tuple(cases)) if cases else None
    return None


def _within_reach(entries: Sequence[SplitCase]) -> Iterator[Case]:
    """Some of them, evenly spaced, fewer where they are large."""
    voxels = 0
    for place in evenly(len(entries), MOST_UNLABELLED):
        case = entries[place].case
        if voxels > PREDICTED:
            return
        with suppress(StampsegError, OSError):
            voxels += math.prod(read_header(case.images).shape)
            yield case
