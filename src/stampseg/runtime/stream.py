"""Files go through as a stream: while one is computed, the next is read and prepared in a thread, and the
mask of the one before is written in another. At most one file is ahead and one behind.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.errors import DataError, MissingPackageError
from ..data.cases import Case
from ..data.content import content_of
from ..data.io.probabilities import write_probabilities
from ..data.io.readers import read_image, write_label, write_percent
from ..data.io.segmentations import write_segmentation
from ..data.io.volume import Header, Volume
from ..data.labels.label_table import to_values
from ..data.labels.postprocess import Postprocessing, postprocessed
from ..data.likeness import remarks
from ..data.plan import Plan
from ..data.preprocess import Prepared, find_orientation, orient, oriented_spacing
from .confidence import Confident
from .ensemble import Ensemble, Ensembled
from .model import OpenModel
from .output_files import overlay_of, probabilities_of
from .trust import (
    Assessed,
    absurdities,
    trust_of,
    uncertainty_of,
)  # fmt: skip
from .written import Written


@dataclass(frozen=True, eq=False)
class _Job:
    """A case on its way: prepared, then segmented; its image is kept where a picture of it is wanted."""

    case: Case
    prepared: Prepared | Ensembled | None
    image: Volume | None
    header: Header
    classes: np.ndarray | None
    found: Confident | None  # where confidence is asked for
    shares: np.ndarray | None  # the probabilities, where they are asked for
    dropped: int  # pieces left out of the mask
    seconds: float
    remarks: tuple[str, ...]  # in what the image is unlike the training scans
    content: str  # what tells its voxels


Failure = DataError | MissingPackageError  # of one file; the others are still segmented
FAILURES = (DataError, MissingPackageError)
A = TypeVar("A")
B = TypeVar("B")


def stream(
    cases: Sequence[Case],
    opened: OpenModel | Ensemble,
    steps: Postprocessing,
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    options: dict[str, Any],
    finished: Callable[[Written], object],
) -> Generator[Written | Failure, None, None]:
    """The outcome of each case, in their order; closed early, it waits for the mask that is being written.

    Args:
        cases: to segment.
        opened: what segments.
        steps: what is done to its masks.
        masks: where each is written.
        overlays: folder for pictures of them.
        options: `confidence`, `probabilities`, `batch_size` and `mirror` of `segment`.
        finished: is given each mask as soon as it is written, in the thread that wrote it.
    """

    def read(case: Case) -> _Job | Failure:
        return _read(case, opened, overlays is not None)

    def compute(future: Future[_Job | Failure]) -> _Job | Failure:
        job = future.result()
        return _compute(job, opened, options) if isinstance(job, _Job) else job

    def write(job: _Job | Failure) -> Written | Failure:
        if not isinstance(job, _Job):
            return job
        result = _write(job, opened.plan, steps, masks[job.case.images], overlays)
        if isinstance(result, Written):
            finished(result)
        return result

    with ThreadPoolExecutor(1, "reading") as reader, ThreadPoolExecutor(1, "writing") as writer:
        computed = map(compute, _one_ahead(reader, read, cases))
        for future in _one_ahead(writer, write, computed):
            yield future.result()


def _one_ahead(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A]) -> Iterator[Future[B]]:
    """The work on each item, in order; that on the next one is begun before this one's result is used."""
    begun: deque[Future[B]] = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) == 2:
            yield begun.popleft()
    yield from begun


def _read(case: Case, opened: OpenModel | Ensemble, keep_image: bool) -> _Job | Failure:
    start, plan = time.perf_counter(), opened.plan
    try:
        volume = read_image(case.images, plan.in_channels)
        prepared = opened.prepare(volume)
    except FAILURES as error:
        return error
    kept, unlike = volume if keep_image else None, tuple(remarks(volume, plan))
    content = content_of(volume)
    seconds, header = time.perf_counter() - start, volume.header
    return _Job(case, prepared, kept, header, None, None, None, 0, seconds, unlike, content)


def _compute(job: _Job, opened: Any, options: dict[str, Any]) -> _Job:
    start = time.perf_counter()
    options = dict(options)
    confidence = options.pop("confidence")
    assert job.prepared is not None
    shares = opened.shares(job.prepared) if options.pop("probabilities") else None
    if shares is not None:
        options["listener"] = shares
    found = opened.segment_confidently(job.prepared, **options) if confidence else None
    if found is not None:
        classes, dropped = found.mask, found.dropped
    else:
        classes, dropped = opened.segment(job.prepared, **options)
    seconds = job.seconds + time.perf_counter() - start
    return replace(
        job, prepared=None, classes=classes, found=found, shares=None if shares is None else shares.shares,
        dropped=dropped, seconds=seconds,
    )  # fmt: skip


def _write(
    job: _Job, plan: Plan, steps: Postprocessing, path: Path, overlays: Path | None
) -> Written | Failure:
    """Write the mask after the steps (and the overlay)."""
    start = time.perf_counter()
    case, assessed, probabilities = job.case, None, None
    assert job.classes is not None
    classes = postprocessed(job.classes, steps, job.header.spacing)
    changed = int((classes != job.classes).sum()) if classes is not job.classes else 0
    try:
        if job.found is not None:
            percent = np.rint(job.found.uncertainty * (100 / 255)).astype(np.uint8)
            doubts = write_percent(uncertainty_of(path, case), percent, case.images)
            trust = trust_of(replace(job.found, mask=classes), plan, job.header, job.remarks)
            assessed = Assessed(case.images[0], path, doubts, trust)
        absurd = absurdities(classes, plan, job.header)
        if job.shares is not None:
            probabilities = probabilities_of(path, case)
            write_probabilities(probabilities, job.shares, job.header, plan.label_names)
        if path.suffix == ".dcm":
            write_segmentation(path, classes, case.images[0], plan.label_names)
        else:
            path = write_label(path, to_values(classes, plan.label_values), case.images)
        if overlays is not None and job.image is not None:
            _draw(overlay_of(case, overlays), job.image, classes, case, plan)
    except FAILURES as error:
        return error
    # row by row, as counting makes 64-bit numbers of what it counts
    voxels = np.sum([np.bincount(row.ravel(), minlength=len(plan.label_values)) for row in classes], axis=0)
    seconds = job.seconds + time.perf_counter() - start
    counts = tuple(voxels.tolist())
    return Written(
        path, case.images[0], case.id, job.header, counts, job.dropped, changed, seconds, job.remarks,
        assessed=assessed, probabilities=probabilities, absurd=tuple(absurd), content=job.content,
    )  # fmt: skip


def _draw(path: Path, image: Volume, classes: np.ndarray, case: Case, plan: Plan) -> None:
    from ..evaluation.overlay import save_overlay

    names = dict(enumerate(plan.label_names))
    turn = find_orientation(image.header)  # upright, however the file lies
    spacing = oriented_spacing(image.header.spacing, turn)
    upright, mask = orient(image.array, turn), orient(classes, turn)
    save_overlay(
        path, upright, mask, title=case.id, spacing=spacing, label_names=names,
        placed=image.header.placed,
    )  # fmt: skip
