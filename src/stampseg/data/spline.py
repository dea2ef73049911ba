"""Resampling by splines, for networks that saw their cases so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import zoom

THICK = 3  # slices this many times as thick as the finest voxel size are not interpolated between


def resample_spline(
    image: np.ndarray, shape: Sequence[int], slices: int | None, order: int = 3
) -> np.ndarray:
    """(C, *S) float32 -> (C, *shape), edges of the field of view aligned, no low-pass, values in their range.

    Args:
        image: any channels.
        shape: spatial shape to reach.
        slices: the axis across thick slices, from `thick_axis`: the spline runs within them, and the
            nearest slice is taken between them.
        order: of the spline; 3 cubic, 1 linear.
    """
    if tuple(image.shape[1:]) == tuple(shape):
        return image
    return np.stack([_channel(values, tuple(shape), slices, order) for values in image])


def thick_axis(spacing: Sequence[float], target: Sequence[float]) -> int | None:
    """The axis across slices, or None where voxels are even enough or two axes are equally coarse.

    It is the coarsest axis, before resampling or else after it, if it is more than three times the finest.

    Args:
        spacing: voxel size before, along the network's axes.
        target: voxel size after.
    """
    for sizes in (spacing, target):
        if max(sizes) > THICK * min(sizes):
            coarsest = [axis for axis, size in enumerate(sizes) if size == max(sizes)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def _channel(values: np.ndarray, shape: tuple[int, ...], slices: int | None, order: int) -> np.ndarray:
    values = values.astype(np.float64)
    inner = shape if slices is None else (*shape[:slices], values.shape[slices], *shape[slices + 1 :])
    if slices is None:
        smooth = _spline(values, inner, order)
    else:
        planes, within = np.moveaxis(values, slices, 0), (*shape[:slices], *shape[slices + 1 :])
        smooth = np.stack([_spline(plane, within, order) for plane in planes], axis=slices)
    return _nearest(smooth, shape, slices).astype(np.float32)


def _spline(values: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    if values.shape == shape:
        return values
    factors = [new / old for new, old in zip(shape, values.shape, strict=True)]
    finer = zoom(values, factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(finer, values.min(), values.max())


def _nearest(values: np.ndarray, shape: tuple[int, ...], axis: int | None) -> np.ndarray:
    if axis is None or values.shape[axis] == shape[axis]:
        return values
    places = (np.arange(shape[axis]) + 0.5) * values.shape[axis] / shape[axis] - 0.5
    return values.take(np.clip(np.floor(places + 0.5).astype(int), 0, values.shape[axis] - 1), axis)
