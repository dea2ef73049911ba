"""The people kept aside, predicted once with the model of a run that has ended."""

from __future__ import annotations

from collections.abc import Collection

from ..core.errors import StampsegError
from ..core.level import Level
from ..core.text import counted
from ..data.cases import Case
from ..data.io.readers import write_label
from ..data.labels.label_table import to_values
from ..data.splits.split import read_splits
from ..evaluation.evaluation import Evaluation
from ..evaluation.metrics import UNION, Metrics
from ..runtime.compared import compare
from ..runtime.torch_scorer import OpenNetwork, open_network
from .folder import RunFolder
from .records import RESULT, AsideRecord, Result
from .reporters import Reporter

FIGURES = "cases.csv"  # a row for each case and label
LOWEST = 5  # people that are named
MASKS = "masks"


def with_people_aside(
    result: Result, folder: RunFolder, device: str, trusted: Collection[str], reporter: Reporter
) -> Result:
    """The result with what came of the people kept aside; also their figures and masks, in `test/`.

    What cannot be predicted is said, and does not lose the run.

    Args:
        result: of a run of which all else has ended: nothing of its model file changes after this.
        folder: of the run.
        device: where to predict.
        trusted: `package.module:Class` names whose code the model may use.
        reporter: is told what could not be predicted.
    """
    splits = read_splits(folder.path)
    cases = tuple(entry.case for entry in splits.test) if splits is not None else ()
    if not cases:
        return result
    if result.failure is not None:
        reporter.note("the people kept aside were not predicted, as there is no model")
        return result
    reporter.note(f"the run has ended; {counted(len(cases), 'case')} kept aside are predicted, once")
    opened = open_network(folder.model, device, trusted=trusted)
    rows: list[Metrics] = []
    problems: dict[str, str] = {}
    for case in cases:
        try:
            rows += _predicted(case, opened, folder)
        except (StampsegError, OSError) as error:
            problems[case.id] = str(error)
            reporter.note(f"kept aside, not compared: {error}", Level.WARNING)
    people = {case.id: case.group for case in cases}
    found = Evaluation(tuple(rows), 1.0, opened.plan.unit, people=people)
    found.write(folder.test / FIGURES, overwrite=True)
    result = result.model_copy(update={"test": _record(found, problems, opened.plan.volume_unit)})
    RESULT.write(folder.path, result)
    for text in found.missed():
        reporter.note(f"of the people kept aside: {text}", Level.WARNING)
    return result


def _predicted(case: Case, opened: OpenNetwork, folder: RunFolder) -> tuple[Metrics, ...]:
    """The case's metrics; its mask is called as that of `predict`."""
    pair, values = compare(case, opened), opened.plan.label_values
    place = folder.test / MASKS / case.mask_name
    write_label(place, to_values(pair.prediction, values), case.images)
    return tuple(row.in_files(values) for row in pair.rows)


def _record(found: Evaluation, problems: dict[str, str], unit: str) -> AsideRecord:
    labels = {name: metrics["dice"] for name, metrics in found.over_people().items()}
    known = [each.mean for name, each in labels.items() if each.mean is not None and name != UNION]
    measured = {case for case, _ in found.worst()}
    false = found.false_positives().items()
    return AsideRecord(
        cases=len(measured),
        people=len({found.people[case] for case in measured}),
        dice=sum(known) / len(known) if known else None,
        labels=labels,
        false_alarms=tuple(
            each.words(name, unit, "test") for name, each in false if each.cases and name != UNION
        ),
        lowest=_lowest(found),
        problems=problems,
        warnings=found.missed(),
    )


def _lowest(found: Evaluation) -> dict[str, float]:
    """The people whose mean Dice is lowest, a case's labels first averaged."""
    of: dict[str, list[float]] = {}
    for case, dice in found.worst():
        of.setdefault(found.people[case], []).append(dice)
    means = sorted((sum(dice) / len(dice), person) for person, dice in of.items())
    return {person: round(mean, 4) for mean, person in means[:LOWEST]}
