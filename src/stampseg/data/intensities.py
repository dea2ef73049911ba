"""Intensities of a case in the network's units, as the plan says."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes

from .plan import Intensity, Plan

LEAST = 1e-8  # a deviation or range below it counts as this


def normalise(image: np.ndarray, plan: Plan) -> np.ndarray:
    """(C, *S) float32 in the plan's units.

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
            out[channel] = _windowed(values, window)
        elif scheme == "mean-std":
            out[channel] = _standardised(values, None)
        elif scheme == "mean-std-mask":
            out[channel] = _standardised(values, inside)
        elif scheme == "mean-std-nonzero":
            out[channel] = _standardised(values, values != 0)
        elif scheme == "min-max":
            out[channel] = (values - values.min()) / max(float(values.max() - values.min()), LEAST)
        else:
            out[channel] = _zscore(values)
    return out


def filled_mask(image: np.ndarray) -> np.ndarray:
    """Voxels (*S) of (C, *S) that are not 0 in every channel, with the holes among them."""
    return binary_fill_holes((image != 0).any(axis=0))


def _windowed(values: np.ndarray, window: Intensity) -> np.ndarray:
    return (np.clip(values, window.low, window.high) - window.mean) / max(window.std, LEAST)


def _standardised(values: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
    """Mean 0 and deviation 1 of the values inside, the others as they are."""
    if inside is None:
        inside = np.ones(values.shape, dtype=bool)
    if not inside.any():
        return values
    chosen = values[inside]
    mean, std = float(chosen.mean(dtype=np.float64)), float(chosen.std(dtype=np.float64))
    return np.where(inside, (values - mean) / max(std, LEAST), values)


def _zscore(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.5, 99.5))
    central = np.clip(values, low, high)
    reach = high - low
    limited = np.clip(values, low - reach, high + reach)
    return (limited - central.mean(dtype=np.float64)) / max(float(central.std(dtype=np.float64)), LEAST)
