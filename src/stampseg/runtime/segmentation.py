"""Segment files with a model: the work behind `stampseg predict`.

Files go through as a stream: while one is computed, the next is read and prepared in a thread, and the
mask of the one before is written in another. At most one file is ahead and one behind.
"""

from __future__ import annotations

import os
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
from ..data.io.readers import output_name, read_image, segmentation_name, twin_of, write_label
from ..data.io.segmentations import write_segmentation
from ..data.io.volume import Header, Volume
from ..data.known import trained_on
from ..data.labels import to_values
from ..data.likeness import remarks
from ..data.plan import Plan
from ..data.preprocess import Prepared, prepare
from ..data.splits import read_splits
from .confidence import Confident, segment_confidently
from .model import OpenModel, open_scorer
from .sliding import segment_pieces
from .trust import (
    RECORD,
    TABLE,
    Assessed,
    check_calibrated,
    refuse_untrusted,
    summary,
    trust_of,
    uncertainty_of,
    write_trust,
)  # fmt: skip

BATCH = 1  # windows computed at once, where nothing else is said


@dataclass(frozen=True, eq=False)
class _Job:
    """A case on its way: prepared, then segmented; its image is kept where a picture of it is wanted."""

    case: Case
    prepared: Prepared | None
    image: Volume | None
    header: Header
    classes: np.ndarray | None
    found: Confident | None  # where confidence is asked for
    dropped: int  # pieces left out of the mask
    seconds: float
    notes: tuple[str, ...]  # of the image's reader
    remarks: tuple[str, ...]  # in what the image is unlike the training scans


@dataclass(frozen=True)
class _Written:
    path: Path
    voxels: tuple[int, ...]  # of each class
    dropped: int  # pieces left out of it
    assessed: Assessed | None  # where confidence is asked for
    seconds: float
    notes: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def labelled(self) -> int:
        """Voxels of all classes but the background."""
        return sum(self.voxels[1:])


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
    opened = open_scorer(model, device=device, trusted=trusted, threads=threads)
    confidence = confidence or fail_below is not None
    check_calibrated(opened.plan, fail_below)
    if all_pieces:
        opened = replace(opened, plan=opened.plan.model_copy(update={"one_piece": ()}))
    cases = find_inputs(inputs, opened.plan.in_channels)
    for folder in (output, *([] if overlays is None else [overlays])):
        _check_folder(folder)
    name = segmentation_name if dicom_seg else output_name
    masks = {case.images: output / name(case.images) for case in cases}
    _refuse_overwriting(cases, masks, overlays, overwrite, confidence)
    if confidence and not overwrite:
        for table in (TABLE, RECORD):
            refuse_existing(output / table, overwrite)

    tell = warn if warn is not None else lambda text: echo(Level.WARNING.shown(text))
    written: list[_Written] = []
    failures: list[str] = []
    options = {"batch_size": batch_size or BATCH, "mirror": mirror, "confidence": confidence}
    known = _known(cases, model)
    for case, result in zip(cases, _stream(cases, opened, masks, overlays, options), strict=True):
        if isinstance(result, FAILURES):
            failures.append(str(result))
            echo(f"failed: {result}")
            continue
        written.append(result)
        note = "  (trained on)" if case.id in known else ""
        if result.dropped:
            note = f"  {counted(result.dropped, 'stray piece')} left out{note}"
        if result.assessed is not None:
            note = f"  {result.assessed.trust.words()}{note}"
        path, took = one_line(str(result.path)), f"{result.seconds:.2f} s"
        echo(f"{path}  {result.labelled:,} labelled voxels  {took}{note}")
        for text in result.notes:
            tell(text)
    unlike = [
        f"{one_line(str(result.path))}: its image is unlike those the model was trained on: "
        f"{'; '.join(result.remarks)}"
        for result in written
        if result.remarks
    ]
    for text in (*unlike, *_not_found(written, opened.plan.label_names), *_too_good(cases, known)):
        tell(text)
    rows = [result.assessed for result in written if result.assessed is not None]
    if rows:
        write_trust(output, rows, opened.plan)
        for text in summary(rows, opened.plan, output):
            echo(text)
    if failures:
        raise DataError(
            f"{len(failures)} of {len(cases)} inputs could not be segmented; the first: {failures[0]}"
        )
    refuse_untrusted(rows, fail_below)
    return [result.path for result in written]


