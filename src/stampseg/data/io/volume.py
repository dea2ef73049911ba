"""A scan in memory, where its voxels lie, and whether an image and its label lie on one grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...core.errors import DataError, StampsegError
from ...core.remarks import reading, remark
from ...core.text import number_text, size_text
from .beginnings import told_by_start
from .limits import VARIABLE, most_values
from .orientation import UPRIGHT

Covers = Literal["all", "box", "slices"]
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # as DICOM and ITK place voxels, and as NIfTI does
GRID_TOLERANCE = 0.1  # voxels between the farthest corners of two grids that count as one


@dataclass(frozen=True, eq=False)
class Header:
    """What a file says of itself without its voxels.

    Attributes:
        shape: spatial shape in array order, XYZ for volumes, (row, column) for pictures.
        spacing: size of a voxel along each array axis in mm; 1.0 for pictures.
        affine: 4 x 4, voxel to RAS+ mm; None for pictures.
        channels: channels of the image; a label has one.
        dtype: type of the stored values.
        path: the file, or the folder of a DICOM series.
        is_picture: a 2D picture rather than a volume.
        notes: what a reader left out, or found unusual; one line each.
        placed: whether the file says where the image lies; not a TIFF, nor a NIfTI without qform and sform.
        covers: of a label map, what its file may hold of its image: all, or a box with voxels of its own
            around the segments, or the slices with segments alone.
        turned: EXIF's or TIFF's orientation of a picture, 1 to 8; `shape` is as viewers show it.
        other_affine: where the file puts it by a second statement that contradicts `affine`, as the qform of
            a NIfTI may; other programs take that one. None where there is none.
        frame_of_reference: UID of the point that DICOM measures `affine` from; "" where none is said.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    affine: np.ndarray | None
    channels: int
    dtype: str
    path: Path
    is_picture: bool
    notes: tuple[str, ...] = ()
    turned: int = UPRIGHT
    placed: bool = True
    covers: Covers = "all"
    other_affine: np.ndarray | None = None
    frame_of_reference: str = ""

    @property
    def orientation(self) -> str:
        """Axis codes such as "LPS"; "" for pictures."""
        return "" if self.affine is None else axis_codes(self.affine)


