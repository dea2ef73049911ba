"""Probabilities of all classes as one NIfTI file.

NIfTI knows no 16-bit floating-point numbers. What is stored are whole numbers of 16 bits with the slope
1/65535, which readers multiply out: steps of 0.000015, finer than float16 above 0.03.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.files import write_whole
from .volume import Header

FULL_SCALE = 65535  # what a probability of 1 is stored as
PROBABILITIES = "_probabilities"  # behind the name of a mask
SUFFIX = ".nii.gz"


def write_probabilities(path: Path, shares: np.ndarray, like: Header, names: Sequence[str]) -> None:
    """Write (K, *S) uint16, `FULL_SCALE` times a probability, on the grid of an image; the classes come last.

    A picture is one slice, its first axis the column, placed as ITK places pictures: a pixel is a mm.

    Args:
        path: ends in .nii.gz.
        shares: of every class.
        like: of the image.
        names: of the classes; as far as there is room they stand in the header.

    Raises:
        DataError: another shape than the image's, or the file cannot be written.
    """
    import nibabel as nib

    if shares.shape[1:] != like.shape:
        raise DataError(f"{path}: probabilities of shape {shares.shape[1:]}; expected {like.shape}")
    if like.affine is None:
        array, affine = shares.transpose(2, 1, 0)[:, :, None], np.diag([-1.0, -1.0, 1.0, 1.0])
    else:
        array, affine = np.moveaxis(shares, 0, -1), like.affine
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(1 / FULL_SCALE, 0)
    image.header.set_xyzt_units("mm" if like.affine is not None else None)
    image.header["descrip"] = ";".join(names).encode("ascii", "replace")[:79]
    image.set_qform(None, code="unknown")  # shears of tilted scans have none
    image.set_sform(affine, code="scanner")
    write_whole(path, lambda place: nib.save(image, place), ending=SUFFIX)
