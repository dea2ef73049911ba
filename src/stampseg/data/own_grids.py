"""Labels with voxels of their own, which are not those of their images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.errors import DataError
from ..core.text import counted
from .cases import Case
from .io.placing import grids_text, is_on_lattice
from .io.readers import read_header
from .labels.organs import first_of, read_label_header
from .oddity import Oddity

REMEDY = (
    "look at the outlines, for thin structures may be lost; better export the segmentation on the geometry "
    "of its image"
)


def own_grids(cases: Iterable[Case]) -> Oddity | None:
    """Labels that are brought to other voxels; None where each voxel is one of its image's."""
    said, files = "", list[Path]()
    for case in cases:
        if case.label_files is None:
            continue
        try:
            label = read_label_header(case.label_files)
            if label.covers == "all" or is_on_lattice(label, image := read_header(case.images)):
                continue
        except DataError:  # told where it is needed
            continue
        said = said or grids_text(label, image, "image")
        files.append(first_of(case.label_files))
    if not files:
        return None
    others = f", as of {counted(len(files) - 1, 'other label')}" if len(files) > 1 else ""
    said += f"; each voxel of the image takes the label nearest to its middle{others}"
    return Oddity("grid", said, REMEDY, tuple(files))
