"""Labels that lie in their image's place but are stored otherwise, brought to the image's grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.errors import DataError
from .volume import Header, Volume, check_pair

SLICER = (".seg.nrrd", ".seg.nhdr")  # segmentations that Slicer cuts to their segments


def on_grid_of(label: Volume, image: Header) -> Volume:
    """The label (*S) on its image's grid.

    Axes that are stored in another order or direction are turned. A segmentation of Slicer's, which covers
    only a part of the image or has voxels of its own, is brought to the nearest voxels; beyond it is 0.

    Raises:
        DataError: the label lies elsewhere, or has another grid.
    """
    try:
        check_pair(image, label.header)
        return label
    except DataError:
        if image.affine is None or label.header.affine is None:
            raise
        if label.header.path.name.lower().endswith(SLICER):
            return _resampled(label, image)
        turned = _turned(label, image.affine)
        if turned is None:
            raise
    check_pair(image, turned.header)
    return turned


def _turned(label: Volume, affine: np.ndarray) -> Volume | None:
    """The label with its axes as near to the image's as flips and permutations bring them; None as it is."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    assert label.header.affine is not None
    turn = io_orientation(np.linalg.inv(affine) @ label.header.affine)
    if np.isnan(turn).any() or np.array_equal(turn, [[0, 1], [1, 1], [2, 1]]):
        return None
    array = np.ascontiguousarray(apply_orientation(label.array, turn))
    placed = label.header.affine @ inv_ornt_aff(turn, label.header.shape)
    spacing = tuple(float(size) for size in np.linalg.norm(placed[:3, :3], axis=0))
    return Volume(array, replace(label.header, shape=array.shape, affine=placed, spacing=spacing))


def _resampled(label: Volume, image: Header) -> Volume:
    from scipy.ndimage import affine_transform

    assert label.header.affine is not None and image.affine is not None
    # Rounded, so that voxels of the same place meet exactly.
    to_label = np.round(np.linalg.inv(label.header.affine) @ image.affine, 6)
    array = affine_transform(
        label.array,
        to_label[:3, :3],
        to_label[:3, 3],
        output_shape=image.shape,
        order=0,
        mode="grid-constant",
    )
    if label.array.any() and not array.any():
        raise DataError(
            f"{label.header.path}: none of its segments lies within its image {image.path}; check that they "
            "belong together"
        )
    header = replace(label.header, shape=image.shape, affine=image.affine, spacing=image.spacing)
    return Volume(array, header)
