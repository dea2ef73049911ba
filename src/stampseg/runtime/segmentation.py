"""Segment files with a model: the work behind `stampseg predict`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import ConfigError, one_line
from ..core.files import refuse_existing
from ..core.level import Level
from ..core.run_folder import caution_of
from ..core.text import counted, some
from ..data.cases import Case
from ..data.io.probabilities import PROBABILITIES, SUFFIX
from ..data.io.readers import segmentation_name
from ..data.labels.postprocess import Postprocessing, steps_in_words
from ..data.plan import Plan
from ..data.splits.known import Known
from .channels import inputs_of
from .ensemble import Ensemble, open_segmenter
from .model import OpenModel, check_order
from .people import learnt_from, other_scans_of_the_trained
from .stream import FAILURES, stream
from .targets import check_folder, refuse_overwriting
from .trust import (
    RECORD,
    SHOWN,
    TABLE,
    check_calibrated,
    summary,
    write_trust,
)  # fmt: skip
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
        mirror: average over all mirrored views.
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
        echo: is told of every mask.
        warn: is told of what was left out or not found; None: `echo` is, after the word WARNING.

    Raises:
        DataError: no input can be used, or a mask is there already.
        ModelFileError: the model cannot be loaded.
        ConfigError: `fail_below` without a calibration in the model, confidence of an ensemble, or scans that
            are named before the model.
    """
    check_order(model, [path for path in inputs if not isinstance(path, Case)], "predict")
    opened = open_segmenter(model, device=device, trusted=trusted, threads=threads, ensemble=ensemble)
    steps = opened.steps if postprocess else ()
    confidence = confidence or fail_below is not None
    _check_confidence(opened, confidence, fail_below)
    if probabilities and opened.models:
        raise ConfigError(
            "`probabilities` are of one network, and an ensemble has several; leave out `probabilities`, or "
            "predict with one of its networks"
        )
    opened = opened.with_all_pieces() if all_pieces else opened
    tell = warn if warn is not None else lambda text: echo(Level.WARNING.shown(text))
    models = opened.models or (model,)
    cases = inputs_of(models[0], inputs, opened.plan, tell)
    for folder in (output, *([] if overlays is None else [overlays])):
        check_folder(folder)
    masks = {case.images: output / case.mask_name for case in cases}
    if dicom_seg:
        masks = {
            images: mask.with_name(segmentation_name(images[0], mask.name)) for images, mask in masks.items()
        }
    refuse_overwriting(cases, masks, overlays, overwrite, confidence, probabilities)
    if confidence:
        for table in (TABLE, RECORD):
            refuse_existing(output / table, overwrite)

    if opened.models:
        echo(f"{model}: the mean of the probabilities of {len(opened.models)} networks")
    written: list[Written] = []
    failures: list[tuple[Path, str]] = []
    options = {
        "batch_size": batch_size or BATCH, "mirror": mirror, "confidence": confidence,
        "probabilities": probabilities,
    }  # fmt: skip
    entries = learnt_from(models)
    learnt = Known(entries, opened.trained_on)
    known = set[str]()
    results = stream(cases, opened, steps, masks, overlays, options)
    for case, result in zip(cases, results, strict=True):
        if isinstance(result, FAILURES):
            failures.append((case.images[0], str(result)))
            echo(f"failed: {result}")
            continue
        if learnt.holds(case, result.content):  # asked of images that could be read
            known.add(case.id)
        result = replace(result, trained_on=case.id in known)
        written.append(result)
        echo(_line(result))
        for text in result.header.notes:
            tell(text)
    if steps and written:
        echo(_changed_words(written, steps, opened.plan))
    told = (
        *caution_of(model),
        *_unlike(written),
        *_absurd(written),
        *_not_found(written, opened.plan.label_names),
        *_too_good(cases, known),
    )
    told += tuple(other_scans_of_the_trained(cases, known, models, entries))
    for text in told:
        tell(text)
    if overlays is not None and written:
        echo(f"pictures of the masks in {one_line(str(overlays))}")
    if probabilities and written:
        echo(_probabilities_words(opened.plan))
    rows = [result.assessed for result in written if result.assessed is not None]
    if rows:
        write_trust(output, rows, opened.plan)
        for text in summary(rows, opened.plan, output):
            echo(text)
    return Segmentation(tuple(written), tuple(failures), told, opened.plan.label_names, fail_below)


def _line(result: Written) -> str:
    """A mask that was written, for the screen."""
    unit = "pixel" if result.header.is_picture else "voxel"
    said = [counted(result.labelled, f"labelled {unit}"), f"{result.seconds:.2f} s"]
    if result.assessed is not None:
        said.append(result.assessed.trust.words())
    if result.dropped:
        said.append(f"{counted(result.dropped, 'stray piece')} left out")
    if result.trained_on:
        said.append("(trained on)")
    return "  ".join([one_line(str(result.path)), *said])


def _unlike(written: Sequence[Written]) -> list[str]:
    """A warning for each way in which images are unlike those of the training."""
    alike: dict[str, list[str]] = defaultdict(list)
    for result in written:
        if result.remarks:
            alike["; ".join(result.remarks)].append(one_line(str(result.path)))
    return [
        f"{paths[0]}: its image is unlike those the model was trained on: {words}"
        if len(paths) == 1
        else f"{len(paths)} images are unlike those the model was trained on, of {some(paths, 3)}: {words}"
        for words, paths in alike.items()
    ]


def _probabilities_words(plan: Plan) -> str:
    """What the probabilities are worth."""
    order = one_line(", ".join(plan.label_names))
    known = plan.calibration
    if known is None:
        how = "as the network gives them, for nobody was left out to calibrate them on"
    else:
        how = f"at a temperature of {known.temperature:.2f}, of people who were left out"
    return f"probabilities of {order} in NAME{PROBABILITIES}{SUFFIX}: {how}"


def _check_confidence(opened: OpenModel | Ensemble, wanted: bool, fail_below: float | None) -> None:
    if wanted and opened.models:
        raise ConfigError(
            "`confidence` is measured on one network, and an ensemble has several; leave out `confidence` "
            "and `fail_below`, or predict with one of its networks"
        )
    check_calibrated(opened.plan, fail_below)


def _changed_words(written: Sequence[Written], steps: Postprocessing, plan: Plan) -> str:
    count = sum(result.changed > 0 for result in written)
    return (
        f"post-processing ({one_line(steps_in_words(steps, plan.label_names, plan.size_unit))}): changed "
        f"{count} of {counted(len(written), 'mask')}"
    )


def _too_good(cases: Sequence[Case], known: Collection[str]) -> list[str]:
    if not known:
        return []
    of = "this image" if len(cases) == 1 else f"{len(known)} of these {len(cases)} images"
    return [f"the model was trained on {of}: masks of new images will be less good"]


def _absurd(written: Sequence[Written]) -> list[str]:
    """A line for each of the first masks that are far from all training labels, and how many more are.

    The trust of assessed ones says more. Of masks that are all empty one line is enough.
    """
    if not any(result.labelled for result in written):
        return []
    odd = [result for result in written if result.absurd and result.assessed is None]
    lines = [
        f"{one_line(str(result.path))}: the mask is unlike all that the model was trained on: "
        f"{one_line('; '.join(result.absurd))}"
        for result in odd[:SHOWN]
    ]
    more = len(odd) - SHOWN
    return [*lines, f"{counted(more, 'more mask')} as unlike as these"] if more > 0 else lines


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
