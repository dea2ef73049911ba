"""The scans that the DICOM files of a folder are: which frames belong together, in which order, and where.

The rules: a scan is what shares a series, a plane and a size. Its slices are sorted by their position
across the plane, and lie evenly on a line; that line may be tilted against the plane, as of a tilted
gantry, which the affine then says. Slices at one place are parted by what the headers tell of them.
What is no slice is left out, and said; what nothing explains is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ...core.errors import DataError
from ...core.text import some
from .frames import NO_VOXELS, OTHER_IMAGES, Frame, frames_of, is_dicom, kind_of
from .stacks import Scan, are_parallel, names_of, on_one_grid, plain, scans_in

MOST_ALONE = 3  # slices of one localizer, across each other
LEAST = 3  # slices of a scan beside others; fewer beside it are none of their own
DEPTH = 4  # folders below one that may hold the only series


def is_series(folder: Path) -> bool:
    """Whether the files of a folder are slices, rather than images of their own.

    They are slices where two share a series and are no pictures, or where a single file lies there, or only
    broken ones, which then are told. A folder without files is what the only such folder below it is, as a
    person's with a study with a series.
    """
    return _series_folder(folder) is not None


def _holds_series(folder: Path) -> bool:
    seen: set[str] = set()
    count = broken = 0
    for path in _files(folder):
        try:
            frames = frames_of(path)
        except DataError:
            broken += 1
            continue
        count += bool(frames)
        for series in {frame.series for frame in frames if not frame.planar}:
            if series in seen:
                return True
            seen.add(series)
    alone = count + broken == 1 or (broken and not count)
    return bool(alone) and not any(map(_is_other_image, _files(folder)))


def _is_image(path: Path) -> bool:
    """Whether a file is one, or is broken; a DICOMDIR, as on every CD, and reports are none."""
    try:
        return _is_other_image(path) or bool(frames_of(path))
    except DataError:
        return True


def _is_other_image(path: Path) -> bool:
    return path.name.lower().endswith(OTHER_IMAGES)


def scans_of(path: Path) -> tuple[Scan, ...]:
    """The scans of a file, or of the files directly in a folder.

    Raises:
        DataError: no image, broken files, or slices of which no scan can be made, named in the message.
    """
    files = _files(_series_folder(path) or path) if path.is_dir() else [path]
    frames = _readable_frames(path, files)
    if not frames:
        held = some([f"{file.name}: {kind_of(file)}" for file in files if is_dicom(file)])
        raise DataError(f"{path}: no DICOM series found{f' ({held})' if held else ''}; {NO_VOXELS}")
    return _grouped(path, tuple(frames))


def scan_at(path: Path) -> Scan:
    """The one scan that a path names.

    Raises:
        DataError: as `scans_of`, or there are several.
    """
    if not os.path.lexists(path):
        scans = {_path_of(path.parent, scan).name: scan for scan in scans_of(path.parent)}
        if path.name in scans:
            return scans[path.name]
        raise DataError(f"{path}: no such scan; {path.parent} holds {some(scans)}")
    first, *others = scans_of(path)
    if others:
        names = [scan.name for scan in (first, *others)]
        files = "; ".join(f"{scan.name}: {_files_of(scan)}" for scan in (first, *others)[:4])
        raise DataError(
            f"{path}: {len(names)} DICOM scans found ({files}); expected one; put each in a folder of its own"
        )
    return first


def _files_of(scan: Scan) -> str:
    files = list(dict.fromkeys(frame.file.name for frame in scan.frames))
    return files[0] if len(files) == 1 else f"{len(files)} files from {files[0]} to {files[-1]}"


def scan_paths(folder: Path) -> list[Path]:
    """Paths of the scans in a folder: the folder itself where it holds one."""
    scans = scans_of(folder)
    return [folder] if len(scans) == 1 else [_path_of(folder, scan) for scan in scans]


def _path_of(folder: Path, scan: Scan) -> Path:
    """A path that names one of several scans; no file has it."""
    return folder / f"{folder.name}_{scan.name}"


@lru_cache(maxsize=64)
def _grouped(place: Path, frames: tuple[Frame, ...]) -> tuple[Scan, ...]:
    if len(frames) == 1 and (frames[0].planar or not frames[0].placed):
        return (Scan("picture", (_bright(frames[0]),), None),)
    slices, notes = _without_strangers(place, frames)
    stacks, more = _stacks(place, slices)
    try:
        scans = [scan for stack in stacks for scan in scans_in(place, stack)]
    except DataError as error:  # what is missing may be what was left out
        raise DataError("; ".join((str(error), *more))) from None
    return tuple(_named([replace(scan, notes=(*notes, *more, *scan.notes)) for scan in scans]))


def _bright(frame: Frame) -> Frame:
    """The frame with its values turned, where small ones are shown bright."""
    if frame.white is None:
        return frame
    return replace(frame, slope=-frame.slope, intercept=frame.intercept + frame.slope * frame.white)


def _series_folder(folder: Path) -> Path | None:
    """The folder if its files are slices, else the only one below it of which that is so."""
    found = series_below(folder)
    return found[0] if len(found) == 1 else None


def series_below(folder: Path, depth: int = 0) -> list[Path]:
    """The folder if its files are slices, else all below it of which that is so, where it holds no image."""
    if _holds_series(folder):
        return [folder]
    if depth == DEPTH or any(map(_is_image, _files(folder))):
        return []
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [place for path in inner for place in series_below(path, depth + 1)]


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]


def _readable_frames(place: Path, files: Sequence[Path]) -> list[Frame]:
    """Frames of all files; one that cannot be read is refused if it is named as the others are."""
    frames: list[Frame] = []
    broken: list[DataError] = []
    others: list[Path] = []
    for path in files:
        try:
            found = frames_of(path)
        except DataError as error:
            broken.append(error)
            continue
        frames += found
        if not found and not is_dicom(path):
            others.append(path)
    shapes = {_name_shape(frame.file) for frame in frames}
    cut = [path for path in others if _name_shape(path) in shapes]
    if cut:
        broken.append(DataError(f"{cut[0]}: named as the slices beside it, but no DICOM; copy it again"))
    if broken:
        more = f" ({len(broken)} such files in {place})" if len(broken) > 1 else ""
        raise DataError(f"{broken[0]}{more}")
    return frames


def _name_shape(path: Path) -> str:
    """A file's name with its numbers replaced, so that slices of one series are named the same."""
    return re.sub(r"\d+", "0", path.name)


