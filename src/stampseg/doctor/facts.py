"""What is kept of a case once its voxels are gone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.cases import Case
from ..data.exchanged_labels import refuse_copy, shows_label
from ..data.io.placing import on_grid_of
from ..data.io.readers import read_image
from ..data.labels.organs import read_label_files
from ..data.labels.relabelling import Relabelling
from ..data.labels.values import Counted, values_of, voxels_by_value
from ..data.likeness import percentiles


@dataclass(frozen=True)
class CaseFacts:
    """A case that could be read.

    Attributes:
        shape, spacing: voxels, and mm (1 for pictures), in the file's axis order.
        orientation: axis codes such as "LPS"; "" for pictures.
        tilt: largest angle between an axis and the scanner's, in degrees.
        low, middle, high: 1st, 50th and 99th percentile of a sample of the voxels without padding.
        constant: whether all voxels are equal.
        voxels: digest of the image's values; equal for the same image in another file or format.
        labels: value -> voxels of the mask; empty without a mask.
        drawn: digest of the mask; "" without one, and of one that holds a single value.
        shows_label: whether the image tells no more than its label does.
    """

    case: Case
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str
    tilt: float
    low: float
    middle: float
    high: float
    constant: bool
    voxels: str
    labels: dict[int, int]
    drawn: str = ""
    shows_label: bool = False

    @property
    def image(self) -> Path:
        """The first file of the image."""
        return self.case.images[0]

    @property
    def extent(self) -> tuple[float, ...]:
        """Size in mm, or pixels."""
        return tuple(n * size for n, size in zip(self.shape, self.spacing, strict=True))

    @property
    def middle_share(self) -> float:
        """Where the middle lies between the darkest and the brightest: scale and offset do not count."""
        return (self.middle - self.low) / ((self.high - self.low) or 1.0)


Measure = Callable[[CaseFacts], Sequence[float]]


def read_facts(
    case: Case, ignored: int | None = None, relabel: Relabelling | None = None, known: Counted | None = None
) -> CaseFacts:
    """Read a case once; the label's value `ignored` is left out, others count as `relabel` says.

    `known` is given the values of the label as they stand in its files.

    Raises:
        DataError: a file that cannot be used, a mask that does not fit its image, or an image that is a copy
            of its mask.
    """
    labels: dict[int, int] = {}
    drawn, shown = "", False
    volume = read_image(case.images)
    if case.label_files is not None:
        label = read_label_files(case.label_files)
        labels = values_of(label)
        if known is not None:
            known[case.label_files] = labels
        placed = on_grid_of(label, volume.header)
        if placed is not label:
            labels = voxels_by_value(placed.array)
        refuse_copy(case, volume.array, placed.array)
        shown = shows_label(volume.array, placed.array)
        drawn = _digest(placed.array) if len(labels) > 1 else ""
        labels = labels if relabel is None else relabel.counted(labels)
        labels = {value: count for value, count in sorted(labels.items()) if value != ignored}
    header, array = volume.header, np.ascontiguousarray(volume.array)
    low, middle, high = percentiles(array)
    return CaseFacts(
        case, header.shape, header.spacing,
        header.orientation, _tilt(header.affine),
        low, middle, high, bool(array.min() == array.max()),
        _digest(array), labels, drawn, shown,
    )  # fmt: skip


def _tilt(affine: np.ndarray | None) -> float:
    if affine is None:
        return 0.0
    from nibabel.affines import obliquity  # only here: pictures need none of nibabel

    return float(np.rad2deg(obliquity(affine)).max())


def _digest(array: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=16).hexdigest()
