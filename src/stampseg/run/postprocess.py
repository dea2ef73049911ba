"""What is done to the masks of a run's network, found on cases that it has not learnt from."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ..core.text import counted
from ..data.cases import Case
from ..data.io.readers import read_image
from ..data.labels.postprocess import Postprocessing, steps_in_words
from ..data.plan import Plan
from ..data.splits.record import read_splits
from ..evaluation.evidence import LEAST_PEOPLE, StepTrial, find_steps
from ..evaluation.predicted import Predicted
from ..networks.model_file import store_steps
from ..runtime.model import open_model
from .folder import RunFolder
from .records import RESULT, Result
from .reporters import Reporter


def postprocess_by_validation(
    folder: RunFolder, result: Result, device: str, trusted: Collection[str], reporter: Reporter
) -> Result:
    """Try post-processing on the validation cases, and keep in the model file what helps.

    Args:
        folder: of a run whose training has ended.
        result: of it.
        device: where to predict.
        trusted: `package.module:Class` names whose code the model may use.
        reporter: is told what is kept.

    Returns:
        The result with what was tried; unchanged where fewer than four people validate.
    """
    splits = read_splits(folder.path)
    cases = [entry.case for entry in splits.validation] if splits is not None else []
    if not folder.model.is_file() or len({case.group for case in cases}) < LEAST_PEOPLE:
        return result
    opened = open_model(folder.path, device=device, trusted=trusted)
    if opened.plan.regions:  # a piece of a part of a region is no piece of the region
        return result
    with tempfile.TemporaryDirectory() as place:
        for number, case in enumerate(cases):  # predicted once: what follows looks at each several times
            image = read_image(case.images, opened.plan.in_channels)
            classes, _ = opened.segment(opened.prepare(image))
            (Path(place) / str(number)).write_bytes(zlib.compress(classes.tobytes(), 1))
        steps, trials = find_steps(
            lambda: _pairs(cases, opened.plan, Path(place)), opened.plan.label_names, opened.plan.size_unit
        )
    people = len({case.group for case in cases})
    where = f"on {counted(len(cases), 'validation case')} of {people} people"
    return keep_steps(folder, result, opened.plan, steps, trials, trusted, where, reporter)


def keep_steps(
    folder: RunFolder,
    result: Result,
    plan: Plan,
    steps: Postprocessing,
    trials: tuple[StepTrial, ...],
    trusted: Collection[str],
    where: str,
    reporter: Reporter,
) -> Result:
    """Keep steps in the model file and in result.json; `where` says on what they were tried."""
    if not folder.model.is_file() or not trials:
        return result
    store_steps(folder.model, steps, trusted)
    words = steps_in_words(steps, plan.label_names, plan.size_unit) or "none"
    if steps:
        reporter.note(f"post-processing that helped {where}: {words}")
    found = result.model_copy(update={"postprocess": words, "trials": trials})
    RESULT.write(folder.path, found)
    return found


def _pairs(cases: list[Case], plan: Plan, place: Path) -> Iterator[Predicted]:
    for number, case in enumerate(cases):
        header = read_image(case.images, plan.in_channels).header
        kept = zlib.decompress((place / str(number)).read_bytes())
        kind = np.min_scalar_type(plan.out_channels - 1)
        classes = np.frombuffer(kept, dtype=kind).reshape(header.shape)
        yield Predicted.of(case, classes, header, plan)
