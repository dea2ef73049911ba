"""What is done to a predicted mask: holes are filled, small pieces or all but the largest are dropped.

Sizes are physical, and pieces hang together over faces, edges and corners, so that a scan that is turned, or
lies on a finer grid, is treated alike. Which steps a model has is measured (`evaluation/evidence.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ...core.options import FileRecord
from ...core.packages import require
from ...core.text import number_text
from ..boxes import as_slices, filled_box


class LabelSteps(FileRecord):
    """The steps for one label, in the order in which they are done.

    Attributes:
        label: class index.
        fill_holes: background that the label encloses becomes the label.
        least: pieces smaller than this become background; mm³ (mm² of 2D scans), or pixels of pictures.
        largest: all but the largest piece become background; several of equal size stay.
    """

    label: int = Field(ge=1)
    fill_holes: bool = False
    least: float = Field(0.0, ge=0)
    largest: bool = False

    def words(self, name: str, unit: str) -> str:
        """`liver: holes filled, largest piece kept`."""
        done = [
            *(["holes filled"] if self.fill_holes else []),
            *([f"pieces below {number_text(self.least, 3)} {unit} dropped"] if self.least else []),
            *(["largest piece kept"] if self.largest else []),
        ]
        return f"{name}: {', '.join(done)}"


Postprocessing = tuple[LabelSteps, ...]


def check_steps(steps: Postprocessing, classes: int) -> None:
    """See that steps can be those of a model with so many classes.

    Raises:
        ValueError: a label that it does not have, or one twice.
    """
    labels = [each.label for each in steps]
    if len(set(labels)) < len(labels) or any(label >= classes for label in labels):
        raise ValueError(f"postprocess is of the labels {labels[:20]}; expected each once, below {classes}")


def steps_in_words(steps: Postprocessing, names: Sequence[str], unit: str) -> str:
    """All of them in one line."""
    return "; ".join(each.words(names[each.label], unit) for each in steps)


def postprocessed(classes: np.ndarray, steps: Postprocessing, spacing: Sequence[float]) -> np.ndarray:
    """A mask after the steps; the mask itself is left as it is.

    Args:
        classes: class indices (*S).
        steps: each of another label.
        spacing: size of a voxel along each axis in mm; ones for pictures.
    """
    result = classes
    for each in steps:
        result = _one_label(result, each, float(np.prod(spacing)))
    return result


def _one_label(classes: np.ndarray, steps: LabelSteps, voxel: float) -> np.ndarray:
    mask = classes == steps.label
    if not mask.any():
        return classes
    box = as_slices(filled_box(mask))  # nothing outside of it changes
    inside = mask[box]
    result = classes
    if steps.fill_holes:
        flat = tuple(axis for axis, size in enumerate(mask.shape) if size == 1)
        filled = holes_filled(inside, flat) & (classes[box] == 0)
        result = _changed(result, box, filled, steps.label)
        inside = inside | filled
    if steps.least or steps.largest:
        result = _changed(result, box, inside & ~pieces_kept(inside, steps, voxel), 0)
    return result


def _changed(classes: np.ndarray, box: tuple[slice, ...], where: np.ndarray, value: int) -> np.ndarray:
    if not where.any():
        return classes
    result = classes.copy()
    result[box][where] = value
    return result


def holes_filled(mask: np.ndarray, flat: tuple[int, ...] = ()) -> np.ndarray:
    """The mask with what it encloses: from there no way over faces leads to the border.

    Args:
        mask: (*S) bool.
        flat: axes of one voxel, along which everything would be at the border: they are left out.
    """
    ndimage = require("scipy.ndimage", "post-processing of masks")
    return np.asarray(ndimage.binary_fill_holes(np.squeeze(mask, axis=flat))).reshape(mask.shape)


def pieces_kept(mask: np.ndarray, steps: LabelSteps, voxel: float) -> np.ndarray:
    """The pieces of a mask that are large enough, in voxels of a size; as the steps say."""
    ndimage = require("scipy.ndimage", "post-processing of masks")
    pieces, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    kept = sizes * voxel >= steps.least * (1 - 1e-9)  # a size that is met by rounding is met
    if steps.largest and count:
        kept &= sizes == sizes[1:].max()
    kept[0] = False
    return np.asarray(kept[pieces])
