"""Segment files with a model: the work behind `stampseg predict`.

Files go through as a stream: while one is computed, the next is read and prepared in a thread, and the
mask of the one before is written in another. At most one file is ahead and one behind.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.errors import DataError, MissingPackageError, one_line
from ..core.files import refuse_existing
from ..core.level import Level
from ..core.run_folder import run_folder_of
from ..core.text import counted
from ..data.cases import Case, find_inputs
from ..data.io.readers import output_name, read_image, segmentation_name, write_label
from ..data.io.segmentations import write_segmentation
from ..data.io.volume import Header, Volume
from ..data.known import trained_on
from ..data.labels import to_values
from ..data.likeness import remarks
from ..data.plan import Plan
from ..data.preprocess import Prepared, find_orientation, orient, oriented_spacing, prepare
from ..data.splits import Entry, read_splits
from .confidence import Confident, segment_confidently
from .model import OpenModel, open_scorer
from .sliding import segment_pieces
from .targets import check_folder, overlay_of, refuse_overwriting
from .trust import (
    RECORD,
    TABLE,
    Assessed,
    check_calibrated,
    summary,
    trust_of,
    uncertainty_of,
    write_trust,
)
from .written import Segmentation, Written

BATCH = 1  # windows computed at once, where nothing else is said


@dataclass(frozen=True, eq=False)
class _Job:
    """A case on its way: prepared, then segmented; its image is kept where a picture of it is wanted."""

    case: Case
    prepared: Prepared | None
    header: Header
    image: Volume | None
    classes: np.ndarray | None
    found: Confident | None  # where confidence is asked for
    dropped: int  # pieces left out of the mask
    seconds: float
    remarks: tuple[str, ...]  # in what the image is unlike the training scans


Failure = DataError | MissingPackageError  # of one file; the others are still segmented
FAILURES = (DataError, MissingPackageError)
A = TypeVar("A")
B = TypeVar("B")


def segment(
    model: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overlays: Path | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    trusted: Collection[str] = (),
    batch_size: int | None = None,
    mirror: bool = False,
    threads: int | None = None,
    dicom_seg: bool = False,
    all_pieces: bool = False,
    confidence: bool = False,
    fail_below: float | None = None,
    echo: Callable[[str], None] = print,
    warn: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write one mask per image into `output`, with the values the training labels had.

    Files of those names are refused unless `overwrite`. A file that cannot be segmented does not
    stop the others.

    Args:
        model: run folder, model file or exported file.
        inputs: image files, folders of them, or DICOM series.
        output: folder for the masks.
        overlays: folder for pictures of them.
        device: where to compute.
        overwrite: replace masks that are there.
        trusted: `package.module:Class` names whose code the model may use, or the `.pt2` file.
        batch_size: windows computed at once.
        mirror: average over all mirrored views.
        threads: to compute with.
        dicom_seg: write masks of DICOM series as DICOM-SEG, a segment for each label.
        all_pieces: keep all pieces of labels that are one piece by the plan.
        confidence: also say how far each mask can be trusted: `confidence.csv` and `.json`, and a map of the
            uncertain voxels beside each mask; three times the work.
        fail_below: Dice that must be expected of every mask; asks for confidence.
        echo: is told of every mask.
        warn: is told of what was left out or not found; None: `echo` is, after the word WARNING.

    Returns:
        The masks written.

    Raises:
        DataError: at the end, naming every file that could not be segmented.
        ModelFileError: the model cannot be loaded.
        ConfigError: `fail_below` without a calibration in the model.
        UntrustedError: at the end, less than `fail_below` is to be expected of a mask.
    """
    found = segment_all(
        model, inputs, output, overlays=overlays, device=device, overwrite=overwrite, trusted=trusted,
        batch_size=batch_size, mirror=mirror, threads=threads, dicom_seg=dicom_seg, all_pieces=all_pieces,
        confidence=confidence, fail_below=fail_below, echo=echo, warn=warn,
    )  # fmt: skip
    found.check()
    return [mask.path for mask in found.masks]


def segment_all(
    model: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overlays: Path | None,
    device: str,
    overwrite: bool,
    trusted: Collection[str],
    batch_size: int | None,
    mirror: bool,
    threads: int | None,
    dicom_seg: bool,
    all_pieces: bool,
    confidence: bool,
    fail_below: float | None,
    echo: Callable[[str], None],
    warn: Callable[[str], None] | None,
) -> Segmentation:
    """As `segment`; what could not be segmented is in what it returns.

    Raises:
        DataError: no input can be used, or a mask is there already.
        ModelFileError: the model cannot be loaded.
        ConfigError: `fail_below` without a calibration in the model.
    """
    opened = open_scorer(model, device=device, trusted=trusted, threads=threads)
    confidence = confidence or fail_below is not None
    check_calibrated(opened.plan, fail_below)
    if all_pieces:
        opened = replace(opened, plan=opened.plan.model_copy(update={"one_piece": ()}))
    cases = find_inputs(inputs, opened.plan.in_channels)
    for folder in (output, *([] if overlays is None else [overlays])):
        check_folder(folder)
    name = segmentation_name if dicom_seg else output_name
    masks = {case.images: output / name(case.images) for case in cases}
    refuse_overwriting(cases, masks, overlays, overwrite, confidence)
    if confidence and not overwrite:
        for table in (TABLE, RECORD):
            refuse_existing(output / table, overwrite)

    tell = warn if warn is not None else lambda text: echo(Level.WARNING.shown(text))
    written: list[Written] = []
    failures: list[tuple[Path, str]] = []
    options = {"batch_size": batch_size or BATCH, "mirror": mirror, "confidence": confidence}
    known = _known(cases, model, opened.trained_on)
    for case, result in zip(cases, _stream(cases, opened, masks, overlays, options), strict=True):
        if isinstance(result, FAILURES):
            failures.append((case.images[0], str(result)))
            echo(f"failed: {result}")
            continue
        result = replace(result, trained_on=case.id in known)
        written.append(result)
        note = "  (trained on)" if case.id in known else ""
        if result.dropped:
            note = f"  {counted(result.dropped, 'stray piece')} left out{note}"
        if result.assessed is not None:
            note = f"  {result.assessed.trust.words()}{note}"
        path, took = one_line(str(result.path)), f"{result.seconds:.2f} s"
        echo(f"{path}  {result.labelled:,} labelled voxels  {took}{note}")
        for text in result.header.notes:
            tell(text)
    unlike = [
        f"{one_line(str(result.path))}: its image is unlike those the model was trained on: "
        f"{'; '.join(result.remarks)}"
        for result in written
        if result.remarks
    ]
    told = (*unlike, *_not_found(written, opened.plan.label_names), *_too_good(cases, known))
    for text in told:
        tell(text)
    rows = [result.assessed for result in written if result.assessed is not None]
    if rows:
        write_trust(output, rows, opened.plan)
        for text in summary(rows, opened.plan, output):
            echo(text)
    return Segmentation(tuple(written), tuple(failures), told, opened.plan.label_names, fail_below)


