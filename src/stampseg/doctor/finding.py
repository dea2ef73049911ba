"""One thing that is worth knowing about a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

CODES: dict[str, tuple[Severity, str]] = {
    "unusable": ("error", "A file cannot be read, or does not belong to its pair."),
    "step": ("error", "A training step of the planned network fails on this machine."),
    "no-plan": ("error", "The cases do not make one task: kinds, channels or labels contradict each other."),
    "leak": ("error", "The same voxels are in training and in validation, as if of two people."),
    "disk": ("error", "The run would not fit on the disk."),
    "unused": ("warning", "A file cannot be used; the run that was asked for does not need it."),
    "twin": ("warning", "Two cases have the same voxels under different names."),
    "people": (
        "warning",
        "File names or DICOM headers look as if several cases were of one person, and no option says so.",
    ),
    "labels": (
        "warning",
        "A label value does not mean the same in all files, or a mask looks like a mistake.",
    ),
    "label-shown": ("warning", "An image, or a channel of it, shows its label and nothing else."),
    "grid": ("warning", "A label has voxels of its own, and is brought to those of its image."),
    "empty-mask": ("warning", "A mask holds background only."),
    "rare-class": ("warning", "A class occurs in one or two cases only."),
    "seldom-class": ("note", "A class is in fewer than half of the masks."),
    "unvalidated-class": ("warning", "A class occurs in no validation case."),
    "constant": ("warning", "An image has one value everywhere."),
    "intensity": ("warning", "A CT's values are unlike the other cases'."),
    "spacing": ("warning", "A voxel is twice or half the size of the other cases'."),
    "size": ("warning", "An image covers three times more, or less, than the other cases'."),
    "pose": ("warning", "Scans look turned or mirrored against those of other people."),
    "kinds": ("warning", "The cases fall apart into two kinds, by size or by where the middle value lies."),
    "stranger": ("warning", "Scans without labels are unlike those with labels."),
    "memory": ("warning", "Training would need more memory than is free."),
    "data": ("warning", "What was noticed while pairing files."),
    "reader": ("warning", "The library that reads a file remarks on it."),
    "scale": (
        "note",
        "Images have values of another scale; each is normalised by itself.",
    ),
    "orientation": ("note", "Files are stored in several orientations; they are brought to one."),
    "oblique": ("note", "Axes are turned or sheared against the scanner's; they are kept as they are."),
}


@dataclass(frozen=True)
class Finding:
    """What was found, in which files, and what to do.

    Attributes:
        code: a stable name, see `CODES`.
        found: one line; names the first file where there is one.
        fix: what to do about it.
        files: all that it is about.
    """

    code: str
    found: str
    fix: str = ""
    files: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """error: training would fail or be wrong; warning: look at it; note: good to know."""
        return CODES[self.code][0]

    def __str__(self) -> str:
        return f"{self.found}; {self.fix}" if self.fix else self.found

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready dictionary."""
        return {"severity": self.severity, **asdict(self)}


def finding(code: str, found: str, fix: str = "", files: Iterable[Path | str] = ()) -> Finding:
    """A finding; the code is checked."""
    if code not in CODES:
        raise ValueError(f"{code}: not among {', '.join(CODES)}")
    return Finding(code, found, fix, tuple(map(str, files)))


def messages(findings: Sequence[Finding], severity: Severity) -> list[str]:
    """One line for each finding of that severity."""
    return [str(one) for one in findings if one.severity == severity]
