"""The validation cases, predicted with the chosen model: Dice of each, worst first, and their pictures."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..core.errors import StampsegError
from ..data.cases import Case, Dataset
from ..data.io.volume import Volume
from ..data.labels.regions import in_classes
from ..data.preprocess import find_orientation, orient, oriented_spacing
from ..data.splits.record import SplitCase, digest_of
from ..evaluation.false_positives import FalsePositives
from ..evaluation.metrics import UNION, volume_text
from ..evaluation.overlay import evenly
from ..evaluation.people import mean_of_known
from ..runtime.compared import compare
from ..runtime.torch_scorer import OpenNetwork, open_network
from .record import Record
from .slices import View, view_of

MOST_VIEWS = 24  # cases shown in pictures, the worst and the best among them
MOST_SLICES = 480  # of all of them together
PER_CASE = 48


@dataclass(frozen=True)
class PredictedCase:
    """One validation case.

    Attributes:
        id: of the case.
        group: the person, or "".
        dice: mean over the labels it holds; None where it holds none or could not be predicted.
        per_label: Dice by label name; None where the case does not hold the label.
        hd95: the larger distance that 95% of the surfaces keep, by label name, in mm or pixels, or None.
        false_positive: volume predicted of the labels that the case does not hold, in ml or pixels.
        certainty: of the network, by label name; None where its mask holds nothing of the label. Labels of
            which nobody knows whether the case holds them are in neither.
        expected: what was to be expected of the mask (see `PredictedCases.expected_as`), or None.
        problem: why there is no Dice, or "".
        view: pictures, or None.
    """

    id: str
    group: str
    dice: float | None = None
    per_label: Mapping[str, float | None] | None = None
    hd95: Mapping[str, float | None] | None = None
    false_positive: Mapping[str, float] = field(default_factory=dict)
    certainty: Mapping[str, float | None] = field(default_factory=dict)
    expected: float | None = None
    problem: str = ""
    view: View | None = None


@dataclass(frozen=True)
class PredictedCases:
    """All validation cases, worst Dice first, those without one at the end.

    `labels` are the classes but the background; `note` says why there are no cases; `unit` is of the
    distances, `volume_unit` of what is found; `expected_as` is what a case's `expected` is, or "".
    """

    cases: tuple[PredictedCase, ...]
    labels: tuple[str, ...] = ()
    unit: str = "mm"
    note: str = ""
    expected_as: str = ""
    volume_unit: str = "ml"

    @property
    def columns(self) -> tuple[str, ...]:
        """What each case has a Dice of: its labels and, of several, their union."""
        united = any(UNION in (case.per_label or {}) for case in self.cases)
        return (*self.labels, UNION) if united else self.labels

    def absence(self, case: PredictedCase, label: str) -> str:
        """What a cell says of a label that the case does not hold, and of what was predicted of it."""
        volume = case.false_positive.get(label, 0.0)
        predicted = volume_text(volume, self.volume_unit)
        return f"not in this case, {predicted} predicted" if volume else "not in this case"

    @property
    def false_alarms(self) -> list[str]:
        """What is found of each label in the cases that hold none of it, a sentence each."""
        found = {
            label: FalsePositives.of(
                [case.false_positive[label] for case in self.cases if label in case.false_positive]
            )
            for label in self.labels
        }
        return [each.words(label, self.volume_unit) for label, each in found.items() if each.cases]

    @property
    def mean(self) -> float | None:
        """Mean Dice of the cases."""
        known = [case.dice for case in self.cases if case.dice is not None]
        return sum(known) / len(known) if known else None


def predict_validation(
    record: Record, device: str = "cpu", trusted: Collection[str] = (), data: Dataset | None = None
) -> PredictedCases:
    """Predict and compare the validation cases of a run, or those held out of a fold.

    What cannot be read is said, case by case.

    Args:
        record: the run.
        device: where to compute.
        trusted: `package.module:Class` names whose code the model may use.
        data: where the cases are, by their ids; None: where splits.json says.
    """
    splits = record.splits
    entries = (splits.validation or splits.held_out) if splits else ()
    if not entries and record.folds is not None:
        return PredictedCases(
            (), note="all cases trained; who was held out of a fold is in the report of that fold"
        )
    if not entries:
        return PredictedCases((), note="no case was held out to validate on")
    if record.model is None:
        return PredictedCases((), note="there is no model yet to predict the validation cases with")
    try:
        opened = open_network(record.model, device, trusted=trusted)
    except (StampsegError, ImportError) as error:
        return PredictedCases((), note=f"the validation cases are not predicted: {error}")
    most = min(PER_CASE, max(1, MOST_SLICES // min(len(entries), MOST_VIEWS)))
    cases = [_predicted(entry, opened, data, most) for entry in entries]
    cases.sort(key=lambda case: (case.dice is None, case.dice or 0.0, case.id))
    plan = opened.plan
    return PredictedCases(
        _thinned(cases), tuple(name for name, _ in plan.structures), plan.unit, volume_unit=plan.volume_unit
    )


def _thinned(cases: Sequence[PredictedCase]) -> tuple[PredictedCase, ...]:
    """Pictures of `MOST_VIEWS` cases at most, evenly spaced in rank."""
    pictured = [rank for rank, case in enumerate(cases) if case.view is not None]
    if len(pictured) <= MOST_VIEWS:
        return tuple(cases)
    chosen = {pictured[i] for i in evenly(len(pictured), MOST_VIEWS)}
    return tuple(case if rank in chosen else replace(case, view=None) for rank, case in enumerate(cases))


AGAIN = "name their data set when this report is written again"


def case_of(entry: SplitCase, data: Dataset | None = None) -> Case | str:
    """The case of a line of splits.json, or why it cannot be had, in words."""
    if data is not None:
        named = [case for case in data.cases if case.id == entry.id]
        return named[0] if named else f"no case of this name with a label in {data.root}"
    if not entry.images or entry.label is None:
        return f"the run does not say where its image and label are; {AGAIN}"
    for file in entry.case.files:
        if not file.exists():
            return f"{file} is not there any more; if the scans have moved, {AGAIN}"
    if entry.digest is not None and digest_of(entry.case.files) != entry.digest:
        return f"{entry.label}: it or its image is another than in the run; put it back, or {AGAIN}"
    return entry.case


def _predicted(entry: SplitCase, opened: OpenNetwork, data: Dataset | None, most: int) -> PredictedCase:
    plan = opened.plan
    group = entry.group or ""
    case = case_of(entry, data)
    if isinstance(case, str):
        return PredictedCase(entry.id, group, problem=case)
    try:
        pair = compare(replace(case, id=entry.id), opened, confidence=True)
    except (StampsegError, OSError) as error:
        return PredictedCase(entry.id, group, problem=str(error))
    told = {row.label for row in pair.rows if row.told}
    return PredictedCase(
        id=entry.id,
        group=group,
        dice=mean_of_known(row.dice for row in pair.rows if row.value is not None and not row.absent),
        per_label={row.label: None if row.absent else row.dice for row in pair.rows},
        hd95={row.label: None if math.isnan(row.hd95) else row.hd95 for row in pair.rows},
        false_positive={
            row.label: volume for row in pair.rows if (volume := row.false_positive_volume) is not None
        },
        certainty={
            name: (certainty or 0.0) if in_classes(pair.prediction, classes).any() else None
            for (name, classes), certainty in zip(plan.structures, pair.certainty[1:], strict=True)
            if name in told
        },
        view=view_upright(pair.image, pair.prediction, pair.reference, len(plan.label_values), most),
    )


def view_upright(
    image: Volume, prediction: np.ndarray, reference: np.ndarray, classes: int, most: int
) -> View:
    """Upright for a person to look at, however the file lies.

    Args:
        image: of the case.
        prediction: class indices (*S).
        reference: class indices (*S), `classes` where nobody said what is there.
        classes: how many there are, background included.
        most: slices at most.
    """
    turn = find_orientation(image.header)
    return view_of(
        orient(image.array, turn),
        orient(prediction, turn),
        orient(np.where(reference < classes, reference, 0), turn),
        oriented_spacing(image.header.spacing, turn),
        classes,
        most,
    )
