"""Slices of a case for the page: grey pictures, and the outlines of reference and prediction over them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ..evaluation.overlay import COMPASS, grey_window, to_rgb, upright
from .outlines import outline

LARGEST = 384  # pixels of a picture's longer side
QUALITY = 80  # of WebP
MARGIN = 2  # slices shown beyond the labelled ones
PLANES = ("sagittal", "coronal", "axial")  # across each axis of a RAS volume


@dataclass(frozen=True)
class Outlines:
    """SVG paths of one class in one slice, in the picture's pixels."""

    label: int
    reference: str
    prediction: str


@dataclass(frozen=True)
class Slice:
    """One picture, as a data URI, and what is drawn on it."""

    index: int
    picture: str
    outlines: tuple[Outlines, ...]


@dataclass(frozen=True)
class View:
    """A case to scroll through.

    Attributes:
        plane: "axial", "coronal", "sagittal" or "picture".
        compass: letters left, right, above, below; "" for a picture.
        width: of each picture in its pixels.
        height: likewise.
        ratio: of its true width to its true height.
        depth: slices of the whole volume.
        start: position in `slices` of the one with the largest labelled area.
        slices: those shown.
        others: of a volume, the other two planes where most is labelled, a slice each.
    """

    plane: str
    compass: str
    width: int
    height: int
    ratio: float
    depth: int
    start: int
    slices: tuple[Slice, ...]
    others: tuple[View, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


def view_of(
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    classes: int,
    most: int,
) -> View:
    """Slices through the labelled part of a case.

    Args:
        image: (C, *S) in RAS axes, or a picture (C, rows, columns).
        prediction: class indices (*S).
        reference: class indices (*S).
        spacing: voxel size per axis.
        classes: how many there are, background included.
        most: slices at most.
    """
    if prediction.ndim == 2:
        return _picture(image, prediction, reference, spacing, classes)
    return _volume(image, prediction, reference, spacing, classes, most)


def _picture(
    image: np.ndarray, prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float], classes: int
) -> View:
    sheet = _slice(0, to_rgb(image, grey_window(image)), prediction, reference, classes)
    rows, columns = _size(prediction.shape)
    ratio = prediction.shape[1] * spacing[1] / (prediction.shape[0] * spacing[0])
    return View("picture", "", columns, rows, ratio, 1, 0, (sheet,))


def _volume(
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    classes: int,
    most: int,
) -> View:
    """The plane to scroll through, with a slice of each of the other two."""
    through = slicing_axis(spacing)
    window = grey_window(image)
    planes = [
        _plane(image, prediction, reference, spacing, classes, axis, window, most if axis == through else 1)
        for axis in (through, *(axis for axis in (2, 1, 0) if axis != through))
    ]
    return replace(planes[0], others=tuple(planes[1:]))


def _plane(
    image: np.ndarray,
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    classes: int,
    axis: int,
    window: tuple[float, float],
    most: int,
) -> View:
    across, along = (a for a in range(3) if a != axis)
    shape = (prediction.shape[along], prediction.shape[across])  # rows, columns
    ratio = shape[1] * spacing[across] / (shape[0] * spacing[along])
    labelled = np.count_nonzero((prediction > 0) | (reference > 0), axis=(across, along))
    chosen = _chosen(labelled, most)
    drawn = tuple(
        _slice(
            index,
            upright(to_rgb(np.take(image[:1], index, axis + 1), window)),
            upright(np.take(prediction, index, axis)),
            upright(np.take(reference, index, axis)),
            classes,
        )
        for index in chosen
    )
    start = int(np.argmax(labelled[chosen]))
    rows, columns = _size(shape)
    return View(PLANES[axis], COMPASS[axis], columns, rows, ratio, len(labelled), start, drawn)


def slicing_axis(spacing: Sequence[float]) -> int:
    """The axis across thick slices, which look worst from the side; of cubes, the one from feet to head."""
    return max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))


def _chosen(labelled: np.ndarray, most: int) -> list[int]:
    """Positions of slices with something labelled and a few around them; evenly spaced where too many."""
    filled = np.flatnonzero(labelled)
    last = len(labelled) - 1
    if most == 1:
        return [int(labelled.argmax()) if filled.size else last // 2]
    low, high = (int(filled[0]), int(filled[-1])) if filled.size else (0, last)
    low, high = max(0, low - MARGIN), min(last, high + MARGIN)
    count = min(most, high - low + 1)
    chosen = set(np.linspace(low, high, count).round().astype(int).tolist())
    if count > 1:
        chosen.add(int(labelled.argmax()))
    return sorted(chosen)


def _slice(
    index: int, colours: np.ndarray, prediction: np.ndarray, reference: np.ndarray, classes: int
) -> Slice:
    rows, columns = _size(prediction.shape)
    masks = [_shrunk(labels, rows, columns) for labels in (prediction, reference)]
    outlines = [Outlines(v, outline(masks[1] == v), outline(masks[0] == v)) for v in range(1, classes)]
    drawn = tuple(lines for lines in outlines if lines.reference or lines.prediction)
    return Slice(index, _webp(colours, rows, columns), drawn)


def _size(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the picture."""
    shrink = max(1.0, max(shape) / LARGEST)
    rows, columns = (max(1, round(n / shrink)) for n in shape)
    return rows, columns


def _shrunk(labels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The nearest label of each pixel."""
    y, x = (
        ((np.arange(n) + 0.5) * size / n).astype(int)
        for n, size in zip((rows, columns), labels.shape, strict=True)
    )
    return labels[np.ix_(y, x)]


def _webp(colours: np.ndarray, rows: int, columns: int) -> str:
    picture = Image.fromarray(np.ascontiguousarray(colours))
    if picture.size != (columns, rows):
        picture = picture.resize((columns, rows), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
