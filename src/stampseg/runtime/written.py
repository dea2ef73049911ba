"""What `segment` has written, mask by mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..data.io.volume import Header
from .trust import Assessed, refuse_untrusted
from .trust_files import as_json


@dataclass(frozen=True)
class Written:
    """A mask that was written.

    Attributes:
        path: of the mask.
        image: its first file.
        case: its id.
        header: of the image.
        voxels: of each class.
        dropped: pieces left out of it.
        changed: voxels, by post-processing.
        seconds: reading and writing included.
        remarks: in what the image is unlike those that the model was trained on.
        absurd: in what the mask is far from all training labels.
        assessed: how far it can be trusted, where that was asked for.
        trained_on: whether the model was trained on this very image.
        validated_with: whether this very image was among those by whose Dice the model was chosen.
        content: what tells the voxels of its image.
        probabilities: the file of them, where they were asked for.
    """

    path: Path
    image: Path
    case: str
    header: Header
    voxels: tuple[int, ...]
    dropped: int
    changed: int
    seconds: float
    remarks: tuple[str, ...]
    assessed: Assessed | None = None
    trained_on: bool = False
    probabilities: Path | None = None
    absurd: tuple[str, ...] = ()
    content: str = ""
    validated_with: bool = False

    @property
    def labelled(self) -> int:
        """Voxels of all classes but the background."""
        return sum(self.voxels[1:])

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """As plain values; `names` are of the classes."""
        return {
            "mask": str(self.path),
            "image": str(self.image),
            "trained_on": self.trained_on,
            "validated_with": self.validated_with,
            "unlike": list(self.remarks),
            "unusual": list(self.absurd),
            "shape": list(self.header.shape),
            "spacing": list(self.header.spacing),
            "unit": "px" if self.header.is_picture else "mm",
            "orientation": self.header.orientation,
            "channels": self.header.channels,
            "voxels": dict(zip(names, self.voxels, strict=True)),
            "stray_pieces": self.dropped,
            "changed_voxels": self.changed,
            "notes": list(self.header.notes),
            "seconds": round(self.seconds, 3),
            **({} if self.probabilities is None else {"probabilities": str(self.probabilities)}),
            **({} if self.assessed is None else {"trust": as_json(self.assessed)}),
        }


@dataclass(frozen=True)
class Segmentation:
    """What came of all inputs: masks, what could not be segmented (image and why), and what was told."""

    masks: tuple[Written, ...]
    failed: tuple[tuple[Path, str], ...]
    warnings: tuple[str, ...]
    names: tuple[str, ...]
    fail_below: float | None = None
    skipped: int = 0  # images that were passed over, as their masks were there
    trust: tuple[Assessed, ...] = ()  # of all, and of those passed over, where it was asked for

    def check(self) -> None:
        """See that all could be segmented, and that as much Dice is expected of each as was asked for.

        Raises:
            DataError: some could not.
            UntrustedError: less than `fail_below` is to be expected of a mask.
        """
        if self.failed:
            raise DataError(self.failure)
        refuse_untrusted(self.trust, self.fail_below)

    @property
    def failure(self) -> str:
        """What could not be segmented, in a line."""
        count = len(self.masks) + len(self.failed)
        return f"{len(self.failed)} of {count} inputs could not be segmented; the first: {self.failed[0][1]}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "masks": [mask.to_json(self.names) for mask in self.masks],
            "failed": [{"image": str(image), "error": said} for image, said in self.failed],
            "passed_over": self.skipped,
            "trained_on": sum(mask.trained_on for mask in self.masks),
            "warnings": list(self.warnings),
        }
