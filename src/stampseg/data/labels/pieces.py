"""Labels that are one piece: a heart chamber, a head; what else is found of them is a mistake.

Where every training case shows a label as one piece, a mask keeps the piece the network is surest of, and any
that comes near it: two such pieces may both be there, and are for people to look at.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ...core.packages import require

RIVAL = 0.5  # share of the surest piece's sum from which another is no stray
SLIP = 0.01  # share of a label's voxels: a piece of no more is a slip of the pen


def count_pieces(inside: np.ndarray) -> int:
    """Pieces of a mask (*S) that hold together, corners included, slips of the pen left out."""
    pieces, count = _pieces(inside)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    return int((sizes > SLIP * sizes.sum()).sum())


def keep_surest(mask: np.ndarray, margins: np.ndarray, classes: Collection[int]) -> int:
    """Leave of each class the piece with the highest sum of margins; what is far behind becomes background.

    The sum weighs size and certainty: a small piece that is sure wins over a large one that is not. A piece
    of `RIVAL` of that sum or more stays as well.

    Args:
        mask: (*S) class of each voxel, changed in place.
        margins: (*S) by how much the class is likelier than the background.
        classes: those that are one piece.

    Returns:
        How many pieces were left out.
    """
    dropped = 0
    for value in classes:
        inside = _box_of(mask, value)
        if inside is None:
            continue
        pieces, count = _pieces(mask[inside] == value)
        if count < 2:
            continue
        sums = _ndimage().sum_labels(margins[inside], pieces, np.arange(1, count + 1))
        stays = np.concatenate([[True], sums >= RIVAL * sums.max()])
        mask[inside][~stays[pieces]] = 0
        dropped += int((~stays).sum())
    return dropped


def _box_of(classes: np.ndarray, value: int) -> tuple[slice, ...] | None:
    found = _ndimage().find_objects((classes == value).view(np.uint8))
    return found[0] if found else None


def _pieces(inside: np.ndarray) -> tuple[np.ndarray, int]:
    pieces, count = _ndimage().label(inside, np.ones((3,) * inside.ndim))
    return pieces, int(count)


def _ndimage() -> Any:
    """Imported only where a plan asks for it, as it takes long."""
    return require("scipy.ndimage", "keeping one piece of a label, as the model's plan asks,")
