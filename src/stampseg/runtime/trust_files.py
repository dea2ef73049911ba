"""confidence.csv and confidence.json: how far each mask of a folder can be trusted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DataError, one_line
from ..core.files import write_text
from ..core.text import counted, csv_text
from ..data.plan import Plan
from .trust import Assessed, LabelTrust, Trust, label_trust, source_of

TABLE = "confidence.csv"
RECORD = "confidence.json"
SHOWN = 5  # masks of which least is to be expected, and as many others that are unusual
PAUSE_SECONDS = 30.0  # between two times that the files are written while masks are made
SHARE = 100  # a pause is at least so many times as long as the writing before it


class TrustFiles:
    """Both files of a folder, kept up while its masks are made, for whoever stops or kills that.

    Args:
        output: folder of the masks.
        plan: of the model.
        kept: masks that were there before.
    """

    def __init__(self, output: Path, plan: Plan, kept: Iterable[Assessed] = ()) -> None:
        self.output, self._plan = output, plan
        self._rows = {row.mask.name: row for row in kept}
        self._due = time.monotonic() + PAUSE_SECONDS

    @property
    def rows(self) -> list[Assessed]:
        """All masks that are told of."""
        return list(self._rows.values())

    def add(self, row: Assessed) -> None:
        """Another mask was written; now and then the files are."""
        self._rows[row.mask.name] = row
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write both files, where there is a mask to tell of."""
        start = time.monotonic()
        if self._rows:
            write_trust(self.output, self.rows, self._plan)
        now = time.monotonic()
        self._due = now + max(PAUSE_SECONDS, SHARE * (now - start))


def write_trust(output: Path, rows: Sequence[Assessed], plan: Plan) -> None:
    """Write `confidence.csv` and `confidence.json` beside the masks, those of least trust first.

    Args:
        output: folder of the masks.
        rows: the masks.
        plan: of the model.
    """
    ranked = _ranked(rows)
    table: list[list[object]] = [
        ["image", "mask", "label", "expected_dice", "low", "high", "certainty", "flags"]
    ]
    for row in ranked:
        for label in row.trust.labels:
            figures = ["" if v is None else f"{v:.4f}" for v in (*_three(label), label.certainty)]
            flags = "; ".join(row.trust.flags_of(label))
            table.append([row.image, row.mask.name, label.name, *figures, flags])
    write_text(output / TABLE, csv_text(table))
    record = {
        "source": source_of(plan),
        "scans": [as_json(row) for row in ranked],
    }
    write_text(output / RECORD, json.dumps(record, indent=1) + "\n")


def summary(rows: Sequence[Assessed], plan: Plan, output: Path) -> list[str]:
    """The last lines: the masks to look at first, why, and what the figures rest on."""
    ranked = _ranked(rows)
    lines = ["to look at first:"] if len(ranked) > 1 else []
    unusual = [row for row in ranked[SHOWN:] if row.trust.flags]  # a network may be sure of what is wrong
    for row in [*ranked[:SHOWN], *unusual[:SHOWN]] if len(ranked) > 1 else []:
        why = f"; {'; '.join(row.trust.flags)}" if row.trust.flags else ""
        lines.append(f"  {one_line(row.mask.name)}  {row.trust.words()}{why}")
    if len(unusual) > SHOWN:
        lines.append(f"  and {len(unusual) - SHOWN} more with something unusual: see flags in {TABLE}")
    flagged = sum(bool(row.trust.flags) for row in rows)
    lines.append(f"{counted(flagged, 'mask')} of {len(rows)} with something unusual; {source_of(plan)}")
    lines.append(f"written to {one_line(str(output / TABLE))} and {RECORD}")
    return lines


def _three(label: LabelTrust) -> tuple[float | None, float | None, float | None]:
    """Dice and the ends of its interval, as far as they are known."""
    dice, low, high = label.expected or (None, None, None)
    return (dice, low, high) if label.has_interval else (dice, None, None)


def as_json(row: Assessed) -> dict[str, Any]:
    """One JSON-ready dictionary."""
    return {
        "image": str(row.image),
        "mask": row.mask.name,
        "uncertainty": row.uncertainty.name,
        "flags": list(row.trust.flags),
        "unlike": list(row.trust.unlike),
        "labels": {
            label.name: {
                "found": label.found,
                "certainty": label.certainty,
                "expected_dice": _three(label)[0],
                "interval": None if _three(label)[1] is None else list(_three(label)[1:]),
            }
            for label in row.trust.labels
        },
    }


def _ranked(rows: Iterable[Assessed]) -> list[Assessed]:
    """Those of least trust first."""
    return sorted(rows, key=lambda row: (row.trust.lowest, row.mask.name))


def read_trust(output: Path, plan: Plan) -> dict[str, Assessed]:
    """What confidence.json of a folder tells of masks that are there, by their names; nothing without it.

    Args:
        output: folder of the masks.
        plan: of the model that made them.

    Raises:
        DataError: the file is damaged, or tells of other labels.
    """
    path = output / RECORD
    if not path.is_file():
        return {}
    try:
        rows = [_row(row, output, plan) for row in json.loads(path.read_text(encoding="utf-8"))["scans"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{path}: cannot be used, or was written by another model or version; leave out `confidence`, "
            "replace all masks with `overwrite`, or choose another folder with `output`"
        ) from None
    return {row.mask.name: row for row in rows if row.mask.is_file()}


def _row(row: Mapping[str, Any], output: Path, plan: Plan) -> Assessed:
    """A mask as it was told of; what follows from the plan is found anew.

    Raises:
        KeyError, TypeError, ValueError: it cannot be understood.
    """
    said = row["labels"]
    names = [name for name, _ in plan.structures]
    if list(said) != names:
        raise ValueError(f"labels {list(said)}, and not {names}")
    labels = tuple(
        label_trust(plan, number, _certainty(said[name]["certainty"]), bool(said[name]["found"]))
        for number, name in enumerate(names, 1)
    )
    trust = Trust(labels, tuple(map(str, row["flags"])), tuple(map(str, row["unlike"])))
    mask, uncertainty = (output / Path(row[name]).name for name in ("mask", "uncertainty"))
    return Assessed(Path(row["image"]), mask, uncertainty, trust)


def _certainty(value: Any) -> float | None:
    return None if value is None else float(value)
