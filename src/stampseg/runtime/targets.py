"""Where masks and what belongs to them are written, and whether they may be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import DataError
from ..data.cases import Case
from ..data.io.formats import stem_of, suffix_of
from ..data.io.probabilities import PROBABILITIES, SUFFIX
from ..data.io.readers import twin_of
from ..data.io.sources import place_in, replaced
from .trust import uncertainty_of


def overlay_of(case: Case, overlays: Path) -> Path:
    """The picture of a case."""
    return overlays / f"{case.id}.png"


def probabilities_of(mask: Path, case: Case) -> Path:
    """The probabilities beside a mask: `photo.png` -> `photo_probabilities.nii.gz`."""
    return mask.with_name(f"{stem_of(Path(case.mask_name))}{PROBABILITIES}{SUFFIX}")


def check_folder(folder: Path) -> None:
    """Masks are written to a folder, or to a free name; the folder is made with the first mask.

    Raises:
        DataError: the name is a file's, or one that a file would have.
    """
    if suffix_of(folder) and not os.path.lexists(folder):
        raise DataError(
            f"{folder}: is called as a file; expected a folder, in which each mask has its image's name; say "
            f"{folder.with_name(stem_of(folder))}"
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; expected one to write to; choose another name")


def refuse_overwriting(
    cases: Sequence[Case],
    masks: Mapping[tuple[Path, ...], Path],
    overlays: Path | None,
    overwrite: bool,
    confidence: bool = False,
    probabilities: bool = False,
) -> None:
    """A mask written over an image or a drawn label would lose it; nothing is written in that case."""
    targets: list[Path] = []
    for case in cases:
        mask = masks[case.images]
        twin = twin_of(mask)
        targets += [mask, *([] if twin is None else [twin])]
        targets += [] if overlays is None else [overlay_of(case, overlays)]
        targets += [uncertainty_of(mask, case)] if confidence else []
        targets += [probabilities_of(mask, case)] if probabilities else []
    lost = replaced(targets, [image for case in cases for image in case.images])
    if lost is not None:
        raise DataError(
            f"{lost}: would replace an image that is to be segmented; choose another folder "
            "with `output` or `overlays`"
        )
    place, taken = place_in({target.parent for target in targets}), set[str]()
    for target in targets:
        if place(target) in taken:
            raise DataError(f"{target}: two files would be written to this name; choose another folder")
        if os.path.lexists(target) and not overwrite:
            raise DataError(
                f"{target}: exists already; choose another folder with `output`, or say `overwrite`"
            )
        taken.add(place(target))
