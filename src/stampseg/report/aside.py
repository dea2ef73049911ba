"""What came of each case that was kept aside, as test/cases.csv holds it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import StampsegError
from ..evaluation.metrics import UNION
from ..evaluation.people import mean_of_known
from ..run.aside import FIGURES
from ..run.folder import TEST
from .comparison.masks import read_masks
from .comparison.study import Measure


@dataclass(frozen=True)
class AsideCase:
    """One case of people kept aside.

    Attributes:
        id: of the case.
        person: whose it is.
        labels: Dice and HD95 by label name.
    """

    id: str
    person: str
    labels: Mapping[str, Measure]

    @property
    def dice(self) -> float | None:
        """Mean over the labels that it holds; None where it holds none."""
        return mean_of_known(each.dice for name, each in self.labels.items() if name != UNION)


def cases_aside(run: Path) -> tuple[AsideCase, ...]:
    """Lowest Dice first, those without one at the end; none where the file is not there or damaged."""
    with suppress(StampsegError):
        measures = read_masks(run / TEST / FIGURES).measures
        ids = dict.fromkeys(case for case, _ in measures)
        found = []
        for id in ids:
            labels = {label: each for (case, label), each in measures.items() if case == id}
            found.append(AsideCase(id, next(iter(labels.values())).person, labels))
        return tuple(sorted(found, key=lambda case: (case.dice is None, case.dice or 0.0, case.id)))
    return ()
