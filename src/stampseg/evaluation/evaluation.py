"""What comparing masks has found: statistics over cases and people, as a table of values, JSON or CSV."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.files import refuse_existing, write_text
from ..core.text import counted, csv_text
from .false_positives import FalsePositives
from .metrics import COLUMNS, EMPTY_MASK_RULE, METRIC_NAMES, WITHIN, Metrics
from .people import OverPeople, over_people


@dataclass(frozen=True)
class Statistics:
    """Of one label over the `cases` whose reference holds it.

    `mean` and `median` are None without such a case; `std`, the sample's standard deviation, is None for
    fewer than two.
    """

    mean: float | None
    median: float | None
    std: float | None
    cases: int


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_folder` found, or a run of the people kept aside.

    Attributes:
        rows: One per case and label, cases in the order of their names.
        tolerance_mm: Of the surface Dice.
        unit: "mm" (volumes, their volume in ml) or "px" (pictures, in pixels).
        notes: How the values in the files were understood.
        warnings: Files left out and other things to look at, one line each.
        people: The person of each case; empty where nobody said.
        missing: Labels without a prediction, which are in no figure.
        predictions, reference: The folders or files that were compared; None where there are none.
    """

    rows: tuple[Metrics, ...]
    tolerance_mm: float
    unit: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    predictions: Path | None = None
    reference: Path | None = None

    @property
    def volume_unit(self) -> str:
        """ml, or px for pictures."""
        return "ml" if self.unit == "mm" else "px"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names in the rows, "union" last."""
        return tuple(dict.fromkeys(row.label for row in self.rows))

    def summary(self) -> dict[str, dict[str, Statistics]]:
        """Statistics per label and metric, over the cases whose reference holds the label."""
        return {label: _statistics(self._of(label)) for label in self.labels}

    def over_people(self) -> dict[str, dict[str, OverPeople]]:
        """The same over people: each one's own mean counts once, however many cases there are of him."""
        return {
            label: {
                metric: over_people(
                    [(self.people[row.case], getattr(row, metric)) for row in held], WITHIN[metric]
                )
                for metric in METRIC_NAMES
            }
            for label, held in ((label, self._held(label)) for label in self.labels)
        }

    def by_person(self) -> dict[str, dict[str, dict[str, OverPeople]]]:
        """Figures of each person, by label and metric, in the order of names."""
        return {
            person: {
                label: {
                    metric: over_people([(person, getattr(row, metric)) for row in held], within)
                    for metric, within in WITHIN.items()
                }
                for label in self.labels
                if (held := [row for row in self._held(label) if self.people[row.case] == person])
            }
            for person in sorted(set(self.people.values()))
        }

    def false_positives(self) -> dict[str, FalsePositives]:
        """What was predicted of a label where the reference holds none of it, per label."""
        return {
            label: FalsePositives.of(
                [each for row in self._of(label) if (each := row.false_positive_volume) is not None]
            )
            for label in self.labels
        }

    def missed(self) -> tuple[str, ...]:
        """Labels that references hold and no prediction finds, one sentence each; one for all of them."""
        classes = dict.fromkeys(row.label for row in self.rows if row.value is not None)
        held = {label: rows for label in classes if (rows := self._held(label))}
        lost = [label for label, rows in held.items() if not any(row.dice for row in rows)]
        if lost and not any(row.predicted_volume for row in self.rows):
            return ("every prediction is empty, though references are not",)
        return tuple(
            f"{label} is missed: no prediction overlaps it in {counted(len(held[label]), 'case')} with it"
            for label in lost
        )

    def _of(self, label: str) -> list[Metrics]:
        return [row for row in self.rows if row.label == label]

    def _held(self, label: str) -> list[Metrics]:
        return [row for row in self._of(label) if not row.absent]

    def worst(self) -> list[tuple[str, float]]:
        """Cases with the mean Dice of the labels they hold, the lowest first; left out are those without."""
        dice: dict[str, list[float]] = {}
        for row in self.rows:
            if row.value is not None and not row.absent:
                dice.setdefault(row.case, []).append(row.dice)
        means = {case: sum(values) / len(values) for case, values in dice.items()}
        return sorted(means.items(), key=lambda item: (item[1], item[0]))

    def worst_people(self) -> list[tuple[str, float]]:
        """People with the mean over their cases of the mean over a case's labels, the lowest first."""
        dice: dict[str, list[float]] = {}
        for case, mean in self.worst():
            dice.setdefault(self.people[case], []).append(mean)
        means = {person: sum(values) / len(values) for person, values in dice.items()}
        return sorted(means.items(), key=lambda item: (item[1], item[0]))

    def most_false(self, label: str | None = None) -> list[tuple[str, float]]:
        """Cases with what was predicted of labels that they do not hold, or of one; the most first."""
        volumes: dict[str, float] = defaultdict(float)
        for row in self.rows:
            meant = row.value is not None if label is None else row.label == label
            if meant and row.absent and row.predicted_volume:
                volumes[row.case] += row.predicted_volume
        return sorted(volumes.items(), key=lambda item: (-item[1], item[0]))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **self._sides_json(),
            "cases": len({row.case for row in self.rows}),
            "missing_predictions": list(self.missing),
            "tolerance": self.tolerance_mm,
            "units": {"length": self.unit, "volume": self.volume_unit},
            "empty_mask_rule": EMPTY_MASK_RULE,
            "summary": {
                label: {metric: asdict(numbers) for metric, numbers in metrics.items()}
                for label, metrics in self.summary().items()
            },
            **self._people_json(),
            "false_positives": {label: asdict(counts) for label, counts in self.false_positives().items()},
            "rows": [
                {**row.to_json(), "person": self.people[row.case]} if self.people else row.to_json()
                for row in self.rows
            ],
            "notes": list(self.notes),
            "warnings": [*self.warnings, *self.missed()],
        }

    def _sides_json(self) -> dict[str, Any]:
        if self.predictions is None or self.reference is None:
            return {}
        return {"predictions": str(self.predictions), "reference": str(self.reference)}

    def _people_json(self) -> dict[str, Any]:
        if not self.people:
            return {}
        return {
            "people": len(set(self.people.values())),
            "over_people": {
                label: {metric: numbers.model_dump() for metric, numbers in metrics.items()}
                for label, metrics in self.over_people().items()
            },
            "by_person": {
                person: {label: _means(metrics) for label, metrics in labels.items()}
                for person, labels in self.by_person().items()
            },
        }

    def write(self, path: Path, overwrite: bool = False) -> Path:
        """Write `.json` (everything) or `.csv` (the rows, with columns for the units), whole or not at all.

        Raises:
            DataError: as `check_output`, or a folder that cannot be written.
        """
        check_output(path, overwrite)
        write_text(path, self._csv() if path.suffix.lower() == ".csv" else self._json())
        return path

    def _json(self) -> str:
        return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"

    def _csv(self) -> str:
        person = ["person"] if self.people else []
        header = [*COLUMNS, "unit", "volume_unit", *person]
        units = self.unit, self.volume_unit
        rows = (
            [*row.to_json().values(), *units, *([self.people[row.case]] if self.people else [])]
            for row in self.rows
        )
        return csv_text([header, *rows])


