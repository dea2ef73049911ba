"""Images and labels taken for one another: an image that is its own label, and the two exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .cases import Case
from .duplicates import find_duplicates
from .labels.label_table import FEW
from .labels.organs import LabelFiles, each_of, first_of, read_label_files
from .labels.values import voxels_by_value

LOOKED_AT = 3  # cases whose image and label are read the other way round
SAMPLE = 4096  # voxels that tell most images from a label


def refuse_copy(case: Case, image: np.ndarray, label: np.ndarray) -> None:
    """See that an image is no copy of its own label, from which a network would learn to pass it on.

    Args:
        case: of the two.
        image: (C, *S) values.
        label: (*S) values on the grid of the image.

    Raises:
        DataError: the files, or all values, are equal, and not the same everywhere.
    """
    if label.min() == label.max():
        return
    same = all(np.array_equal(channel, label) for channel in image)
    if same or (case.label_files is not None and _same_files(case.images, case.label_files)):
        raise DataError(
            f"{case.images[0]}: is a copy of its own label, {first_of(case.label_files or ())}; expected the "
            "scan that the label was drawn on: a network would only learn to copy; put the scan in its "
            "place, or leave the case out"
        )


def shows_label(image: np.ndarray, label: np.ndarray) -> bool:
    """Whether some channel (*S) of an image (C, *S) has one value for each value of the label, and others for
    others: as a mask of 0 and 255 beside a label of 0 and 1."""
    flat = label.ravel()
    step = max(1, flat.size // SAMPLE)
    return bool(flat.min() != flat.max()) and any(
        _one_to_one(values[::step], flat[::step]) and _one_to_one(values, flat)
        for values in (channel.ravel() for channel in image)
    )


def _one_to_one(values: np.ndarray, labels: np.ndarray) -> bool:
    """Whether each value has a label of its own, and each label a value."""
    seen: set[float] = set()
    for label in np.unique(labels):
        inside = values[labels == label]
        if inside.min() != inside.max() or float(inside[0]) in seen:
            return False
        seen.add(float(inside[0]))
    return True


def exchanged(cases: Sequence[Case]) -> str | None:
    """Say that images and labels are exchanged; None where they do not look so in every case looked at."""
    labelled = [case for case in cases if case.label_files is not None and len(case.images) == 1]
    places = np.linspace(0, len(labelled) - 1, min(LOOKED_AT, len(labelled))).round().astype(int)
    looked_at = [labelled[place] for place in dict.fromkeys(places.tolist())]
    most = 0
    for case in looked_at:
        if case.label_files is None or 0 < _values(case.label_files) <= FEW:
            return None
        held = _values(case.images[0])
        if not 0 < held <= FEW:
            return None
        most = max(most, held)
    if most < 2:  # images of nothing
        return None
    image, label = looked_at[0].images[0], first_of(looked_at[0].label_files or ())
    if image.parent == label.parent:
        way = "name the files the other way round, or list the pairs in a CSV with columns image,label"
    else:
        way = (
            f"say `images` {label.parent} and `masks` {image.parent}, rename the folders, or exchange the "
            "columns of the CSV"
        )
    return (
        f"images and labels look exchanged: {image}, taken as an image, holds the few whole values of a "
        f"label, and {label}, taken as its label, those of a scan; {way}"
    )


@contextmanager
def telling_exchanged(cases: Sequence[Case]) -> Iterator[None]:
    """Let an error that comes of exchanged images and labels say so.

    Raises:
        DataError: what was raised, or that they are exchanged.
    """
    try:
        yield
    except DataError as error:
        told = exchanged(cases)
        if told is None:
            raise
        raise DataError(told) from error


def _values(files: LabelFiles) -> int:
    """How many values it holds as a label; 0 where it cannot be read as one."""
    try:
        return len(voxels_by_value(read_label_files(files).array))
    except DataError:
        return 0


def _same_files(images: Sequence[Path], labels: LabelFiles) -> bool:
    return bool(find_duplicates([images, each_of(labels)]))
