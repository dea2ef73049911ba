"""How images are segmented, and what is written of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError


@dataclass(frozen=True)
class SegmentOptions:
    """What `segment` is asked for.

    Attributes:
        overlays: folder for pictures of the masks.
        device: where to compute.
        threads: to compute with; None: all cores.
        trusted: `package.module:Class` names whose code the model may use, or the `.pt2` file.
        overwrite: replace masks that are there.
        skip_existing: pass over images whose masks, and whatever else is asked for of them, are there.
        batch_size: windows computed at once.
        mirror: average over all mirrored views: of networks that learnt from mirrored images.
        ensemble: average the networks of the folds of a run folder, in place of its own network.
        postprocess: do to each mask what the model says: fill holes, drop pieces.
        all_pieces: keep all pieces of labels that are one piece by the plan.
        dicom_seg: write masks of DICOM series as DICOM-SEG, a segment for each label.
        confidence: also say how far each mask can be trusted: `confidence.csv` and `.json`, and a map of the
            uncertain voxels beside each mask; three times the work.
        probabilities: also write the probabilities of all labels of each mask, NAME_probabilities.nii.gz:
            calibrated where the model has a calibration.
        fail_below: Dice that must be expected of every mask; asks for confidence.

    Raises:
        ConfigError: `skip_existing` with `overwrite`.
    """

    overlays: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    trusted: tuple[str, ...] = ()
    overwrite: bool = False
    skip_existing: bool = False
    batch_size: int = 1
    mirror: bool = False
    ensemble: bool = False
    postprocess: bool = True
    all_pieces: bool = False
    dicom_seg: bool = False
    confidence: bool = False
    probabilities: bool = False
    fail_below: float | None = None

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            raise ConfigError(
                "`skip_existing` keeps masks that are there, and `overwrite` replaces them; leave out one of "
                "them"
            )

    @property
    def assesses(self) -> bool:
        """Whether it is found how far each mask can be trusted."""
        return self.confidence or self.fail_below is not None
