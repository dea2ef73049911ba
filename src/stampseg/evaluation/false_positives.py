"""What is found of a label in the cases that hold none of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from ..core.text import counted
from .metrics import volume_text


@dataclass(frozen=True)
class FalsePositives:
    """Of one label over the `cases` whose reference does not hold it.

    `found_in` of them something was predicted, `mean_volume` on the average of these and `median_volume` in
    the middle one (ml; mm² or pixels for pictures); None where it is 0 of them.
    """

    cases: int
    found_in: int
    mean_volume: float | None = None
    median_volume: float | None = None

    @classmethod
    def of(cls, volumes: Sequence[float]) -> FalsePositives:
        """From what was predicted in each of these cases, 0 where it was nothing."""
        found = [volume for volume in volumes if volume]
        return cls(len(volumes), len(found), *((mean(found), median(found)) if found else ()))

    def words(self, label: str, unit: str, kind: str = "") -> str:
        """`6 validation cases without tumour: some is found in 5 of them, median 3.2 ml`."""
        cases = counted(self.cases, f"{kind} case".lstrip())
        if self.median_volume is None:
            return f"{cases} without {label}: none is found there"
        volume = volume_text(self.median_volume, unit)
        return f"{cases} without {label}: some is found in {self.found_in} of them, median {volume}"
