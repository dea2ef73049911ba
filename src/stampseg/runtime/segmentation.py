"""Segment files with a model: the work behind `stampseg predict`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..core.errors import ConfigError, DataError, StoppedError, one_line
from ..core.files import refuse_existing
from ..core.level import Level
from ..core.run_folder import caution_of
from ..core.text import counted
from ..data.cases import Case
from ..data.io.readers import segmentation_name
from ..data.splits.known import Known
from .channels import inputs_of
from .ensemble import Ensemble, open_segmenter
from .model import OpenModel, check_order
from .notices import (
    absurd,
    changed_words,
    line,
    not_found,
    not_mirrored,
    probabilities_words,
    stopped_words,
    too_good,
    unlike,
)
from .people import learnt_from, other_scans_of_the_trained, validated_with
from .stream import FAILURES, stream
from .targets import check_folder, left_from_before, left_to_do, older_than, refuse_overwriting
from .trust import Assessed, check_calibrated
from .trust_files import RECORD, TABLE, TrustFiles, made_by, summary
from .written import Segmentation, Written

BATCH = 1  # windows computed at once, where nothing else is said


def segment(
    model: Path,
    inputs: Sequence[Path | Case],
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
    ensemble: bool = False,
    postprocess: bool = True,
    all_pieces: bool = False,
    confidence: bool = False,
    probabilities: bool = False,
    fail_below: float | None = None,
    skip_existing: bool = False,
    echo: Callable[[str], None] = print,
    warn: Callable[[str], None] | None = None,
) -> Segmentation:
    """Write one mask per image into `output`, with the values the training labels had.

    Files of those names are refused unless `overwrite`. A file that cannot be segmented does not
    stop the others: `check` of what is returned tells of it.

    Args:
        model: run folder, model file or exported file; or the folder of the folds of a run, whose networks
            are averaged.
        inputs: image files, folders of them, DICOM series, or cases that were found.
        output: folder for the masks.
        overlays: folder for pictures of them.
        device: where to compute.
        overwrite: replace masks that are there.
        trusted: `package.module:Class` names whose code the model may use, or the `.pt2` file.
        batch_size: windows computed at once.
        mirror: average over all mirrored views: of networks that learnt from mirrored images.
        threads: to compute with.
        dicom_seg: write masks of DICOM series as DICOM-SEG, a segment for each label.
        ensemble: average the networks of the folds of a run folder, in place of its own network.
        postprocess: do to each mask what the model says: fill holes, drop pieces.
        all_pieces: keep all pieces of labels that are one piece by the plan.
        confidence: also say how far each mask can be trusted: `confidence.csv` and `.json`, and a map of the
            uncertain voxels beside each mask; three times the work.
        probabilities: also write the probabilities of all labels of each mask, NAME_probabilities.nii.gz:
            calibrated where the model has a calibration.
        fail_below: Dice that must be expected of every mask; asks for confidence.
        skip_existing: pass over images whose masks, and whatever else is asked for of them, are there.
        echo: is told of every mask.
        warn: is told of what was left out or not found; None: `echo` is, after the word WARNING.

    Raises:
        DataError: no input can be used, or a mask is there already.
        ModelFileError: the model cannot be loaded.
        ConfigError: `fail_below` without a calibration in the model, confidence of an ensemble, scans that
            are named before the model, or `skip_existing` with `overwrite`.
    """
    check_order(model, [path for path in inputs if not isinstance(path, Case)], "predict")
    tell = warn if warn is not None else lambda text: echo(Level.WARNING.shown(text))
    confidence = confidence or fail_below is not None
    if skip_existing and overwrite:
        raise ConfigError(
            "`skip_existing` keeps masks that are there, and `overwrite` replaces them; leave out one of them"
        )
    opened = open_segmenter(model, device=device, trusted=trusted, threads=threads, ensemble=ensemble)
    _check_able(opened, confidence, probabilities, fail_below)
    opened = opened.with_all_pieces() if all_pieces else opened
    steps, models = opened.steps if postprocess else (), opened.models or (model,)
    cases = inputs_of(models[0], inputs, opened.plan, tell)
    for folder in (output, *([] if overlays is None else [overlays])):
        check_folder(folder)
    masks = _targets(cases, output, dicom_seg)
    asked = {"mirror": mirror, "postprocess": postprocess, "all_pieces": all_pieces}
    trust = TrustFiles(output, opened.plan, made_by(models[0], **asked) if confidence else {})
    if confidence:
        trust.take_up(strict=skip_existing)
    if skip_existing:
        kept = trust.of(masks.values()) if confidence else None
        cases = _not_done(cases, masks, overlays, probabilities, kept, models, echo, tell)
    skipped = len(masks) - len(cases)
    refuse_overwriting(cases, masks, overlays, overwrite, confidence, probabilities)
    for table in (TABLE, RECORD) if confidence and not skip_existing else ():
        refuse_existing(output / table, overwrite)
    trust.forget(masks[case.images] for case in cases)
    if opened.models:
        echo(f"{model}: the mean of the probabilities of {len(opened.models)} networks")

    options = {
        "batch_size": batch_size or BATCH, "mirror": mirror, "confidence": confidence,
        "probabilities": probabilities,
    }  # fmt: skip
    entries = learnt_from(models)
    learnt, validated = Known(entries, opened.trained_on), Known(validated_with(models))
    written: list[Written] = []
    failures: list[tuple[Path, str]] = []
    finished: list[Written] = []

    def keep(mask: Written) -> None:
        finished.append(mask)
        if mask.assessed is not None:
            trust.add(mask.assessed)

    results = stream(cases, opened, steps, masks, overlays, options, keep)
    try:
        for case, result in zip(cases, results, strict=True):
            if isinstance(result, FAILURES):
                failures.append((case.images[0], str(result)))
                echo(f"failed: {result}")
                continue
            # asked of images that could be read
            trained = learnt.holds(case, result.content)
            chosen_by = not trained and validated.holds(case)
            written.append(replace(result, trained_on=trained, validated_with=chosen_by))
            echo(line(written[-1]))
            for text in result.header.notes:
                tell(text)
        trust.write()
    except BaseException as error:
        results.close()
        with suppress(OSError, DataError):  # a full disk, which may be the reason
            trust.write()
        if isinstance(error, KeyboardInterrupt | StoppedError):
            there = f"{skipped + len(finished)} of {counted(len(masks), 'mask')}"
            tell(stopped_words(f"{there} are written in {one_line(str(output))}", overwrite))
        raise

    known = {mask.case for mask in written if mask.trained_on}
    by_id = {case.id: case for case in cases}
    new = {mask.path: by_id[mask.case] for mask in written}
    told = (
        *caution_of(model),
        *not_mirrored(opened.plan, mirror),
        *unlike(written),
        *absurd(written),
        *not_found(written, opened.plan.label_names),
        *too_good(cases, known),
        *other_scans_of_the_trained(cases, known, models, entries),
        *left_from_before(new, output, confidence, probabilities),
    )
    if steps and written:
        echo(changed_words(written, steps, opened.plan))
    for text in told:
        tell(text)
    if overlays is not None and written:
        echo(f"pictures of the masks in {one_line(str(overlays))}")
    if probabilities and written:
        echo(probabilities_words(opened.plan))
    for text in summary(trust.rows, opened.plan, output) if trust.rows else ():
        echo(text)
    return Segmentation(
        tuple(written), tuple(failures), told, opened.plan.label_names, fail_below, skipped,
        tuple(trust.of(masks.values()).values()),
    )  # fmt: skip


def _not_done(
    cases: Sequence[Case],
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    probabilities: bool,
    told: Mapping[str, Assessed] | None,
    models: Sequence[Path],
    echo: Callable[[str], None],
    tell: Callable[[str], None],
) -> list[Case]:
    """The cases whose masks are not there; how many are is said, and if another model may have made them."""
    # what is there may be an image, in its own folder
    refuse_overwriting(cases, masks, overlays, True, told is not None, probabilities)
    left = left_to_do(cases, masks, overlays, probabilities, told)
    for case in cases:
        _check_image(case, masks[case.images], told or {})
    kept = masks.keys() - {case.images for case in left}
    echo(f"passed over {len(kept)} of {counted(len(masks), 'image')}: their masks are there")
    for text in older_than(models, sorted(masks[images] for images in kept)):
        tell(text)
    return left


def _check_image(case: Case, mask: Path, told: Mapping[str, Assessed]) -> None:
    """See that a mask that stays is that of the image, as far as is known.

    Raises:
        DataError: it is another image's.
    """
    row = told.get(mask.name)
    if row is None or not row.image.exists() or row.image.samefile(case.images[0]):
        return
    raise DataError(
        f"{mask}: is the mask of {row.image}, by {RECORD} beside it, and not of {case.images[0]}; choose "
        "another folder with `output`"
    )


def _check_able(
    opened: OpenModel | Ensemble, confidence: bool, probabilities: bool, fail_below: float | None
) -> None:
    """Refuse what only one network, or a calibrated one, can say."""
    if confidence and opened.models:
        raise ConfigError(
            "`confidence` is measured on one network, and an ensemble has several; leave out `confidence` "
            "and `fail_below`, or predict with one of its networks"
        )
    check_calibrated(opened.plan, fail_below)
    if probabilities and opened.models:
        raise ConfigError(
            "`probabilities` are of one network, and an ensemble has several; leave out `probabilities`, or "
            "predict with one of its networks"
        )


def _targets(cases: Sequence[Case], output: Path, dicom_seg: bool) -> dict[tuple[Path, ...], Path]:
    """The mask of each case."""
    masks = {case.images: output / case.mask_name for case in cases}
    if not dicom_seg:
        return masks
    return {images: mask.with_name(segmentation_name(images[0], mask.name)) for images, mask in masks.items()}
