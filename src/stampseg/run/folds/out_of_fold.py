"""Every labelled case, predicted by the network of the fold in which its person was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.run_folder import FOLDS_FOLDER
from ...core.text import counted
from ...data.cases import Case, Dataset
from ...data.io.readers import read_image, read_label, write_label
from ...data.labels.label_table import to_classes, to_values
from ...data.labels.postprocess import Postprocessing
from ...data.plan import PLAN, Plan
from ...evaluation.evaluation import Evaluation
from ...evaluation.evidence import StepTrial, find_steps
from ...evaluation.metrics import UNION, WITHIN, Metrics, evaluate_case
from ...evaluation.people import how_read, over_people
from ...evaluation.predicted import Predicted
from ...runtime.model import open_model
from ..folder import RunFolder
from ..reporters import Reporter
from ..spec import RunSpec
from .records import OUT_OF_FOLD, FoldCase, Folds, LabelDice

METRICS_FILE = "out_of_fold.csv"
MEAN = "mean"  # over the labels


@dataclass(frozen=True)
class _Held:
    """A case with its fold, and the file name of its mask."""

    case: Case
    fold: int
    mask: Path


def measured(folder: RunFolder, folds: Folds, dataset: Dataset, spec: RunSpec, reporter: Reporter) -> Folds:
    """Predict and compare all who were held out; masks that are there are not predicted again.

    Args:
        folder: of the run, with the folds' networks.
        folds: who was held out in each.
        dataset: their cases.
        spec: of the run.
        reporter: is told what came out.

    Returns:
        `folds` with what was found.
    """
    held = _held(folder.path, folds, dataset)
    plan = PLAN.read(folder.path / FOLDS_FOLDER / "0")
    _predict(folder.path, held, spec, reporter)
    rows = [row for each in held for row in _metrics(each, _pair(each, plan), plan)]
    Evaluation(tuple(rows), 1.0, plan.unit).write(folder.path / METRICS_FILE, overwrite=True)
    labels = _labels(rows, {each.case.id: each.case.group for each in held}, plan)
    steps: Postprocessing = ()
    trials: tuple[StepTrial, ...] = ()
    if not plan.regions:  # a piece of a part of a region is no piece of the region
        steps, trials = find_steps(
            lambda: (_pair(each, plan) for each in held), plan.label_names, plan.size_unit
        )
    return folds.model_copy(
        update={
            "cases": tuple(_record(each, rows) for each in held),
            "labels": labels,
            "how": tuple(how_read(label.kind for label in labels)),
            "trials": trials,
            "steps": steps,
        }
    )


def _held(run: Path, folds: Folds, dataset: Dataset) -> list[_Held]:
    """All of them, in the order of folds."""
    there = {case.id: case for case in dataset.cases}
    cases = [(there[name], number) for number, fold in enumerate(folds.folds) for name in fold.held_out]
    return [_Held(case, number, run / OUT_OF_FOLD / case.mask_name) for case, number in cases]


def _predict(run: Path, held: Sequence[_Held], spec: RunSpec, reporter: Reporter) -> None:
    """Write the masks that are not there yet, without post-processing."""
    (run / OUT_OF_FOLD).mkdir(exist_ok=True)
    missing = [each for each in held if not each.mask.exists()]
    if missing:
        reporter.note(f"predicting {counted(len(missing), 'case')} that were held out")
    for number in sorted({each.fold for each in missing}):
        opened = open_model(
            run / FOLDS_FOLDER / str(number), device=spec.config.device, trusted=spec.trusted_names
        )
        for each in missing:
            if each.fold == number:
                image = read_image(each.case.images, opened.plan.in_channels)
                classes, _ = opened.segment(opened.prepare(image))
                write_label(each.mask, to_values(classes, opened.plan.label_values), each.case.images)


def _pair(each: _Held, plan: Plan) -> Predicted:
    """The mask as it was written, and the label on its grid."""
    mask = read_label(each.mask)
    return Predicted.of(each.case, to_classes(mask.array, plan.label_values, each.mask), mask.header, plan)


def _metrics(each: _Held, pair: Predicted, plan: Plan) -> list[Metrics]:
    rows = evaluate_case(
        pair.classes, pair.reference, pair.spacing, dict(enumerate(plan.label_names)),
        case=each.case.id, unknown=plan.unknown_class, regions=plan.regions,
    )  # fmt: skip
    return [row.in_files(plan.label_values) for row in rows]


def _record(each: _Held, rows: Sequence[Metrics]) -> FoldCase:
    dice = {r.label: r.dice for r in rows if r.case == each.case.id and r.label != UNION}
    return FoldCase(id=each.case.id, group=each.case.group, fold=each.fold, mask=each.mask.name, dice=dice)


def _labels(rows: Sequence[Metrics], people: dict[str, str], plan: Plan) -> tuple[LabelDice, ...]:
    """Of each label, and of several the mean over those that a case holds."""
    names = tuple(name for name, _ in plan.structures)
    figures = {name: [(people[r.case], r.dice) for r in rows if r.label == name] for name in names}
    if len(names) > 1:
        figures[MEAN] = list(_means(rows, people, names))
    found = {name: over_people(values, WITHIN["dice"]) for name, values in figures.items()}
    return tuple(LabelDice(label=name, **over.model_dump()) for name, over in found.items())


def _means(
    rows: Sequence[Metrics], people: dict[str, str], names: Sequence[str]
) -> Iterator[tuple[str, float]]:
    of: dict[str, list[float]] = {}
    for row in rows:
        if row.label in names and not row.absent:
            of.setdefault(row.case, []).append(row.dice)
    for case, dice in of.items():
        yield people[case], sum(dice) / len(dice)
