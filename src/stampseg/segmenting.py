"""Segment files with a model: the work behind `stampseg predict`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .data.cases import Case, find_inputs
from .data.labels import to_values
from .data.readers import output_name, read_image, write_label
from .denormals import start_flushing_workers
from .errors import DataError
from .modelfile import Model, load_model
from .overlay import save_overlay
from .prediction import predict_case
from .runs import find_model
from .training import lay_out, resolve_device, seed_everything


def segment(
    model: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    overlays: Path | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    trusted: Collection[str] = (),
    echo: Callable[[str], None] = print,
) -> list[Path]:
    """Write one mask per image into `output`, with the values the training labels had.

    Files of those names are refused unless `overwrite`. A file that cannot be segmented does not
    stop the others.

    Args:
        model: run folder or model file.
        inputs: image files, folders of them, or DICOM series.
        output: folder for the masks.
        overlays: folder for pictures of them.
        device: where to compute.
        overwrite: replace masks that are there.
        trusted: `package.module:Class` names whose code the model may use.
        echo: is told of every mask.

    Returns:
        The masks written.

    Raises:
        DataError: at the end, naming every file that could not be segmented.
        ModelFileError: the model cannot be loaded.
    """
    start_flushing_workers()
    seed_everything(0)
    where = resolve_device(device)
    loaded = load_model(find_model(model), where, trusted=trusted)
    lay_out(loaded.network, loaded.plan.spatial_dims, where)
    cases = find_inputs(inputs, loaded.plan.in_channels)
    _refuse_overwriting(cases, output, overwrite)
    output.mkdir(parents=True, exist_ok=True)
    written, failures, empty = [], [], 0
    for case in cases:
        start = time.perf_counter()
        try:
            path, found = _segment_one(loaded, case, output, overlays, str(where))
        except DataError as error:
            failures.append(str(error))
            echo(f"failed: {error}")
            continue
        written.append(path)
        empty += not found
        echo(f"{path}  {found:,} labelled voxels  {time.perf_counter() - start:.2f} s")
    if empty:
        echo(f"WARNING: nothing was found in {empty} of {len(written)} images")
    if failures:
        raise DataError(
            f"{len(failures)} of {len(cases)} inputs could not be segmented; the first: {failures[0]}"
        )
    return written


def _segment_one(
    loaded: Model, case: Case, output: Path, overlays: Path | None, device: str
) -> tuple[Path, int]:
    """Write the mask (and the overlay); gives its path and the number of labelled voxels."""
    plan = loaded.plan
    classes = predict_case(loaded.network, case, plan, device)
    labels = to_values(classes, plan.label_values)
    path = write_label(output / output_name(case.images), labels, case.images)
    if overlays is not None:
        volume = read_image(case.images)
        names = dict(enumerate(plan.label_names))
        save_overlay(
            overlays / f"{case.id}.png", volume.array, classes,
            title=case.id, spacing=volume.header.spacing, label_names=names,
        )  # fmt: skip
    return path, int((classes > 0).sum())


def _refuse_overwriting(cases: Sequence[Case], output: Path, overwrite: bool) -> None:
    """A mask written over an image or a drawn label would lose it; nothing is written in that case."""
    for case in cases:
        target = output / output_name(case.images)
        if any(target.resolve() == image.resolve() for image in case.images):
            raise DataError(f"{target}: the mask would replace its own image; choose another folder with -o")
        if target.exists() and not overwrite:
            raise DataError(f"{target}: exists already; choose another folder with -o, or say --overwrite")
