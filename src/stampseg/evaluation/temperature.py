"""At which temperature probabilities are right as often as they say, by people who were left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

TEMPERATURES = np.geomspace(0.5, 4, 37)  # a step is 6%
MOST = 100_000  # voxels of a case that are looked at
LEAST = 1e-7  # probability


class Heat:
    """Takes the probabilities of a case, as a listener of its segmentation, beside what is there.

    Attributes:
        sums: of the surprise -log p of what is there, at each of `TEMPERATURES`.
        voxels: that were looked at.
    """

    def __init__(self, truth: np.ndarray, axis: int, unknown: int | None = None) -> None:
        """Args:
        truth: (*S) classes on the working grid.
        axis: along which the rows come.
        unknown: class of voxels of which nobody said what they are.
        """
        self._truth, self._unknown = np.moveaxis(truth, axis, 0), unknown
        self._step = max(1, math.ceil(truth.size / MOST))
        self._row = 0
        self.sums, self.voxels = np.zeros(len(TEMPERATURES)), 0

    def add(self, probabilities: np.ndarray) -> None:
        """Take the next rows (K, rows, *other axes)."""
        count = probabilities.shape[1]
        truth = self._truth[self._row : self._row + count].ravel()[:: self._step]
        self._row += count
        logs = np.log(np.maximum(probabilities.reshape(len(probabilities), -1)[:, :: self._step], LEAST))
        known = np.ones(truth.shape, bool) if self._unknown is None else truth != self._unknown
        truth, logs = truth[known].astype(np.intp), logs[:, known].astype(np.float64)
        self.voxels += len(truth)
        for place, temperature in enumerate(TEMPERATURES):
            scaled = logs / temperature
            top = scaled.max(axis=0)
            total = top + np.log(np.exp(scaled - top).sum(axis=0))
            self.sums[place] += (total - scaled[truth, np.arange(len(truth))]).sum()


def temperature_of(people: Mapping[str, Sequence[Heat]]) -> float:
    """The temperature of the least mean surprise, each person counting once; 1 where nothing is known.

    Args:
        people: of each person who was left out, their cases.
    """
    means = []
    for heats in people.values():
        voxels = sum(heat.voxels for heat in heats)
        if voxels:
            means.append(np.sum([heat.sums for heat in heats], axis=0) / voxels)
    return float(TEMPERATURES[int(np.argmin(np.mean(means, axis=0)))].round(3)) if means else 1.0
