"""Whether a scan would be more like the mean of the training scans if it were turned or magnified.

One likeness alone says little where scans of one kind differ much: what counts is how much more alike a scan
becomes, against how much more alike the training scans become themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .cells import magnified, ranks_of, turns

FACTORS = (1.35, 1.6)  # by which the middle of a scan is magnified


class Gains(NamedTuple):
    """By how much more alike a scan becomes; negative where it is best as it is.

    Attributes:
        turned: when it is turned by quarters, as it turns out best.
        enlarged: when it is compared with the middle of the usual one, magnified.
        reduced: when its own middle is magnified.
    """

    turned: float
    enlarged: float
    reduced: float


def gains(cells: np.ndarray, usual: np.ndarray) -> Gains:
    """For cells (C, n, n) or (C, n, n, n) of both."""
    mine, theirs = ranks_of(cells), ranks_of(usual)
    as_it_is = float((mine * theirs).mean())
    return Gains(
        max(float((turned * theirs).mean()) for turned in turns(mine)) - as_it_is,
        max(float((mine * ranks_of(magnified(usual, factor))).mean()) for factor in FACTORS) - as_it_is,
        max(float((ranks_of(magnified(cells, factor)) * theirs).mean()) for factor in FACTORS) - as_it_is,
    )
