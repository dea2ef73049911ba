"""Labels in several files: a mask of each organ, together one map of classes; or pieces of one label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.remarks import reading, remark
from ...core.text import counted, some
from ..io.formats import folders_in, list_images, list_labels
from ..io.placing import grids_text, is_on_lattice, on_grid_of, spanned
from ..io.readers import read_header, read_label
from ..io.volume import Header, Volume
from ..layouts.habits import is_no_truth
from ..layouts.pairing import by_stem, pair

LabelFiles = Path | tuple[Path, ...]  # a map of classes, a mask of each organ, or pieces
PIECE = ""  # the name in place of an organ's of every piece of a label
INSIDE = 0.95  # of an organ's voxels in a larger one: it is a part of that; a few slip over the edge
PART = 0.9  # of the larger one's voxels that a part may have: two files of one organ are nearly the same
SHARED = 0.5  # of a piece may be in others at the most: two observers draw nearly the same


class Pieces(tuple[Path, ...]):
    """Files that hold a label together, as one for each lesion."""


def together(organs: Sequence[tuple[str, Path]]) -> tuple[Path, ...]:
    """The files of named masks: organs, or pieces where they are named so."""
    paths = tuple(path for _, path in organs)
    return Pieces(paths) if organs[0][0] == PIECE else paths


def read_label_files(files: LabelFiles) -> Volume:
    """The label (*S) of one file as it is, of pieces put together, or of a mask for each organ: what is not 0
    in the first is 1, in the second 2, and so on. A voxel of an organ that lies inside a larger one, as a
    tumour in a liver, is of the inner one.

    Raises:
        DataError: as `read_label`; a mask of an organ holds more than one value beside 0, lies on another
            grid than the others, or shares voxels with another one and is no part of it; most of a piece
            lies in others.
    """
    if isinstance(files, Path):
        return read_label(files)
    masks = [read_label(path) for path in files]
    header = _common_grid([mask.header for mask in masks])
    if isinstance(files, Pieces):
        return _put_together(files, masks, header)
    return _painted(files, [on_grid_of(mask, header).array for mask in masks], header)


def _painted(files: Sequence[Path], masks: Sequence[np.ndarray], header: Header) -> Volume:
    """The organs in one map (*S), large ones first: one inside another is painted over it."""
    whole = np.zeros(header.shape, np.min_scalar_type(len(files)))
    sizes = [_size_of(path, mask) for path, mask in zip(files, masks, strict=True)]
    for number in sorted(range(len(files)), key=lambda place: -sizes[place]):
        inside = masks[number] != 0
        others = np.bincount(whole[inside], minlength=len(files) + 1)[1:]
        if others.any():
            outer = int(others.argmax())
            _check_inside(files[number], sizes[number], files[outer], sizes[outer], int(others.sum()))
            with reading(files[number]):
                remark(f"lies inside {_other_name(files[number], files[outer])}, which is learnt without it")
        whole[inside] = number + 1
    return Volume(whole, header)


def _other_name(path: Path, other: Path) -> str:
    """What tells another mask of a case from this one: its folder, where both are called alike."""
    return other.parent.name if other.name == path.name else other.name


def _size_of(path: Path, mask: np.ndarray) -> int:
    """Voxels of an organ."""
    values = np.unique(mask)
    if len(values[values != 0]) > 1:
        raise DataError(
            f"{path}: label values {some(list(map(str, values.tolist())))}; expected 0 and one other, as "
            "every organ has a file of its own"
        )
    return int(np.count_nonzero(mask))


def _check_inside(path: Path, size: int, other: Path, larger: int, shared: int) -> None:
    """See that a mask of `size` voxels, `shared` of them in larger ones, is a part of them."""
    if shared < INSIDE * size or size > PART * larger:
        raise DataError(
            f"{path}: {shared} of its {counted(size, 'voxel')} in {other} as well, which has {larger}; "
            "expected every voxel in one organ, or a small one wholly inside a larger one; correct one of "
            "them, or train them apart"
        )


def _put_together(files: Pieces, masks: Sequence[Volume], header: Header) -> Volume:
    whole = np.zeros(header.shape, np.result_type(*(mask.array.dtype for mask in masks)))
    for path, mask in zip(files, masks, strict=True):
        inside = on_grid_of(mask, header).array
        drawn = inside != 0
        shared = int((drawn & (whole != 0)).sum())
        if shared > SHARED * drawn.sum():
            raise DataError(
                f"{path}: {counted(shared, 'voxel')} of its {int(drawn.sum())} also in others of its case "
                f"({some([other.name for other in files if other != path], 3)}); expected pieces of one "
                "label, each drawn once; where each is drawn by another observer, leave one in for each image"
            )
        whole[drawn] = inside[drawn]
    return Volume(whole, header)


def read_label_header(files: LabelFiles) -> Header:
    """The header of what `read_label_files` reads.

    Raises:
        DataError: as `read_label_files`, as far as headers tell.
    """
    if isinstance(files, Path):
        return read_header([files])
    return _common_grid([read_header([path]) for path in files])


def _common_grid(headers: Sequence[Header]) -> Header:
    """The grid of the first mask that covers its image; one as large as all need, where each is a part of it.

    Raises:
        DataError: a part has voxels of its own.
    """
    first = next((header for header in headers if header.covers == "all"), headers[0])
    for header in headers:
        if header.covers != "all" and not is_on_lattice(header, first):
            raise DataError(
                f"{grids_text(header, first, 'neighbour')}; expected one grid for the masks of a case; "
                "export all on the geometry of the image"
            )
    if first.covers == "all":
        return first
    return replace(reduce(spanned, headers), covers=first.covers)


def first_of(files: LabelFiles) -> Path:
    """The file that messages name."""
    return files if isinstance(files, Path) else files[0]


def each_of(files: LabelFiles) -> tuple[Path, ...]:
    """All files of a label."""
    return files if isinstance(files, tuple) else (files,)


def names_of(organs: Iterable[str]) -> dict[int, str]:
    """Name by value: organs are numbered in the order of their names."""
    return dict(enumerate(sorted(organs), 1))


def organ_folders(masks: Path, cases: Iterable[str]) -> dict[str, dict[str, Path]]:
    """Mask files by stem of each organ, where a folder holds folders of masks and no masks; else {}.

    Folders with the names of `cases`, the stems of images, are the labels of these.
    """
    if list_images(masks) or pair(cases, by_stem(list_labels(masks))[0]).labels:
        return {}
    inner = [path for path in folders_in(masks) if not is_no_truth(path.name)]
    found = {path.name: by_stem(list_images(path))[0] for path in inner}
    return {name: files for name, files in found.items() if files}
