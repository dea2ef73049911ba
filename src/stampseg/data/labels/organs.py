"""Labels in several files: a mask of each organ, together one map of classes; or pieces of one label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.text import counted, some
from ..io.formats import is_hidden, list_images, list_labels
from ..io.placing import grids_text, is_on_lattice, on_grid_of, spanned
from ..io.readers import read_header, read_label
from ..io.volume import Header, Volume
from ..layouts.pairing import by_stem, pair

LabelFiles = Path | tuple[Path, ...]  # a map of classes, a mask of each organ, or pieces
PIECE = ""  # the name in place of an organ's of every piece of a label
SHARED = 0.5  # of a piece may be in others at the most: two observers draw nearly the same


class Pieces(tuple[Path, ...]):
    """Files that hold a label together, as one for each lesion."""


def together(organs: Sequence[tuple[str, Path]]) -> tuple[Path, ...]:
    """The files of named masks: organs, or pieces where they are named so."""
    paths = tuple(path for _, path in organs)
    return Pieces(paths) if organs[0][0] == PIECE else paths


def read_label_files(files: LabelFiles) -> Volume:
    """The label (*S) of one file as it is, of pieces put together, or of a mask for each organ: what is not 0
    in the first is 1, in the second 2, and so on.

    Raises:
        DataError: as `read_label`; a mask of an organ holds more than one value beside 0, lies on another
            grid than the others, or shares voxels with another one; most of a piece lies in others.
    """
    if isinstance(files, Path):
        return read_label(files)
    masks = [read_label(path) for path in files]
    header = _common_grid([mask.header for mask in masks])
    if isinstance(files, Pieces):
        return _put_together(files, masks, header)
    whole = np.zeros(header.shape, np.min_scalar_type(len(files)))
    for number, mask in enumerate(masks, 1):
        inside = on_grid_of(mask, header).array
        values = np.unique(inside)
        if len(values[values != 0]) > 1:
            raise DataError(
                f"{files[number - 1]}: label values {some(list(map(str, values.tolist())))}; expected 0 and "
                "one other, as every organ has a file of its own"
            )
        shared = (inside != 0) & (whole != 0)
        if shared.any():
            other = files[int(whole[shared].flat[0]) - 1]
            raise DataError(
                f"{files[number - 1]}: {counted(int(shared.sum()), 'voxel')} of it in {other} as well; "
                "expected every voxel in one organ; where one lies inside the other, take it out of the "
                "outer mask; else correct one of them, or train them apart"
            )
        whole[inside != 0] = number
    return Volume(whole, header)


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


def names_of(organs: Iterable[str]) -> dict[int, str]:
    """Name by value: organs are numbered in the order of their names."""
    return dict(enumerate(sorted(organs), 1))


def organ_folders(masks: Path, cases: Iterable[str]) -> dict[str, dict[str, Path]]:
    """Mask files by stem of each organ, where a folder holds folders of masks and no masks; else {}.

    Folders with the names of `cases`, the stems of images, are the labels of these.
    """
    if list_images(masks) or pair(cases, by_stem(list_labels(masks))[0]).labels:
        return {}
    inner = [path for path in sorted(masks.iterdir()) if path.is_dir() and not is_hidden(path)]
    found = {path.name: by_stem(list_images(path))[0] for path in inner}
    return {name: files for name, files in found.items() if files}