def _known(cases: Sequence[Case], model: Path, digests: Collection[str]) -> set[str]:
    """Ids of the cases that the model was trained on, as far as its run folder or its file says."""
    entries: Sequence[Entry] = ()
    with suppress(DataError):  # a splits.json that is damaged keeps nobody from predicting
        splits = read_splits(run_folder_of(model))
        entries = splits.learnt_from if splits is not None else ()
    return {case.id for case in trained_on(cases, entries, digests)}


def _too_good(cases: Sequence[Case], known: Collection[str]) -> list[str]:
    if not known:
        return []
    of = "this image" if len(cases) == 1 else f"{len(known)} of these {len(cases)} images"
    return [f"the model was trained on {of}: masks of new images will be less good"]


def _not_found(written: Sequence[Written], names: Sequence[str]) -> list[str]:
    """Images in which nothing was found, and labels that were found in none."""
    count, empty = len(written), sum(not result.labelled for result in written)
    if empty and empty == count:
        return [
            "nothing was found: " + ("the mask is empty" if count == 1 else f"all {count} masks are empty")
        ]
    found = [f"nothing was found in {empty} of {count} images"] if empty else []
    lost = [
        one_line(name)
        for place, name in enumerate(names)
        if place and count and not any(result.voxels[place] for result in written)
    ]
    return [*found, *([f"{', '.join(lost)}: found in none of {counted(count, 'image')}"] if lost else [])]


def _stream(
    cases: Sequence[Case],
    opened: OpenModel,
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    options: dict[str, Any],
) -> Iterator[Written | Failure]:
    """The outcome of each case, in their order."""

    def read(case: Case) -> _Job | Failure:
        return _read(case, opened.plan, overlays is not None)

    def compute(future: Future[_Job | Failure]) -> _Job | Failure:
        job = future.result()
        return _compute(job, opened, options) if isinstance(job, _Job) else job

    def write(job: _Job | Failure) -> Written | Failure:
        return _write(job, opened.plan, masks[job.case.images], overlays) if isinstance(job, _Job) else job

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


def _read(case: Case, plan: Plan, keep_image: bool) -> _Job | Failure:
    start = time.perf_counter()
    try:
        volume = read_image(case.images, plan.in_channels)
        prepared = prepare(volume, plan)
    except FAILURES as error:
        return error
    kept, unlike = volume if keep_image else None, tuple(remarks(volume, plan))
    return _Job(case, prepared, volume.header, kept, None, None, 0, time.perf_counter() - start, unlike)


def _compute(job: _Job, opened: OpenModel, options: dict[str, Any]) -> _Job:
    start = time.perf_counter()
    options = dict(options)
    confidence = options.pop("confidence")
    assert job.prepared is not None
    with opened.scoring() as scorer:
        if confidence:
            found = segment_confidently(job.prepared, opened.plan, scorer, **options)
            classes, dropped = found.mask, found.dropped
        else:
            found = None
            classes, dropped = segment_pieces(job.prepared, opened.plan, scorer, **options)
    seconds = job.seconds + time.perf_counter() - start
    return replace(job, prepared=None, classes=classes, found=found, dropped=dropped, seconds=seconds)


def _write(job: _Job, plan: Plan, path: Path, overlays: Path | None) -> Written | Failure:
    """Write the mask (and the overlay)."""
    start = time.perf_counter()
    case, classes, assessed = job.case, job.classes, None
    assert classes is not None
    try:
        if job.found is not None:
            percent = np.rint(job.found.uncertainty * (100 / 255)).astype(np.uint8)
            doubts = write_label(uncertainty_of(path, case.images), percent, case.images)
            trust = trust_of(job.found, plan, job.header, job.remarks)
            assessed = Assessed(case.images[0], path, doubts, trust)
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
    return Written(
        path, case.images[0], job.header, tuple(voxels.tolist()), job.dropped, seconds, job.remarks, assessed
    )


def _draw(path: Path, image: Volume, classes: np.ndarray, case: Case, plan: Plan) -> None:
    from ..evaluation.overlay import save_overlay

    names = dict(enumerate(plan.label_names))
    turn = find_orientation(image.header)  # upright, however the file lies
    spacing = oriented_spacing(image.header.spacing, turn)
    save_overlay(
        path,
        orient(image.array, turn),
        orient(classes, turn),
        title=case.id,
        spacing=spacing,
        label_names=names,
    )
