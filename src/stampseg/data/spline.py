"""Resampling by cubic splines, for networks that saw their cases so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .resampling import AxisMap, apply_map, linear_map, nearest_map

THICK = 3  # slices this many times as thick as the finest voxel size are not interpolated between
EDGE = 16  # rows by which the edge is continued: what lies beyond moves a spline by less than 1e-8
LEAST = 1e-9  # a smaller weight of a row counts as none


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
    smooth = image.astype(np.float32, copy=False)
    for axis, (size, new) in enumerate(zip(image.shape[1:], shape, strict=True)):
        if size != new and axis != slices:
            smooth = apply_map(smooth, (spline_map if order == 3 else linear_map)(size, new), axis + 1)
    if smooth is not image:
        # A spline overshoots at edges; it stays within the values of its channel, or of its slice.
        along = tuple(axis for axis in range(1, image.ndim) if slices is None or axis != slices + 1)
        limits = (image.min(axis=along, keepdims=True), image.max(axis=along, keepdims=True))
        np.clip(smooth, *limits, out=smooth)
    if slices is not None and smooth.shape[slices + 1] != shape[slices]:
        smooth = apply_map(smooth, nearest_map(smooth.shape[slices + 1], shape[slices]), slices + 1)
    return smooth


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


def spline_map(size: int, new: int) -> AxisMap:
    """The cubic spline through the rows, the edge continued on both sides.

    The spline's coefficients c solve (c[i-1] + 4 c[i] + c[i+1]) / 6 = row i. Their dependence on distant
    rows dies away by 0.27 per row, so that a new row is a weighted sum of few old ones.
    """
    length = size + 2 * EDGE
    system = (4 * np.eye(length) + np.eye(length, k=1) + np.eye(length, k=-1)) / 6
    system[0, 1] = system[-1, -2] = 2 / 6  # mirrored, far outside
    continued = np.eye(size)[np.clip(np.arange(length) - EDGE, 0, size - 1)]
    coefficients = np.linalg.solve(system, continued)
    places = (np.arange(new) + 0.5) * size / new - 0.5 + EDGE
    base = np.floor(places).astype(np.int64)
    dense = np.zeros((new, size))
    for offset in range(-1, 3):
        apart = np.abs(places - (base + offset))
        near, far = (4 - 6 * apart**2 + 3 * apart**3) / 6, (2 - apart) ** 3 / 6
        share = np.where(apart < 1, near, np.where(apart < 2, far, 0))
        dense += share[:, None] * coefficients[base + offset]
    return _banded(dense)


def _banded(dense: np.ndarray) -> AxisMap:
    """A matrix (new, old) of which each row has few weights that count."""
    counts = np.abs(dense) > LEAST
    first = np.minimum.accumulate(counts.argmax(axis=1)[::-1])[::-1]
    last = np.maximum.accumulate(dense.shape[1] - counts[:, ::-1].argmax(axis=1))
    weights = np.zeros((len(dense), int((last - first).max())), dtype=np.float32)
    for row, (start, stop) in enumerate(zip(first, last, strict=True)):
        weights[row, : stop - start] = dense[row, start:stop]
    return AxisMap(dense.shape[1], first, weights, last)
