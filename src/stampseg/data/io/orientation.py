"""How a camera was held: EXIF's and TIFF's orientation, 1 to 8, and pixels as viewers show them.

Pixels are shown as stored with 1. A picture that was stored otherwise is read as it is shown, for that is
what people draw masks on; its own mask is stored as the picture is, with the same tag.
"""

from __future__ import annotations

import numpy as np

ORIENTATION = 274  # the tag of EXIF and TIFF
UPRIGHT = 1
# Orientation -> whether rows and columns are swapped, then which of the shown rows and columns are reversed.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def known(orientation: object) -> int:
    """The orientation that a tag says; 1 where it says none that there is."""
    return orientation if isinstance(orientation, int) and orientation in _TURNS else UPRIGHT


def swaps(orientation: int) -> bool:
    """Whether stored rows are shown as columns."""
    return _TURNS[orientation][0]


def as_shown(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored (rows, columns, ...) -> shown: a view."""
    swap, rows, columns = _TURNS[orientation]
    turned = pixels.swapaxes(0, 1) if swap else pixels
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Shown (rows, columns, ...) -> stored: a view."""
    swap, rows, columns = _TURNS[orientation]
    turned = pixels[:: -1 if rows else 1, :: -1 if columns else 1]
    return turned.swapaxes(0, 1) if swap else turned