def check_output(path: Path, overwrite: bool = False) -> None:
    """See that metrics can be written to a file, before they are computed.

    Raises:
        DataError: a suffix other than .csv and .json, or a file that is there and not to be replaced.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".json"):
        raise DataError(
            f"{path}: metrics are written as .csv or .json, found {suffix or 'no suffix'}; rename it"
        )
    refuse_existing(path, overwrite)


def _means(metrics: Mapping[str, OverPeople]) -> dict[str, float | int | None]:
    return {"cases": metrics["dice"].cases, **{name: each.mean for name, each in metrics.items()}}


def _statistics(rows: Sequence[Metrics]) -> dict[str, Statistics]:
    present = [row for row in rows if not row.absent]
    if not present:
        return dict.fromkeys(METRIC_NAMES, Statistics(None, None, None, 0))
    statistics = {}
    for name in METRIC_NAMES:
        values = np.array([getattr(row, name) for row in present], dtype=np.float64)
        values = values[~np.isnan(values)]  # where too little is known for a surface
        if not values.size:
            statistics[name] = Statistics(None, None, None, 0)
            continue
        std = float(values.std(ddof=1)) if len(values) > 1 else None
        statistics[name] = Statistics(float(values.mean()), float(np.median(values)), std, len(values))
    return statistics
