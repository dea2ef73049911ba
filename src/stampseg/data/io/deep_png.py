"""PNG of 16 bits a channel and several channels, of which Pillow keeps 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.packages import require

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

DEPTH = 24  # byte of the file that says how many bits a channel has


def bits_of(path: Path) -> int:
    """Bits of a channel, or of a grey value, of a PNG file."""
    with path.open("rb") as stream:
        return stream.read(DEPTH + 1)[DEPTH]


def is_deep(picture: ImageFile, path: Path) -> bool:
    """Whether Pillow would cut 16 bits to 8."""
    return picture.format == "PNG" and picture.mode in ("LA", "RGB", "RGBA") and bits_of(path) == 16


def is_deep_grey(picture: ImageFile) -> bool:
    """Whether it is grey of 16 bits with alpha, which Pillow takes for colours."""
    return any(args == "LA;16B" for *_, args in picture.tile)


def deep_pixels(picture: ImageFile, path: Path) -> np.ndarray:
    """(rows, columns, channels) uint16 of a picture that `is_deep`, 2 channels where it is grey with alpha.

    Raises:
        MissingPackageError: of colours, SimpleITK is not installed.
    """
    if is_deep_grey(picture):
        # SimpleITK reads no grey with alpha. Four bytes a pixel, unpacked as they are, are both numbers.
        picture.tile = [type(tile)(*tile[:3], "RGBA") for tile in picture.tile]
        return np.asarray(picture).view(">u2").astype(np.uint16)
    sitk = require("SimpleITK", f"{path}: a PNG of 16 bits a channel")
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="PNGImageIO"))
