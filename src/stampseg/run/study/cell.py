"""One cell: train, predict the scans that test, evaluate. Done again it goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ...core.data_options import DataOptions
from ...core.errors import ConfigError, TrainingError
from ...core.files import sha256_of
from ...data.cases import Case, Dataset
from ...data.inputs import find_inputs
from ...data.io.formats import list_labels, stem_of
from ...data.labels.organs import LabelFiles
from ...data.plan import PLAN
from ...evaluation.evaluation import Evaluation
from ...evaluation.folders import evaluate_pairs
from ...evaluation.metrics import UNION, Metrics
from ...evaluation.people import mean_of_people
from ...runtime.segment_options import SegmentOptions
from ...runtime.segmentation import segment
from ..folder import RunFolder
from ..lock import FolderLock
from ..records import Result, read_result, read_rounds
from ..spec import SPEC, RunSpec
from .draw import draw, find_task, write_pool
from .people import check_people
from .plan import CELL, MASKS, METRICS, POOL, RUN, Cell, CellRecord, CellResult, Study

WAIT_SECONDS = 60.0  # for a process that was told to end


def work_cell(
    study: Study, cell: Cell, train: Callable[[RunSpec, Path], None], echo: Callable[[str], None]
) -> CellRecord:
    """Do what is left of a cell.

    A run that ended without a model, as its network does not find a label in its own training cases, is
    tested with that network all the same: left out, it would make the others of its method look better.

    Args:
        study, cell: which one.
        train: starts the run, or takes it up where it was stopped.
        echo: is told of every mask.

    Returns:
        What cell.json holds.

    Raises:
        ConfigError: another process has the cell, or it was begun with other options.
        DataError: the data cannot be used, or are others than when other cells of the draw were done.
        TrainingError: the run did not end.
    """
    place = study.place(cell)
    config, task = study.run_options(cell), study.config.tasks[cell.task]
    place.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(place, "cell")
    lock.take(WAIT_SECONDS)
    try:
        if study.done(cell):
            return CELL.read(place)
        dataset = find_task(cell.task, task, study.source)
        drawn = draw(dataset, task, cell.labels, cell.draw)
        check_people(study, cell, drawn)
        options = config.merged(_declared(dataset, config.model_dump()))
        write_pool(place / POOL, drawn, dataset.regions)
        _train(place / RUN, RunSpec("train", place / POOL, options).absolute(), train)
        result = read_result(place / RUN)
        start = time.monotonic()
        images = [case.images[0] for case in drawn.test]
        model = result.network_in(place / RUN)
        how = SegmentOptions(device=config.device, overwrite=True)
        segment(model, images, place / MASKS, how, echo=echo).check()
        seconds = time.monotonic() - start
        plan = PLAN.read(place / RUN)
        names = mask_names(drawn.test, plan.in_channels)
        found = _evaluate(place, names, dataset, options.data)
        people = {name: case.group for name, case in names.items()}
        record = CellRecord(
            task=cell.task, method=cell.method, labels=cell.labels, draw=cell.draw,
            options=config.as_given(), labelled=tuple(case.id for case in drawn.labelled),
            unlabelled=len(drawn.unlabelled), test=people, machine=result.machine,
            result=_result(place / RUN, result, seconds, mean_dice(found.rows, people)),
        )  # fmt: skip
        check_people(study, cell, drawn)  # others were begun meanwhile
        CELL.write(place, record)
        return record
    finally:
        lock.release()


def _declared(dataset: Dataset, given: dict) -> dict:
    """What a data set says of itself beside its table of cases, where the options do not say otherwise."""
    data: dict[str, object] = {}
    said = given["data"]
    if dataset.ignored is not None and said["ignore_label"] is None:
        data["ignore_label"] = dataset.ignored
    names = {name.lower() for name in dataset.channel_names}
    if names == {"ct"} and said["normalization"] is None:
        data["normalization"] = "ct"
    asked = (*said["only"], *(label for labels in said["merge"].values() for label in labels))
    if any(isinstance(label, str) for label in asked):
        data["names"] = {**dataset.label_names, **said["names"]}
    return {"data": data}


def _train(run: Path, spec: RunSpec, train: Callable[[RunSpec, Path], None]) -> None:
    """Nothing, where the run has ended."""
    if (run / SPEC.name).is_file():
        folder = RunFolder(run)
        if other := spec.differences(folder.spec):
            raise ConfigError(
                f"{run}: holds a run of other options ({', '.join(other)}); put them back, or delete "
                f"{run.parent} to do the cell anew"
            )
        if folder.ended:
            return
    try:
        train(spec, run)
    except TrainingError:
        if not RunFolder(run).ended:
            raise


def mask_names(cases: Sequence[Case], channels: int) -> dict[str, Case]:
    """The cases by the names, without ending, that `segment` gives their masks: x of x_0000.nii.gz."""
    given = {case.images[0]: case for case in cases}
    return {named.id: given[named.images[0]] for named in find_inputs(list(given), channels)}


def _evaluate(place: Path, names: Mapping[str, Case], dataset: Dataset, options: DataOptions) -> Evaluation:
    """Masks against the labels of the cases that they are of."""
    masks = {stem_of(path): path for path in list_labels(place / MASKS)}
    pairs: list[tuple[Path, LabelFiles]] = []
    for name, case in sorted(names.items()):
        assert case.label_files is not None
        pairs.append((masks[name], case.label_files))
    found = evaluate_pairs(
        pairs, dataset.label_names, options.ignore_label, regions=dataset.regions, options=options,
        same_values=True,
    )  # fmt: skip
    found.write(place / METRICS, overwrite=True)
    return found


def _result(run: Path, result: Result, seconds: float, dice: float | None) -> CellResult:
    rounds, digest = read_rounds(run), sha256_of(result.network_in(run))
    return CellResult(
        parameters=result.parameters_after, flops=result.flops_after,
        parameters_dense=result.parameters_dense, dice=dice,
        train_seconds=round(result.seconds, 1), predict_seconds=round(seconds, 2),
        spared=sum(bool(turn.spared) for turn in rounds),
        undone=sum(turn.event == "rolled back" for turn in rounds), sha256=digest,
        failure=result.failure,
    )  # fmt: skip


def mean_dice(rows: Iterable[Metrics], people: dict[str, str]) -> float | None:
    """Over people, of labels that the reference holds; None where nothing was measured."""
    return mean_of_people((people[row.case], row.case, row.dice) for row in counted_rows(rows))


def counted_rows(rows: Iterable[Metrics]) -> list[Metrics]:
    """Those that a Dice is of: labels that the reference holds, and no union of them."""
    return [row for row in rows if row.label != UNION and row.dice == row.dice]
