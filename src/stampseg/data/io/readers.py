"""File <-> array + geometry, one door for every format.

Volumes come in nibabel's axis order XYZ with a voxel to RAS+ affine, pictures as (row, column).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.files import write_whole
from . import dicom, pictures
from .colours import check_drawable, is_colour
from .format import Format
from .formats import format_named, format_of, is_within_series, require_package, stem_of, suffix_of
from .kept import kept_header, kept_volume
from .limits import HIGHEST_LABEL, check_kind
from .sources import replaced
from .volume import Header, Volume, check_pair, refuse_unreadable


def read_header(paths: Sequence[Path]) -> Header:
    """Header of a case's image files, without decoding voxels; channels are counted over all files.

    Raises:
        DataError: a file is missing, broken, of an unknown type, too large, or on another grid than
            the first.
    """
    headers = [_read_header(Path(path)) for path in paths]
    for other in headers[1:]:
        _check_channel_grid(headers[0], other)
    notes = tuple(dict.fromkeys(note for header in headers for note in header.notes))
    return replace(headers[0], channels=sum(header.channels for header in headers), notes=notes)


def read_image(paths: Sequence[Path], channels: int | None = None) -> Volume:
    """The channels (C, *S) float32 of a case's image files in their order; NaN and infinities become 0.

    With `channels`, grey is repeated to 3 channels and RGB of equal channels becomes grey, as data
    sets mix them.

    Raises:
        DataError: as `read_header`, or the file holds another number of channels.
    """
    paths = list(map(Path, paths))
    volume = kept_volume(paths, "image", lambda: _read_image(paths))
    if channels is not None and len(volume.array) != channels:
        array = with_channels(volume.array, channels, volume.header)
        return Volume(array, replace(volume.header, channels=channels))
    return volume


def _read_image(paths: Sequence[Path]) -> Volume:
    header = read_header(paths)
    arrays = []
    for path in paths:
        with refuse_unreadable(path):
            arrays.append(_format(path).read_image(path))
    array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return Volume(array, replace(header, channels=len(array)))


def read_label(path: Path) -> Volume:
    """The label (*S) as whole numbers of the file's own: grey value, palette's index or a code per colour.

    Raises:
        DataError: as `read_header`, or not one whole number per voxel.
    """
    return kept_volume([Path(path)], "label", lambda: _read_label(Path(path)))


def _read_label(path: Path) -> Volume:
    header = _read_header(path)
    with refuse_unreadable(path):
        kind = _format(path)
        if kind.read_label is None:
            raise DataError(f"{path}: {kind.no_labels}")
        array = kind.read_label(path)
    return Volume(array, replace(header, channels=1))


def read_palette(path: Path) -> np.ndarray | None:
    """Colours (n, 3) uint8 by index, where the file's pixels are indices into a palette; else None.

    Raises:
        DataError: the file is missing, broken or of an unknown type.
    """
    check_kind(path)
    with refuse_unreadable(path):
        kind = _format(path)
        return None if kind.read_palette is None else kind.read_palette(path)


def read_names(path: Path) -> dict[int, str]:
    """What a label map's own file calls its values, as Slicer's and DICOM-SEG do; {} where it says nothing.

    Raises:
        DataError: the file is missing, broken or of an unknown type.
    """
    check_kind(path)
    with refuse_unreadable(path):
        kind = _format(path)
        return {} if kind.read_names is None else kind.read_names(path)


def write_label(path: Path, labels: np.ndarray, like: Path | Sequence[Path]) -> Path:
    """Write (*S) whole numbers on the grid of the image `like`, in its file type where that can hold labels.

    The name's suffix is set to that type (see `output_name`). The file appears at once or not at all.

    Returns:
        The path written.

    Raises:
        DataError: `like` cannot be read, `labels` has another shape, it would replace the image, or the
            folder cannot be written.
    """
    sources = paths_of(like)
    target, source = mask_target(path, sources), sources[0]
    header = _read_header(source)
    if labels.shape != header.shape:
        raise DataError(f"{path}: labels of shape {labels.shape}; expected {header.shape}, that of {source}")
    stored = _smallest_unsigned(labels, target)
    check_storable([source], int(stored.max(initial=0)))
    check_drawable(stored, target)
    _write(target, stored, header)
    return target


def mask_target(path: Path, like: Path | Sequence[Path]) -> Path:
    """Where `write_label` writes the mask of an image.

    Raises:
        DataError: that is one of the image's own files, or the image is of an unknown type.
    """
    sources = paths_of(like)
    target = Path(path).with_name(stem_of(Path(path)) + format_of(sources[0]).mask_suffix_of(sources[0]))
    twin = twin_of(target)
    lost = replaced([target, *([] if twin is None else [twin])], sources)
    if lost is not None:
        raise DataError(
            f"{lost}: would replace the image that the mask is of; expected another file; choose another "
            "name or folder"
        )
    return target


def write_percent(path: Path, percent: np.ndarray, like: Path | Sequence[Path]) -> Path:
    """Write (*S) numbers from 0 to 100 as `write_label` would; in a PNG they are indices of bright colours.

    Returns:
        The path written.

    Raises:
        DataError: as `write_label`.
    """
    sources = paths_of(like)
    target, source = mask_target(path, sources), sources[0]
    if target.suffix != ".png":
        return write_label(path, percent, like)
    header = _read_header(source)
    write_whole(target, lambda place: pictures.write_percent(place, percent, header), ending=".png")
    return target


def check_storable(images: Sequence[Path], highest: int) -> None:
    """Check that a mask of an image can hold a label, in the file type that it will have.

    Raises:
        DataError: it cannot.
    """
    name = output_name(images)
    kind = format_named(Path(name))
    if kind is None or highest <= kind.highest_label or (kind.colours and is_colour(highest)):
        return
    found = "colours" if is_colour(highest) else str(highest)
    raise DataError(
        f"{images[0]}: its masks are {kind.name} files, which hold labels to {kind.highest_label}, and "
        f"not {found}; number the structures anew, or give the images in another format, such as TIFF"
    )


UNCERTAINTY = "_uncertainty"  # behind the name of a mask: percent of doubt, voxel by voxel


def output_name(case_images: Sequence[Path]) -> str:
    """File name of the labels predicted for an image: the image's own, where its type can hold labels.

    `scan.nii.gz` -> `scan.nii.gz`; `photo.jpg` -> `photo.png`; `a_0000.nii.gz` -> `a.nii.gz`; a DICOM
    series in the folder `X` -> `X.nii.gz`; a detached `.mhd`, `.nhdr` -> `.mha`, `.nrrd`.
    """
    first = Path(case_images[0])
    stem = stem_of(first)
    # A lone x_0000 beside x_0001 is a numbered series of images, not a first channel.
    second = first.with_name(f"{stem[:-1]}1{first.name[len(stem) :]}")
    alone = len(case_images) == 1 and os.path.exists(second)
    if stem.endswith("_0000") and len(stem) > 5 and not alone:
        stem = stem[:-5]
    return stem + format_of(first).mask_suffix_of(first)


def segmentation_name(image: Path, mask: str) -> str:
    """File name of the DICOM-SEG predicted for a DICOM image: the series in the folder `X` -> `X.dcm`.

    Args:
        image: its first file, or its folder.
        mask: what a label map of it would be called.

    Raises:
        DataError: the image is no DICOM.
    """
    if format_of(image) not in dicom.FORMATS:
        raise DataError(f"{image}: is no DICOM image; `dicom_seg` needs them; leave it out")
    return mask.removesuffix(".nii.gz").removesuffix(".png") + ".dcm"


def twin_of(target: Path) -> Path | None:
    """The other file of the pair that is written for a `.hdr` or `.img`; None for other names."""
    kind, suffix = format_named(target), suffix_of(target)
    twin = kind.twin_of(suffix) if kind is not None else ""
    return target.with_name(stem_of(target) + twin) if twin else None


def paths_of(image: Path | str | Sequence[Path | str]) -> list[Path]:
    """The files of an image that is named by one, or by one for each channel."""
    return [Path(image)] if isinstance(image, str | Path) else list(map(Path, image))


def _format(path: Path) -> Format:
    """What reads the file; its package, which only such files may need, is there."""
    kind = format_of(path)
    require_package(kind, path)
    return kind


def _read_header(path: Path) -> Header:
    return kept_header(path, _header_of)


def _header_of(path: Path) -> Header:
    if not is_within_series(path):
        check_kind(path)
    with refuse_unreadable(path):
        return _format(path).read_header(path)


def _check_channel_grid(first: Header, other: Header) -> None:
    try:
        check_pair(first, other)
    except DataError:
        raise DataError(
            f"{other.path}: channel of shape {other.shape} is not on the grid of {first.path} with "
            f"{first.shape}; all channels of a case must share one grid; resample them to it"
        ) from None


def with_channels(array: np.ndarray, channels: int, header: Header) -> np.ndarray:
    """An image (C, *S) with another number of channels: grey three times, or RGB that is grey once.

    Raises:
        DataError: it cannot be that without losing or making up something.
    """
    if len(array) == 1 and channels == 3:
        return np.repeat(array, 3, axis=0)
    if len(array) == 3 and channels == 1 and (array == array[:1]).all():
        return np.ascontiguousarray(array[:1])
    raise DataError(
        f"{header.path}: {len(array)} channel(s), but {channels} expected as in the other cases; "
        "convert the images to the same channels"
    )


def _smallest_unsigned(labels: np.ndarray, path: Path) -> np.ndarray:
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    whole = labels.dtype.kind in "bui"
    if not whole or lowest < 0 or (highest > HIGHEST_LABEL and not is_colour(highest)):
        raise DataError(
            f"{path}: labels of {labels.dtype} from {lowest} to {highest}; expected 0 to {HIGHEST_LABEL}"
        )
    return labels.astype(np.min_scalar_type(highest), copy=False)


def _write(target: Path, labels: np.ndarray, like: Header) -> None:
    """Write (*S) labels as the target's name says, on the grid of `like`, whole or not at all."""
    kind = format_named(target)
    if kind is None or kind.write_label is None:
        raise ValueError(f"{target}: no format writes masks of this name")
    require_package(kind, target)
    write, suffix = kind.write_label, suffix_of(target)
    write_whole(target, lambda place: write(place, labels, like), ending=suffix, twin=kind.twin_of(suffix))
