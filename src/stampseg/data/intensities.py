"""Intensities of a case in the network's units, as the plan says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.packages import require
from .plan import Intensity, Plan

LEAST = 1e-8  # a deviation or range below it counts as this
BLOCK = 1 << 22  # values worked on at once, so that copies and float64 stay small
UNCLIPPED = 3.4e38  # a window this wide clips nothing


def normalise(image: np.ndarray, plan: Plan) -> np.ndarray:
    """(C, *S) in any memory layout -> contiguous float32 in the plan's units; the image is left alone.

    ct: clipped to the planned window, then the planned mean and deviation. zscore: mean and
    deviation per channel of the values clipped to their own 0.5 and 99.5 percentiles (scanner
    spikes reach a thousand times the tissue), values limited to one such range beyond them, so
    that a small bright object still stands out. The others are described by `Plan`.
    """
    out = np.empty(image.shape, dtype=np.float32)
    schemes = plan.normalizations
    inside = filled_mask(image) if "mean-std-mask" in schemes else None
    for channel, (values, scheme) in enumerate(zip(image, schemes, strict=True)):
        window = plan.ct[channel] if plan.ct is not None else None
        if scheme == "ct" and window is not None:
            _windowed(values, window, out[channel])
        elif scheme == "mean-std":
            _standardised(values, None, out[channel])
        elif scheme == "mean-std-mask":
            _standardised(values, inside, out[channel])
        elif scheme == "mean-std-nonzero":
            _standardised(values, values != 0, out[channel])
        elif scheme == "min-max":
            low, high = float(values.min()), float(values.max())
            _scaled(values, low, high, low, max(high - low, LEAST), out[channel])
        else:
            _zscore(values, out[channel])
    return out


def filled_mask(image: np.ndarray) -> np.ndarray:
    """Voxels (*S) of (C, *S) that are not 0 in every channel, with the holes among them.

    A picture has none: nnU-Net, whose mask it is, fills it as one slice of a volume, whose every pixel lies
    at the outside.
    """
    if image.ndim == 3:
        return (image != 0).any(axis=0)
    ndimage = require("scipy.ndimage", "normalising by the filled mask, as the model's plan asks,")
    return ndimage.binary_fill_holes((image != 0).any(axis=0))


def _windowed(values: np.ndarray, window: Intensity, out: np.ndarray) -> None:
    unit = window.std if abs(window.std) >= LEAST else LEAST  # below 0: dark is bright
    _scaled(values, window.low, window.high, window.mean, unit, out)


def _standardised(values: np.ndarray, inside: np.ndarray | None, out: np.ndarray) -> None:
    """Mean 0 and deviation 1 of the values inside, the others as they are."""
    out[...] = values
    if inside is None:
        _scaled(values, -np.inf, np.inf, *_moments(values), out)
    elif inside.any():
        chosen = values[inside]
        _scaled(chosen, -np.inf, np.inf, *_moments(chosen), chosen)
        out[inside] = chosen


def _zscore(values: np.ndarray, out: np.ndarray) -> None:
    # In the order of memory: no copy but the one that is partitioned.
    low, high = (float(limit) for limit in np.percentile(values.ravel(order="K"), (0.5, 99.5)))
    if high <= low:  # next to all has one value, as around a few bright spots
        low, high = float(values.min()), float(values.max())
    mean, deviation = _moments(values, low, high)
    _scaled(values, low - (high - low), high + (high - low), mean, deviation, out)


def _scaled(values: np.ndarray, low: float, high: float, centre: float, unit: float, out: np.ndarray) -> None:
    """(values limited to low and high, minus centre) / unit, into `out`."""
    for part in _parts(values):
        block = _limited(values[part], low, high)
        block -= np.float32(centre)
        block /= np.float32(unit)
        out[part] = block


def _moments(values: np.ndarray, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    """Mean and deviation, at least 1e-8, of the values limited to low and high, summed as float64."""
    total = sum(float(_limited(values[part], low, high).sum(dtype=np.float64)) for part in _parts(values))
    mean = total / values.size
    square = 0.0
    for part in _parts(values):
        apart = _limited(values[part], low, high).astype(np.float64)
        apart -= mean
        np.square(apart, out=apart)
        square += float(apart.sum())
    return mean, max((square / values.size) ** 0.5, LEAST)


def _limited(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """A float32 copy in the same memory layout."""
    return np.clip(values.astype(np.float32, copy=False), np.float32(low), np.float32(high))


def _parts(values: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """The axis that is slowest in memory in pieces: files lie in memory the other way round than arrays."""
    axis = int(np.argmax(np.abs(values.strides)))
    step = max(1, BLOCK * values.shape[axis] // max(values.size, 1))
    for start in range(0, values.shape[axis], step):
        yield (slice(None),) * axis + (slice(start, start + step),)