def _known(cases: Sequence[Case], model: Path) -> set[str]:
    """Ids of the cases that the model was trained on, as far as its run folder says."""
    with suppress(DataError):  # a splits.json that is damaged keeps nobody from predicting
        splits = read_splits(run_folder_of(model))
        return {case.id for case in trained_on(cases, splits.learnt_from)} if splits is not None else set()
    return set()


def _too_good(cases: Sequence[Case], known: Collection[str]) -> list[str]:
    if not known:
        return []
    of = "this image" if len(cases) == 1 else f"{len(known)} of these {len(cases)} images"
    return [f"the model was trained on {of}: masks of new images will be less good"]


def _not_found(written: Sequence[_Written], names: Sequence[str]) -> list[str]:
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
) -> Iterator[_Written | Failure]:
    """The outcome of each case, in their order."""

    def read(case: Case) -> _Job | Failure:
        return _read(case, opened.plan, overlays is not None)

    def compute(future: Future[_Job | Failure]) -> _Job | Failure:
        job = future.result()
        return _compute(job, opened, options) if isinstance(job, _Job) else job

    def write(job: _Job | Failure) -> _Written | Failure:
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
    return _Job(
        case,
        prepared,
        kept,
        volume.header,
        None,
        None,
        0,
        time.perf_counter() - start,
        volume.header.notes,
        unlike,
    )


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


def _write(job: _Job, plan: Plan, path: Path, overlays: Path | None) -> _Written | Failure:
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
            _draw(_overlay_of(case, overlays), job.image, classes, case, plan)
    except FAILURES as error:
        return error
    # row by row, as counting makes 64-bit numbers of what it counts
    voxels = np.sum([np.bincount(row.ravel(), minlength=len(plan.label_values)) for row in classes], axis=0)
    seconds = job.seconds + time.perf_counter() - start
    return _Written(path, tuple(voxels.tolist()), job.dropped, assessed, seconds, job.notes, job.remarks)


def _draw(path: Path, image: Volume, classes: np.ndarray, case: Case, plan: Plan) -> None:
    from ..evaluation.overlay import save_overlay

    names = dict(enumerate(plan.label_names))
    spacing = image.header.spacing
    save_overlay(path, image.array, classes, title=case.id, spacing=spacing, label_names=names)


def _overlay_of(case: Case, overlays: Path) -> Path:
    return overlays / f"{case.id}.png"


def _check_folder(folder: Path) -> None:
    """Masks are written to a folder, or to a free name; the folder is made with the first mask."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; expected one to write to; choose another name")


def _refuse_overwriting(
    cases: Sequence[Case],
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    overwrite: bool,
    confidence: bool,
) -> None:
    """A mask written over an image or a drawn label would lose it; nothing is written in that case."""
    images = {os.path.realpath(image) for case in cases for image in case.images}
    taken: set[str] = set()
    for case in cases:
        mask = masks[case.images]
        twin = twin_of(mask)
        targets = [mask, *([] if twin is None else [twin])]
        targets += [] if overlays is None else [_overlay_of(case, overlays)]
        targets += [uncertainty_of(mask, case.images)] if confidence else []
        for target in targets:
            place = os.path.realpath(target)
            if place in images:
                raise DataError(
                    f"{target}: would replace an image that is to be segmented; choose another folder "
                    "with `output` or `overlays`"
                )
            if place in taken:
                raise DataError(f"{target}: two files would be written to this name; choose another folder")
            if os.path.lexists(target) and not overwrite:
                raise DataError(
                    f"{target}: exists already; choose another folder with `output`, or say `overwrite`"
                )
            taken.add(place)
