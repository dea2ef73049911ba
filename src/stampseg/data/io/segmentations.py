"""DICOM-SEG: label maps with a segment per class, read with pydicom and written with highdicom.

Segments are numbered from 1, and these numbers are the values of the label map that is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.files import write_whole
from ...core.packages import require
from ...core.remarks import unheard
from ...core.text import some
from ...core.version import __version__
from .frames import NO_VOXELS, SEGMENTATIONS, Frame, frames_in, frames_of, is_dicom, kind_of, reference_of
from .scans import DEPTH, scan_at
from .stacks import OFF_GRID, Scan, by_place, in_order, on_one_grid
from .volume import LPS_TO_RAS, Header, volume_header

MOST_EMPTY = 2**26  # bytes of frames up to which those without a voxel are written too, for the whole grid
# Elements that every object must have, be they empty; anonymised images often lack some.
REQUIRED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM-SEG."""
    import pydicom

    if not path.is_file() or not is_dicom(path):
        return False
    try:
        with unheard():
            source = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
    except Exception:  # any, of arbitrary bytes; its reader tells
        return False
    return source.get("SOPClassUID") in SEGMENTATIONS


def is_label(path: Path) -> bool:
    """Whether a path is a DICOM-SEG, or a folder of DICOM files none of which is an image."""
    return bool(label_files(path)) if path.is_dir() else is_segmentation(path)


def label_files(path: Path) -> list[Path]:
    """The file, or the DICOM files in a folder and below it; none where one of them is an image."""
    return (_without_images(path) or []) if path.is_dir() else [path]


def _without_images(path: Path, depth: int = 0) -> list[Path] | None:
    """The DICOM files in a folder and below it; None where one of them is an image."""
    inner = [place for place in sorted(path.iterdir()) if not place.name.startswith(".")]
    own = [place for place in inner if place.is_file() and is_dicom(place)]
    try:
        if any(map(frames_of, own)):
            return None
    except DataError:  # a broken image, told where it is read
        return None
    for folder in (place for place in inner if place.is_dir() and depth < DEPTH):
        below = _without_images(folder, depth + 1)
        if below is None:
            return None
        own += below
    return own


def read_header(path: Path) -> Header:
    """Header of the grid that the slices of a DICOM-SEG, or of those in a folder, span."""
    frames = [frame for file in _segmentations(path) for frame in _opened(file, pixels=False)[1]]
    shape, affine, _ = _grid(path, frames)
    header = volume_header(path, shape, affine, 1, "uint16", covers="slices")
    return replace(header, frame_of_reference=reference_of(frames))


def read_label(path: Path) -> np.ndarray:
    """Numbers of the segments (X, Y, Z), 0 where there is none; of all files in a folder together.

    Raises:
        DataError: segments that overlap or hold shares of a voxel, slices that are not even, or files that
            give one number to different segments.
    """
    read_names(path)
    opened = [_opened(file, pixels=True) for file in _segmentations(path)]
    frames = [frame for _, own in opened for frame in own]
    shape, _, places = _grid(path, frames)
    stored = np.concatenate([_stored(source, own) for source, own in opened])
    labels = np.zeros(shape[::-1], np.uint16)
    for frame, place, plane in zip(frames, places, stored, strict=True):
        _add(frame.file, labels[place], plane, frame.traits["ReferencedSegmentNumber"])
    return labels.T


def _stored(source: Any, frames: Sequence[Frame]) -> np.ndarray:
    """(frames, rows, columns) of a file, 0 where nothing is."""
    from pydicom.pixels.utils import pixel_array

    columns, rows = frames[0].size
    with unheard():
        stored = pixel_array(source).reshape(len(frames), rows, columns)
    if source.get("SegmentationType") != "FRACTIONAL":
        return stored
    if not np.isin(stored, (0, source.get("MaximumFractionalValue", 255))).all():
        raise DataError(f"{frames[0].file}: holds shares of a voxel; expected whole segments; threshold them")
    return stored > 0


