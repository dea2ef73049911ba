"""Two run folders as a study of one draw: their validation cases, predicted and paired by id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ...core.errors import DataError
from ...core.text import counted, some
from ...data.cases import Dataset
from ...run.aside import FIGURES
from ...run.folder import TEST
from ...run.folds.records import FOLDS
from ..cases import PredictedCase, PredictedCases, predict_validation
from ..record import Record, read_record
from .study import Cell, Figures, Measure, Setting, Study, people_of
from .unlike import unlike

DRAW = "these runs"
# What else can be done, for only cases that validated both runs are read here.
OTHERWISE = (
    "or predict people of whom neither has learnt (`segment`) with each and measure the masks of both "
    "(`stampseg evaluate`); `stampseg study` trains and tests methods on several draws of people, and its "
    "folder is compared as well"
)


def study_of_runs(
    first: Path,
    second: Path,
    *,
    device: str = "cpu",
    trusted: Collection[str] = (),
    data: Dataset | None = None,
) -> Study:
    """Two runs on the validation cases that they share; the rest is left out.

    Args:
        first, second: run folders.
        device: where the cases are predicted.
        trusted: `package.module:Class` names whose code the models may use.
        data: where the cases are, by their ids; None: where the runs say.

    Raises:
        DataError: no run folder, no prediction, or no case that validated both.
    """
    if first.resolve() == second.resolve():
        raise DataError(f"{first}: named twice; name two run folders, or a study folder alone")
    records = [read_record(path) for path in (first, second)]
    shared = _shared_ids(*records)
    found = [predict_validation(record, device, trusted, data) for record in records]
    known = [_dice(record, each) for record, each in zip(records, found, strict=True)]
    paired = shared & known[0].keys() & known[1].keys()
    if not paired:
        reasons = {
            case.problem for each in found for case in each.cases if case.id in shared and case.problem
        }
        raise DataError(
            f"{first}, {second}: no validation case has a Dice in both: "
            f"{some(sorted(reasons), 2) or 'none of them holds a label'}; say with `data` where the scans are"
        )
    names = _names(first, second)
    cells = tuple(
        Cell(Setting("validation", None), name, DRAW, _figures(record), people_of(measures), measures)
        for name, record, measures in zip(
            names, records, [_measures(each, paired) for each in known], strict=True
        )
    )
    remarks = tuple(_remarks(records, found, shared, paired))
    return Study(
        f"{names[0]} against {names[1]}", cells, (), remarks, kind="runs",
        differs=unlike((records[0], records[1]), names),
    )  # fmt: skip


def _validation(record: Record) -> set[str]:
    return {entry.id for entry in record.splits.validation} if record.splits else set()


def _shared_ids(first: Record, second: Record) -> set[str]:
    sides = [_validation(record) for record in (first, second)]
    shared = sides[0] & sides[1]
    if shared:
        return shared
    for record, ids in zip((first, second), sides, strict=True):
        if not ids:
            raise DataError(
                f"{record.path}: no case was held out to validate on, and two runs are compared on the cases "
                f"that validated both{_folds(record)}; {_tested(first, second)}train both with the same "
                f"`train.validation` cases, {OTHERWISE}"
            )
    raise DataError(
        f"{first.path}, {second.path}: no case validated both ({some(sorted(sides[0]), 3)} against "
        f"{some(sorted(sides[1]), 3)}); {_tested(first, second)}train both with the same "
        f"`train.validation` cases (a CSV) and `seed`, {OTHERWISE}"
    )


def _tested(*records: Record) -> str:
    """How to compare runs that kept people aside."""
    files = [record.path / TEST / FIGURES for record in records]
    if not all(file.is_file() for file in files):
        return ""
    return f"both kept people aside: compare {files[0]} with {files[1]} in place of the runs; or "


def _folds(record: Record) -> str:
    if record.folds is None:
        return ""
    return (
        f" (the Dice of its folds stands in {FOLDS.name} of the run and in its report, and is not read here)"
    )


def _dice(record: Record, predicted: PredictedCases) -> dict[str, PredictedCase]:
    """Cases with a Dice, by id."""
    if predicted.note:
        raise DataError(f"{record.path}: {predicted.note}; name a run that has ended")
    return {case.id: case for case in predicted.cases if case.dice is not None}


def _measures(known: Mapping[str, PredictedCase], paired: set[str]) -> tuple[Measure, ...]:
    return tuple(
        Measure(case.group or case.id, case.id, label, dice, (case.hd95 or {}).get(label))
        for case in known.values()
        if case.id in paired
        for label, dice in (case.per_label or {}).items()
    )


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The folders' names, or their paths where these are the same."""
    names = first.resolve().name, second.resolve().name
    return names if names[0] != names[1] else (str(first), str(second))


def _figures(record: Record) -> Figures:
    result = record.result
    if result is None:
        return Figures()
    return Figures(
        result.parameters_after, result.flops_after, result.parameters_dense, train_seconds=result.seconds
    )


def _remarks(
    records: list[Record], found: list[PredictedCases], shared: set[str], paired: set[str]
) -> list[str]:
    said = [
        f"{counted(count, 'validation case')} of {record.path.name} left out: not validated by both"
        for record in records
        if (count := len(_validation(record) - shared))
    ]
    problems = {case.id: case.problem for each in found for case in each.cases if case.problem}
    if failed := sorted((shared - paired) & problems.keys()):
        said.append(
            f"{counted(len(failed), 'validation case')} left out ({some(failed, 3)}): {problems[failed[0]]}"
        )
    if empty := sorted(shared - paired - problems.keys()):
        said.append(
            f"{counted(len(empty), 'validation case')} left out ({some(empty, 3)}): without a Dice in one of "
            "the two, as where a mask holds no label"
        )
    said += [
        f"{record.path.name}: this run ended without a model ({record.result.failure}); the network that was "
        "refused is compared all the same"
        for record in records
        if record.result is not None and record.result.failure is not None
    ]
    said += [f"{record.path.name}: this run has not ended" for record in records if record.result is None]
    return said
