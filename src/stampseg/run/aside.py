"""The people kept aside, predicted once with the model of a run that has ended."""

from __future__ import annotations

from collections.abc import Collection

from ..core.errors import StampsegError
from ..core.level import Level
from ..core.text import counted, some
from ..data.cases import Case
from ..data.io.readers import write_label
from ..data.labels.label_table import to_values
from ..data.likeness import remarks
from ..data.splits.record import read_splits
from ..evaluation.evaluation import Evaluation
from ..evaluation.metrics import UNION, Metrics
from ..evaluation.people import mean_of_known
from ..runtime.compared import Compared, compare
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
    unlike: dict[str, list[str]] = {}  # case ids by what is unusual about their images
    for case in cases:
        try:
            pair = _predicted(case, opened, folder)
            rows += [row.in_files(opened.plan.label_values) for row in pair.rows]
            if said := remarks(pair.image, opened.plan):
                unlike.setdefault("; ".join(said), []).append(case.id)
        except (StampsegError, OSError) as error:
            problems[case.id] = str(error)
            reporter.note(f"kept aside, not compared: {error}", Level.WARNING)
    people = {case.id: case.group for case in cases}
    found = Evaluation(tuple(rows), 1.0, opened.plan.unit, people=people)
    found.write(folder.test / FIGURES, overwrite=True)
    strange = [
        f"{counted(len(ids), 'image')} unlike those the model was trained on ({some(ids, 3)}): {words}"
        for words, ids in unlike.items()
    ]
    warnings = (*found.missed(), *strange)
    result = result.model_copy(update={"test": _record(found, problems, warnings, opened.plan.volume_unit)})
    RESULT.write(folder.path, result)
    for text in warnings:
        reporter.note(f"of the people kept aside: {text}", Level.WARNING)
    return result


def _predicted(case: Case, opened: OpenNetwork, folder: RunFolder) -> Compared:
    """The case beside its label; its mask is written, and called as that of `predict`."""
    pair, values = compare(case, opened), opened.plan.label_values
    place = folder.test / MASKS / case.mask_name
    write_label(place, to_values(pair.prediction, values), case.images)
    return pair


def _record(found: Evaluation, problems: dict[str, str], warnings: tuple[str, ...], unit: str) -> AsideRecord:
    labels = {name: metrics["dice"] for name, metrics in found.over_people().items()}
    measured = {case for case, _ in found.worst()}
    false = found.false_positives().items()
    return AsideRecord(
        cases=len(measured),
        people=len({found.people[case] for case in measured}),
        dice=mean_of_known(each.mean for name, each in labels.items() if name != UNION),
        labels=labels,
        false_alarms=tuple(
            each.words(name, unit, "test") for name, each in false if each.cases and name != UNION
        ),
        lowest={person: round(mean, 4) for person, mean in found.worst_people()[:LOWEST]},
        problems=problems,
        warnings=warnings,
    )