def read_names(path: Path) -> dict[int, str]:
    """Names of the segments by their numbers.

    Raises:
        DataError: files of a folder give one number to different segments.
    """
    import pydicom

    names: dict[int, tuple[str, Path]] = {}
    for file in _segmentations(path):
        with unheard():
            source = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SegmentSequence"])
            own = {
                int(one.SegmentNumber): str(one.SegmentLabel) for one in source.get("SegmentSequence") or ()
            }
        for number, name in own.items():
            before, first = names.setdefault(number, (name, file))
            if name != before:
                raise DataError(
                    f"{path}: segment {number} is {before} in {first.name} and {name} in {file.name}; "
                    "expected a number for each; save them as one DICOM-SEG, for instance with 3D Slicer"
                )
    return {number: name for number, (name, _) in names.items()}


def _segmentations(path: Path) -> list[Path]:
    """The file, or those in a folder.

    Raises:
        DataError: none is there, but other DICOM objects.
    """
    files = label_files(path)
    found = [file for file in files if is_segmentation(file)]
    if not found:
        held = some([f"{file.name}: {kind_of(file)}" for file in files])
        raise DataError(f"{path}: no DICOM-SEG found ({held}); {NO_VOXELS}")
    return found


def write_segmentation(path: Path, classes: np.ndarray, like: Path, names: Sequence[str]) -> None:
    """Write classes (X, Y, Z) of a scan, a segment for each but the background; whole or not at all.

    Slices without a segment are written too, so that the file holds the whole grid of the image, unless they
    would be large.

    Args:
        path: of the file.
        classes: 0 for background, then as `names`.
        like: the scan's folder or file.
        names: of the classes, background first.

    Raises:
        DataError: the image is a picture, or its files cannot make a DICOM-SEG.
        MissingPackageError: highdicom is not installed.
    """
    highdicom = require("highdicom", f"{path}: writing DICOM-SEG")
    scan = scan_at(like)
    if scan.affine is None:
        raise DataError(f"{scan.frames[0].file}: is a picture; DICOM-SEG needs slices that lie in space")
    with unheard():
        try:
            made = _made(highdicom, classes, scan, names)
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise DataError(
                f"{scan.frames[0].file}: no DICOM-SEG can be made of it ({error}); leave out `dicom_seg`"
            ) from None
        write_whole(path, lambda place: made.save_as(place, enforce_file_format=True))


def _opened(path: Path, *, pixels: bool) -> tuple[Any, tuple[Frame, ...]]:
    import pydicom

    with unheard():
        source = pydicom.dcmread(path, stop_before_pixels=not pixels)
        frames = frames_in(path, source)
    if not all(frame.placed for frame in frames):
        raise DataError(f"{path}: segments without a position; expected one for each slice; export it again")
    return source, frames


def _grid(path: Path, frames: Sequence[Frame]) -> tuple[tuple[int, int, int], np.ndarray, list[int]]:
    """Shape, affine to RAS+ mm and the slice of each frame; slices without any segment are often left out."""
    _check_planes(path, frames)
    places = by_place(in_order(frames))
    first, last = places[0][0], places[-1][0]
    assert first.orientation is not None and first.pixel is not None
    assert first.position is not None and last.position is not None
    away = [_distance(first, frame) for frame in frames]  # along the stack, which may be tilted
    gaps = [_distance(one[0], other[0]) for one, other in itertools.pairwise(places)]
    step = _step(first, gaps)
    count = round(_distance(first, last) / step) + 1
    numbers = [round(distance / step) for distance in away]
    affine = np.eye(4)
    affine[:3, :2] = (first.orientation * first.pixel[:, None]).T
    affine[:3, 2] = (last.position - first.position) / (count - 1) if count > 1 else first.normal * step
    affine[:3, 3] = first.position
    seen = np.stack([(*frame.position, 1.0) for frame in frames if frame.position is not None])
    expected = np.column_stack([np.zeros((len(frames), 2)), numbers, np.ones(len(frames))])
    off = np.abs(np.linalg.solve(affine, seen.T) - expected.T).max()
    if off > OFF_GRID:
        raise DataError(
            f"{path}: slices of segments do not lie on an even grid ({off:.2g} voxels off); expected one "
            "distance; export them again on the grid of their images"
        )
    return (*first.size, count), LPS_TO_RAS @ affine, numbers