def axis_codes(affine: np.ndarray) -> str:
    """Such as "LPS": where the axes of an array run to."""
    from nibabel.orientations import aff2axcodes

    return "".join(map(str, aff2axcodes(affine)))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and header. `array` is (C, *S) float32 for an image, (*S) integer for a label."""

    array: np.ndarray
    header: Header


def volume_header(
    path: Path,
    shape: tuple[int, ...],
    affine: np.ndarray,
    channels: int,
    dtype: str,
    notes: tuple[str, ...] = (),
    placed: bool = True,
    covers: Covers = "all",
) -> Header:
    """Header of a 3D file, checked.

    Raises:
        DataError: absurd size, or an affine that does not place voxels in space.
    """
    affine = np.asarray(affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise DataError(
            f"{path}: the header's affine {affine[:3].tolist()} does not place voxels in space; "
            "expected three independent finite axes; correct the header (voxel size, sform or qform)"
        )
    spacing = tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    size = tuple(map(int, shape))
    header = Header(
        size, spacing, affine, int(channels), dtype, path, False, notes=notes, placed=placed, covers=covers
    )
    check_size(header)
    return header


def check_size(header: Header) -> None:
    """Refuse a header that asks for no voxels or for more than any machine here should decode.

    Raises:
        DataError: an empty axis, or more values than `most_values`.
    """
    values = math.prod(header.shape) * header.channels
    if values < 1 or min(header.shape) < 1:
        raise DataError(f"{header.path}: shape {header.shape} holds no voxels; the file is empty or broken")
    if values > most_values():
        raise DataError(
            f"{header.path}: shape {header.shape} with {header.channels} channel(s) is more than "
            f"{most_values():,} values; the header is broken, or cut the image into smaller files, or set "
            f"{VARIABLE}={values} if there is memory for it"
        )


def check_pair(image: Header, label: Header) -> None:
    """Check that a label lies on its image's grid.

    Raises:
        DataError: the shapes differ, or the grids lie more than a tenth of a voxel apart.
    """
    if image.shape != label.shape:
        raise DataError(
            f"{label.path}: label of shape {size_text(label.shape)}, but its image {image.path} has "
            f"{size_text(image.shape)}; a label must have its image's grid; check that they belong together"
        )
    distance = _grid_distance(image, label)
    if distance > GRID_TOLERANCE:
        raise DataError(
            f"{label.path}: the label's affine puts it {number_text(distance, 3)} voxels away from its "
            f"image {image.path} (same shape); check that they belong together, or write the label anew on "
            "the image's grid"
        )


def _grid_distance(first: Header, second: Header) -> float:
    """Largest distance between the same corners of two grids of one shape, in voxels of the first."""
    if first.affine is None or second.affine is None or not (first.placed and second.placed):
        return 0.0
    return corner_distance(first.shape, first.affine, second.affine)


def corner_distance(shape: tuple[int, ...], affine: np.ndarray, other: np.ndarray) -> float:
    """Largest distance between corners of an array that two affines place, in voxels of the first."""
    corners = np.array([(*c, 1.0) for c in itertools.product(*((0, size - 1) for size in shape))])
    apart = corners @ (affine - other).T
    return float(np.linalg.norm(apart[:, :3], axis=1).max() / np.linalg.norm(affine[:3, :3], axis=0).min())


NOT_HELD = "NaN or infinite, or too large for 32 bits (above 3.4e38)"


def as_image(array: np.ndarray, path: Path) -> np.ndarray:
    """Values (C, *S) as float32 in their own layout; what that cannot hold becomes 0, which is remarked on.

    Raises:
        DataError: complex values, or not one finite value.
    """
    if array.dtype.kind not in "buif":
        raise DataError(f"{path}: values of type {array.dtype}; expected real numbers, save the magnitude")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, then 0
        image = array.astype(np.float32, copy=False)
    if array.dtype.kind != "f":
        return image
    finite = np.isfinite(image)
    if finite.all():
        return image
    if not finite.any():
        raise DataError(f"{path}: every value is {NOT_HELD}; expected an image; correct the values")
    remark(f"holds values that are {NOT_HELD}, taken as 0")
    return np.where(finite, image, np.float32(0))


def as_label(array: np.ndarray, path: Path) -> np.ndarray:
    """Values (*S) as native integers.

    Raises:
        DataError: values that are not whole numbers.
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "ui":
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.kind != "f":
        raise DataError(f"{path}: label values of type {array.dtype}; expected whole numbers, one per class")
    _check_exact(array, path)
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(array - np.rint(array)) <= 1e-3)
    if off.any():
        raise DataError(
            f"{path}: label values such as {float(array[off].flat[0]):.4g} are not whole numbers; "
            "expected one whole number per class; threshold the probabilities, or resample labels with "
            "nearest neighbour"
        )
    return np.rint(array).astype(np.int64)


def _check_exact(array: np.ndarray, path: Path) -> None:
    """A large number may have been rounded to a float, and then be that of another structure."""
    above = float(2 ** (np.finfo(array.dtype).nmant + 1))
    large = array[(np.abs(array) >= above) & np.isfinite(array)]
    if large.size:
        raise DataError(
            f"{path}: label value {float(large.flat[0]):.0f} stored as {array.dtype}, which holds every "
            f"whole number only below {above:.0f}, so that it may have been another; save the label as "
            "whole numbers"
        )


@contextmanager
def refuse_unreadable(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into one DataError naming the file."""
    try:
        with reading(path):
            yield
    except StampsegError:
        raise
    except FileNotFoundError as error:
        missing = error.filename or path
        raise DataError(f"{path}: file not found ({missing}); check the path") from None
    # Decoders meet arbitrary bytes here and raise dozens of types, zlib.error and KeyError among them.
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("- ")] or lines  # nibabel's guesses
        found = lines[-1] if lines else type(error).__name__
        advice = told_by_start(path) or (
            "the file is damaged or not what its name says; copy it again, or name it by what it is"
        )
        raise DataError(f"{path}: cannot be read ({found}); {advice}") from None
