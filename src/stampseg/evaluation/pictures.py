"""Pictures of cases that are evaluated: prediction filled, reference as outline, over the scan or black."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..data.inputs import find_inputs
from ..data.io.readers import read_image
from ..data.io.sources import replaced
from ..data.io.volume import Header
from ..data.preprocess import find_orientation, orient, oriented_spacing
from .overlay import save_overlay


@dataclass
class Pictures:
    """Writes a PNG of each case.

    Attributes:
        folder: to write to.
        images: folder of the scans that were segmented; None: masks are drawn on black.
        overwrite: replace pictures that are there.
    """

    folder: Path
    images: Path | None = None
    overwrite: bool = False
    _scans: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def check(self, cases: Sequence[str], read: Sequence[Path] = ()) -> None:
        """See that all can be written, before anything is computed.

        Args:
            cases: of which there will be pictures.
            read: predictions and labels, none of which may be replaced.

        Raises:
            DataError: a picture is there already or would take the place of what is read, or no scan fits a
                case.
        """
        if self.images is not None:
            self._scans = {case.id: case.images for case in find_inputs([self.images])}
        scans = [image for images in self._scans.values() for image in images]
        lost = replaced([self.path(case) for case in cases], [*read, *scans])
        if lost is not None:
            raise DataError(
                f"{lost}: a picture would replace a file that is read; choose another folder with `overlays`"
            )
        for case in cases:
            if os.path.lexists(self.path(case)) and not self.overwrite:
                raise DataError(
                    f"{self.path(case)}: exists already; choose another folder with `overlays`, or say "
                    "`overwrite`"
                )
        if self.images is None:
            return
        if not set(self._scans) & set(cases):
            raise DataError(
                f"{self.images}: no scan is called as a prediction ({', '.join(cases[:3])}); expected the "
                "images that were segmented"
            )

    def path(self, case: str) -> Path:
        """Of a case's picture."""
        return self.folder / f"{case}.png"

    def draw(
        self, case: str, header: Header, prediction: np.ndarray, reference: np.ndarray, names: Sequence[str]
    ) -> list[str]:
        """Write a case's picture.

        Args:
            case: its name.
            header: of the prediction, whose grid all lie on.
            prediction: class indices (*S); those beyond the names are no class.
            reference: likewise; beyond the names nobody said what they are, and nothing is drawn there.
            names: of the classes, background first.

        Returns:
            What is said of it: a warning where its scan could not be drawn.
        """
        image, said = self._image(case, header)
        turn = find_orientation(header)
        known = reference < len(names)
        masks = (np.where(known & (mask < len(names)), mask, 0) for mask in (prediction, reference))
        save_overlay(
            self.path(case), orient(image, turn), *(orient(mask, turn) for mask in masks), title=case,
            spacing=oriented_spacing(header.spacing, turn), label_names=dict(enumerate(names)),
            placed=header.placed,
        )  # fmt: skip
        return said

    def _image(self, case: str, header: Header) -> tuple[np.ndarray, list[str]]:
        black = np.zeros((1, *header.shape), np.float32)
        if self.images is None:
            return black, []
        if case not in self._scans:
            return black, [f"{case}: no scan of this name in {self.images}; its masks are drawn on black"]
        scan = read_image(self._scans[case])
        if scan.array.shape[1:] != header.shape:
            path = self._scans[case][0]
            found = scan.array.shape[1:]
            return black, [f"{path}: shape {found}, its mask has {header.shape}; the mask is drawn on black"]
        return scan.array, []