def _check_planes(path: Path, frames: Sequence[Frame]) -> None:
    """All slices have one size, plane, pixel size and frame of reference."""
    first = frames[0]
    for frame in frames:
        if not on_one_grid(frame, first):
            raise DataError(
                f"{path}: {first.file.name} and {frame.file.name} hold segments of different planes, sizes "
                "or pixel sizes; expected one grid; put those of each series in a folder of its own"
            )
        if frame.reference and first.reference and frame.reference != first.reference:
            raise DataError(
                f"{path}: {first.file.name} and {frame.file.name} lie in different frames of reference "
                f"(FrameOfReferenceUID {first.reference} and {frame.reference}), so that their positions do "
                "not belong together; put those of each scan in a folder of its own"
            )


def _distance(frame: Frame, other: Frame) -> float:
    assert frame.position is not None and other.position is not None
    return float(np.linalg.norm(other.position - frame.position))


def _step(frame: Frame, gaps: Sequence[float]) -> float:
    """Distance of slices in mm: the smallest there is, or the part of it that the file says."""
    said = abs(float(frame.traits["SpacingBetweenSlices"] or 0)) or frame.thickness or 1.0
    if not gaps:
        return said
    times = min(gaps) / said
    return min(gaps) / round(times) if times > 0.9 and abs(times - round(times)) < OFF_GRID else min(gaps)


def _add(path: Path, plane: np.ndarray, stored: np.ndarray, number: str) -> None:
    """Put a frame's segment into a plane of the label map, or all segments of a frame of numbers."""
    inside = stored != 0
    overlap = plane[inside & (plane != 0)]
    if not number:
        plane[inside] = stored[inside]
        return
    if overlap.size and (overlap != int(number)).any():
        raise DataError(
            f"{path}: segments {int(overlap[0])} and {number} overlap; expected one class per voxel; "
            "correct their borders, or keep one of them in each DICOM-SEG and train them apart"
        )
    plane[inside] = int(number)


def _made(highdicom: Any, classes: np.ndarray, scan: Scan, names: Sequence[str]) -> Any:
    first = scan.frames[0]
    assert scan.affine is not None and first.orientation is not None and first.pixel is not None
    distance = float(np.linalg.norm(scan.affine[:3, 2]))
    columns, rows, slices = classes.shape
    empty = columns * rows * slices * (len(names) - 1) // 8
    system = "PATIENT"
    return highdicom.seg.Segmentation(
        source_images=_sources(scan),
        pixel_array=np.ascontiguousarray(classes.T),
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(highdicom, number, name) for number, name in enumerate(names) if number
        ],
        series_instance_uid=highdicom.UID(),
        series_number=1000,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="stampseg",
        manufacturer_model_name="stampseg",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        omit_empty_frames=empty > MOST_EMPTY,
        plane_positions=[
            highdicom.PlanePositionSequence(system, frame.position.tolist())
            for frame in scan.frames
            if frame.position is not None
        ],
        plane_orientation=highdicom.PlaneOrientationSequence(system, first.orientation.ravel().tolist()),
        pixel_measures=highdicom.PixelMeasuresSequence(
            first.pixel[::-1].tolist(), first.thickness or distance, distance
        ),
    )


def _sources(scan: Scan) -> list[Any]:
    """Datasets of the scan's files, in the order of its slices."""
    import pydicom

    sources = []
    for path in dict.fromkeys(frame.file for frame in scan.frames):
        source = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        for keyword in REQUIRED:
            if keyword not in source:
                setattr(source, keyword, None)
        if not source.get("FrameOfReferenceUID"):
            source.FrameOfReferenceUID = source.SeriesInstanceUID
        sources.append(source)
    return sources


def _described(highdicom: Any, number: int, name: str) -> Any:
    """A segment of a class; what kind of structure it is the name alone says."""
    coded = highdicom.sr.CodedConcept
    structure = coded("123037004", "SCT", "Anatomical Structure")
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=structure,
        segmented_property_type=structure,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="stampseg", version=__version__, family=coded("123109", "DCM", "Artificial Intelligence")
        ),
    )