def _without_strangers(place: Path, frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """The frames without captures and localizers, where others are there, and a word about each kind."""
    notes = []
    placed = [frame for frame in frames if frame.placed]
    if not placed:
        raise DataError(
            f"{place}: {names_of(frames)} without position, orientation or pixel size (ImagePositionPatient, "
            "ImageOrientationPatient, PixelSpacing); expected them in every slice; convert the series from "
            "its source, or save each picture as a file of its own"
        )
    classes = {frame.sop_class for frame in placed}
    homeless = [frame for frame in frames if not frame.placed]
    lost = [f for f in homeless if f.sop_class in classes and not f.is_of_kind("SECONDARY", "SCREEN")]
    if lost:
        raise DataError(
            f"{place}: {names_of(lost)} without position, orientation or pixel size, which the other "
            f"{len(placed)} slices have; expected them in every slice; remove what is no slice"
        )
    mosaics = [frame for frame in placed if frame.is_of_kind("MOSAIC")]
    if mosaics:
        raise DataError(
            f"{place}: {names_of(mosaics)} holds its slices side by side (a Siemens mosaic); expected "
            "a slice in each frame; convert it to NIfTI, for instance with dcm2niix"
        )
    if homeless:
        notes.append(f"{place}: left out, without a position: {names_of(homeless)}")
    localizers = [frame for frame in placed if frame.is_of_kind("LOCALIZER")]
    if localizers and len(localizers) < len(placed):
        notes.append(f"{place}: left out, localizers: {names_of(localizers)}")
        placed = [frame for frame in placed if not frame.is_of_kind("LOCALIZER")]
    return placed, notes


def _stacks(place: Path, frames: Sequence[Frame]) -> tuple[list[list[Frame]], list[str]]:
    """Frames of one series, plane, size and pixel size each; one or two beside a stack are left out."""
    stacks: list[list[Frame]] = []
    for frame in frames:
        home = next((stack for stack in stacks if _belongs(frame, stack[0])), None)
        if home is None:
            stacks.append([frame])
        else:
            home.append(frame)
    for stack in stacks:
        _check_reference(place, stack)
    whole = [stack for stack in stacks if len(stack) >= LEAST]
    if not whole and len(stacks) > MOST_ALONE:
        raise DataError(
            f"{place}: {len(frames)} slices of {len(stacks)} planes, sizes or series ({names_of(frames)}); "
            "expected parallel slices; put each image in a folder of its own"
        )
    if not whole:
        return stacks, []
    alone = [frame for stack in stacks if len(stack) < LEAST for frame in stack]
    for frame in alone:
        for first in (stack[0] for stack in whole):
            if first.series == frame.series and are_parallel(frame, first):
                raise DataError(
                    f"{place}: {frame.file.name} is of {_size(frame)} in a series of {_size(first)}; "
                    "expected slices of one size; remove it, or put it in a folder of its own"
                )
    notes = [f"{place}: left out, of another plane or series: {names_of(alone)}"] if alone else []
    return whole, notes


def _belongs(frame: Frame, other: Frame) -> bool:
    if frame.patient and other.patient and frame.patient != other.patient:
        return False  # whose series were given one number, or none, when names were taken away
    return (frame.series, frame.channels) == (other.series, other.channels) and on_one_grid(frame, other)


def _check_reference(place: Path, stack: Sequence[Frame]) -> None:
    """Positions in several frames of reference are measured from different points.

    Where each slice has one of its own, a program that takes names away has made them up.
    """
    first: dict[str, Frame] = {}
    for frame in stack:
        first.setdefault(frame.reference, frame)
    first.pop("", None)
    if 1 < len(first) < len(stack):
        one, other = list(first.values())[:2]
        raise DataError(
            f"{place}: {one.file.name} and {other.file.name} are of one series, and lie in different "
            f"frames of reference (FrameOfReferenceUID {one.reference} and {other.reference}), so that their "
            "positions do not belong together; put the slices of each in a folder of its own"
        )


def _size(frame: Frame) -> str:
    assert frame.pixel is not None
    columns, rows = frame.pixel
    return f"{frame.size[0]} x {frame.size[1]} pixels of {columns:.4g} x {rows:.4g} mm"


def _named(scans: Sequence[Scan]) -> list[Scan]:
    """The scans with the numbers of their series in their names, no two the same."""
    names: list[str] = []
    for scan in scans:
        number = plain(scan.frames[0].traits["SeriesNumber"]) or "0"
        name, count = f"series{number}{scan.name}", 2
        while name in names:
            name, count = f"series{number}{scan.name}_{count}", count + 1
        names.append(name)
    return [replace(scan, name=name) for scan, name in zip(scans, names, strict=True)]
