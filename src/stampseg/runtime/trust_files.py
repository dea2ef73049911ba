"""confidence.csv and confidence.json: how far each mask of a folder can be trusted.

While masks are made, a line of each is added to a hidden file beside them: what a process that is stopped or
killed has found is taken up from there, and by another that works on the same folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import DataError, one_line
from ..core.files import sha256_of, write_text
from ..core.run_folder import model_file_of
from ..core.text import counted, csv_text
from ..data.io.readers import twin_of
from ..data.plan import Plan
from .trust import Assessed, LabelTrust, Trust, label_trust, source_of

TABLE = "confidence.csv"
RECORD = "confidence.json"
LINES = ".confidence.jsonl"  # of masks that the others do not tell of yet
TAKEN = ".confidence-{}.jsonl"  # the same, while a process writes the others
SHOWN = 5  # masks of which least is to be expected, and as many others that are unusual
_BAD = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def made_by(model: Path, **options: bool) -> dict[str, object]:
    """What tells the masks of one model and its options from those of others.

    Args:
        model: run folder or model file.
        options: those that change masks, or what is found of them.
    """
    file = model_file_of(model)
    return {"model": sha256_of(file) if file.is_file() else "", **options}


@dataclass
class TrustFiles:
    """Both files of a folder, and what is to come into them.

    Args:
        output: folder of the masks.
        plan: of the model.
        by: what makes the masks, of `made_by`.
    """

    output: Path
    plan: Plan
    by: Mapping[str, object]
    _known: dict[str, tuple[Assessed, str]] = field(default_factory=dict)  # with the digest of the mask

    def take_up(self, strict: bool) -> None:
        """Take what is told of masks that are there as they were.

        Args:
            strict: refuse what is told of masks of another model or other options; else it is left out.

        Raises:
            DataError: as above, or the file is damaged.
        """
        for row, digest in self._told(strict):
            with suppress(OSError):
                if row.mask.name not in self._known and mask_digest(row.mask) == digest:
                    self._known[row.mask.name] = row, digest

    def forget(self, masks: Iterable[Path]) -> None:
        """Of masks that are made anew."""
        for mask in masks:
            self._known.pop(mask.name, None)

    def of_others(self) -> list[str]:
        """Masks here that are told of as another model's, or of other options; `write` leaves them out."""
        path = self.output / RECORD
        with suppress(*_BAD):
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["made_by"] != self.by:
                names = sorted(Path(scan["mask"]).name for scan in found["scans"])
                return [name for name in names if (self.output / name).is_file()]
        return []

    def of(self, masks: Iterable[Path]) -> dict[str, Assessed]:
        """Those of these masks that are told of, by name."""
        return {mask.name: self._known[mask.name][0] for mask in masks if mask.name in self._known}

    @property
    def rows(self) -> list[Assessed]:
        """All masks that are told of."""
        return [row for row, _ in self._known.values()]

    def add(self, row: Assessed) -> None:
        """Another mask was written."""
        digest = ""
        with suppress(OSError):  # the masks are what matters
            digest = mask_digest(row.mask)
            line = json.dumps({"made_by": self.by, "scan": _recorded(row, digest)})
            with (self.output / LINES).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # before it may be half a line of a process that was killed
        self._known[row.mask.name] = row, digest

    def write(self) -> None:
        """Write both files, where there is a mask to tell of."""
        if not self._known:
            return
        taken = self.output / TAKEN.format(os.getpid())
        with suppress(FileNotFoundError):  # what other processes add from now on is in a new file
            os.replace(self.output / LINES, taken)
        self.take_up(strict=False)  # another process may have told of others
        write_trust(self.output, list(self._known.values()), self.plan, self.by)
        if others := [line for line, by, _ in self._lines([taken]) if by != self.by]:
            with (self.output / LINES).open("a", encoding="utf-8") as file:
                file.write("\n".join(["", *others, ""]))
        taken.unlink(missing_ok=True)

    def _told(self, strict: bool) -> Iterator[tuple[Assessed, str]]:
        """Masks with what their files were, those that were told of last first."""
        files = sorted(self.output.glob(TAKEN.format("*")))
        for _, by, scan in reversed(list(self._lines([*files, self.output / LINES]))):
            with suppress(*_BAD):
                if by == self.by:
                    yield _row(scan, self.output, self.plan)
        path = self.output / RECORD
        if not path.is_file():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            same = found["made_by"] == self.by
            rows = [_row(row, self.output, self.plan) for row in found["scans"]] if same else []
        except _BAD:
            same, rows = False, []
        if strict and not same:
            raise DataError(
                f"{path}: tells of masks of another model, of other options or of another version, or is "
                "damaged; leave out `confidence`, replace all masks with `overwrite`, or choose another "
                "folder with `output`"
            )
        yield from rows

    def _lines(self, files: Iterable[Path]) -> Iterator[tuple[str, Any, Any]]:
        """Each whole line, what made its mask, and what is told of that."""
        for file in files:
            with suppress(OSError):
                for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                    with suppress(*_BAD):  # half a line of a process that was killed
                        found = json.loads(line)
                        yield line, found["made_by"], found["scan"]


def mask_digest(mask: Path) -> str:
    """Of a mask's file, both where there are two.

    Raises:
        OSError: it is not there.
    """
    twin = twin_of(mask)
    return " ".join(sha256_of(path) for path in (mask, twin) if path is not None)


def write_trust(
    output: Path, masks: Sequence[tuple[Assessed, str]], plan: Plan, by: Mapping[str, object]
) -> None:
    """Write `confidence.csv` and `confidence.json` beside the masks, those of least trust first.

    Args:
        output: folder of the masks.
        masks: what is told of each, and the digest of its file.
        plan: of the model.
        by: what made them, of `made_by`.
    """
    digests = {row.mask.name: digest for row, digest in masks}
    ranked = _ranked([row for row, _ in masks])
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
        "made_by": dict(by),
        "scans": [_recorded(row, digests[row.mask.name]) for row in ranked],
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


def _recorded(row: Assessed, digest: str) -> dict[str, Any]:
    """A mask with what its file is, and its image wherever somebody reads this."""
    return {**as_json(row), "image": str(row.image.absolute()), "sha256": digest}


def _row(row: Mapping[str, Any], output: Path, plan: Plan) -> tuple[Assessed, str]:
    """A mask as it was told of, what follows from the plan found anew; and what its file was.

    Raises:
        KeyError, TypeError, ValueError: it cannot be understood.
    """
    said, names = row["labels"], [name for name, _ in plan.structures]
    if list(said) != names:
        raise ValueError(f"labels {list(said)}, and not {names}")
    labels = tuple(
        label_trust(plan, number, _certainty(said[name]["certainty"]), _of_kind(said[name]["found"], bool))
        for number, name in enumerate(names, 1)
    )
    flags, unlike = (tuple(_of_kind(row[name], list)) for name in ("flags", "unlike"))
    mask, uncertainty = (output / Path(row[name]).name for name in ("mask", "uncertainty"))
    assessed = Assessed(Path(row["image"]), mask, uncertainty, Trust(labels, flags, unlike))
    return assessed, _of_kind(row["sha256"], str)


def _certainty(value: Any) -> float | None:
    if value is None:
        return None
    if not 0 <= value <= 1:
        raise ValueError(f"certainty {value}")
    return float(value)


def _of_kind(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
