"""Scans that train and judge as well, under other names and in other files."""

from __future__ import annotations

from contextlib import suppress

from ..core.errors import DataError
from ..data.content import content_of
from ..data.io.readers import read_header, read_image
from .survey import Survey


def told_copies(seen: Survey) -> list[str]:
    """A warning for each case that judges the network and has the voxels of one that trains.

    Files that are equal byte for byte count as one person's from the start; these are packed otherwise, or of
    another format. Only images of a size that trains are read.
    """
    split, known = seen.split, seen.fingerprint
    trained = {
        content: case.id for content, case in zip(known.contents, split.training, strict=False) if content
    }
    sizes = set(map(_size, known.shapes))
    told = []
    for what, cases in (("validates", split.validation), ("is kept aside", (*split.test, *split.held_out))):
        for case in cases:
            with suppress(DataError, OSError):  # it is said when the case is used
                if _size(read_header(case.images).shape) not in sizes:
                    continue
                same = trained.get(content_of(read_image(case.images, seen.plan.in_channels)))
                if same is not None:
                    told.append(
                        f"{case.id} {what} and has the voxels of {same}, which trains: its Dice will be too "
                        "good to be true; delete one of them, or give both one person by `group_regex` or a "
                        "CSV's group column"
                    )
    return told


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The same however the axes are stored, and whether or not a picture has a third."""
    return tuple(sorted(length for length in shape if length > 1))
