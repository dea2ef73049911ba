"""The page itself: what was read and computed, put into the templates, written as one file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import DataError, StampsegError
from ..core.files import refuse_existing, write_text
from ..data.cases import Dataset
from ..evaluation.people import how_read
from ..run.records import RoundRecord
from . import charts, vega
from .aside import cases_aside
from .cases import PredictedCases, predict_validation
from .drawing import Drawing, draw
from .expected import chart_of, least_expected, with_expected, words_of
from .facts import command_of, data_facts, headline, machine_facts, plan_facts
from .methods import NAME as METHODS
from .methods import methods_of
from .page_file import filled, own_script
from .pictures import Pictures, pictures_aside, pictures_unlabelled
from .record import Record, read_record

NAME = "report.html"
SCRIPTS = ("page.js", "network.js", "look.js", "charts.js", "cases.js", "start.js")


def write_report(
    run: Path,
    output: Path | None = None,
    *,
    device: str = "cpu",
    trusted: Collection[str] = (),
    data: Dataset | None = None,
    overwrite: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Write the page of a run, which needs no other file and no network to be read; beside it methods.md.

    Args:
        run: run folder, also of a run that has not ended.
        output: the page; None: report.html in the run folder.
        device: where the validation cases are predicted.
        trusted: `package.module:Class` names whose code the model may use.
        data: where the validation cases are, by their ids; None: where the run says.
        overwrite: replace a page that is there.
        warn: is told what the page lacks.

    Returns:
        The page written.

    Raises:
        DataError: no run folder; the page exists already or cannot be written.
        MissingPackageError: a package that the page is made with is not installed.
    """
    record = read_record(run)
    target = run / NAME if output is None else output
    if target.is_dir():
        raise DataError(f"{target}: is a folder; name a file to write, such as {target / NAME}")
    refuse_existing(target, overwrite)
    predicted = with_expected(predict_validation(record, device, trusted, data))
    others: tuple[Pictures, ...] = ()
    try:
        others = _others(record, device, trusted, data)
    except Exception as error:  # as too little memory: the rest of the page is worth more than these
        gap = f"no pictures of people kept aside or of scans without labels: {type(error).__name__}: {error}"
        record = replace(record, gaps=(*record.gaps, gap))
    write_text(target, render(record, draw(record, trusted), predicted, others))
    lost = [case for case in predicted.cases if case.problem]
    if lost and warn is not None:
        warn(f"the page lacks {len(lost)} of {len(predicted.cases)} cases; {lost[0].id}: {lost[0].problem}")
    methods = methods_of(record, predicted) if output is None else ""
    if methods and (overwrite or not (run / METHODS).exists()):  # it may have been written on
        write_text(run / METHODS, methods)
    return target


def _others(
    record: Record, device: str, trusted: Collection[str], data: Dataset | None
) -> tuple[Pictures, ...]:
    """What is shown beside the validation cases; where nobody was held out, scans that have no label."""
    splits = record.splits
    if splits is None:
        return ()
    held = splits.validation or splits.held_out or splits.test or record.folds or record.search
    found = pictures_aside(record, data) if held else pictures_unlabelled(record, device, trusted)
    return () if found is None else (found,)


def title_of(record: Record) -> str:
    """What those cases are called that nothing was learnt from and that are predicted for the page."""
    splits = record.splits
    return "Cases held out" if splits and splits.held_out and not splits.validation else "Validation cases"


def report_of_run(run: Path, device: str = "cpu", trusted: Collection[str] = ()) -> str:
    """Write the page of a run that has just ended into its folder, and say where it is.

    A run is not lost for its page: where that cannot be written, the words say why.
    """
    try:
        return f"report: {write_report(run, device=device, trusted=trusted, overwrite=True)}"
    except Exception as error:  # whatever it is, the network is trained
        what = str(error) if isinstance(error, StampsegError) else f"{type(error).__name__}: {error}"
        return f"no report was written: {what}; try again with `write_report` {run}"


def render(
    record: Record, drawing: Drawing, predicted: PredictedCases, others: Sequence[Pictures] = ()
) -> str:
    """The page as HTML; whatever comes from files is escaped.

    Args:
        record: the run.
        drawing: of its network.
        predicted: the validation cases.
        others: shown in pictures beside them.
    """
    held = tuple(case for case in predicted.cases if case.view is not None)
    own = (Pictures("validation", title_of(record), "Worst to best.", held),) if held else ()
    pictures = (*own, *others)
    drawn, expected = charts.charts_of(record), chart_of(predicted)
    if expected is not None:
        drawn["expected"] = expected
    return filled(
        "page.html.j2",
        (vega.library(), own_script(SCRIPTS)),
        record=record,
        title=record.path.resolve().name,
        headline=headline(record),
        data_facts=data_facts(record.fingerprint, record.plan) if record.fingerprint else [],
        plan_facts=plan_facts(record.plan) if record.plan else [],
        machine=machine_facts(record),
        command=command_of(record),
        charts=sorted(drawn),
        drawing=drawing,
        predicted=predicted,
        aside=cases_aside(record.path) if record.result and record.result.test else (),
        cases_title=title_of(record),
        pictures=pictures,
        expected_words=words_of(predicted),
        least_expected=least_expected(predicted),
        shown=_shown(record, drawing, predicted, pictures, drawn),
        how_read=lambda test: how_read(each.kind for each in test.labels.values()),
    )


def _shown(
    record: Record,
    drawing: Drawing,
    predicted: PredictedCases,
    pictures: Sequence[Pictures],
    drawn: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """What the page's script reads."""
    return {
        "rounds": [_round(turn) for turn in record.rounds],
        "chosen": record.chosen,
        "drawing": drawing.to_json(),
        "charts": drawn,
        "labels": list(record.plan.label_names[1:] if record.plan else predicted.labels),
        "cases": [
            {"id": case.id, "dice": case.dice, "of": each.kind, "view": case.view.to_json()}
            for each in pictures
            for case in each.cases
            if case.view is not None
        ],
    }


def _round(turn: RoundRecord) -> dict[str, Any]:
    """A round for the page, which shows how many channels went and not which."""
    removed = {name: len(channels) for name, channels in turn.removed.items()}
    return {**turn.model_dump(mode="json"), "removed": removed}
