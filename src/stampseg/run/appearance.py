"""What the scans of a run look like, those without labels too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..core.errors import DataError
from ..data.appearance import Look, appearance
from ..data.cases import Case
from ..data.fingerprint import Fingerprint
from ..data.io.readers import read_header
from ..data.likeness import look_of
from ..data.splits.draw import draw_cases

MOST_LOOKS, LEAST_LOOKS = 100, 8  # scans that are looked at beside those learnt from
LOOKED_AT = 300_000_000  # voxels of them, about


def looks_of(cases: Sequence[Case], seen: Fingerprint, like: Mapping[Case, Look]) -> dict[Case, Look]:
    """The looks of some scans, some of each person, as many cells and channels as those that are known.

    Those that cannot be read are found out by whoever needs them.
    """
    shape, seen_voxels, looks = next(iter(like.values())).cells.shape, 0, dict[Case, Look]()
    for number, case in enumerate(draw_cases(tuple(cases), min(MOST_LOOKS, len(cases)), 0) if cases else ()):
        if number >= LEAST_LOOKS and seen_voxels > LOOKED_AT:
            break
        with suppress(DataError):
            seen_voxels += math.prod(read_header(case.images).shape)
            found = look_of(case, seen.in_channels)
            if found.cells.shape == shape and found.cells.any():  # else it shows nothing
                looks[case] = found
    return looks


def with_appearance(seen: Fingerprint, looks: Mapping[Case, Look]) -> Fingerprint:
    """The fingerprint with what scans look like, those without labels too."""
    found = appearance(list(looks.values()), [case.group for case in looks])
    return seen.model_copy(update={"appearance": found})
