"""DICOM images: files and folders of slices, read with pydicom and placed by the rules of scans.py."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.text import some
from .format import Format, Series
from .frames import MARK, SUFFIXES
from .pictures import picture_header
from .pixels import intensities
from .scans import is_series, scans_of
from .stacks import Scan
from .volume import Header, volume_header


def read_header(path: Path) -> Header:
    """Header of a file, of a folder with one scan, or of one of several scans in a folder."""
    scan = scan_at(path)
    frame = scan.frames[0]
    columns, rows = frame.size
    if scan.affine is None:
        return picture_header(path, (rows, columns), frame.channels, "float32", scan.notes)
    shape = (columns, rows, len(scan.frames))
    return volume_header(path, shape, scan.affine, frame.channels, "float32", scan.notes)


def read_image(path: Path) -> np.ndarray:
    """Values (C, X, Y, Z) or of a picture (C, rows, columns) float32, each slice with its own slope.

    A picture that is stored with its greys inverted (MONOCHROME1) is turned, so that white is bright.
    """
    scan = scan_at(path)
    values = intensities(scan.frames)
    return values.T if scan.affine is not None else np.moveaxis(values[0], 2, 0)


def scan_at(path: Path) -> Scan:
    """The one scan that a path names.

    Raises:
        DataError: as `scans_of`, or there are several.
    """
    if not os.path.lexists(path):
        scans = {_path_of(path.parent, scan).name: scan for scan in scans_of(path.parent)}
        if path.name in scans:
            return scans[path.name]
        raise DataError(f"{path}: no such scan; {path.parent} holds {some(list(scans))}")
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


def data_files(path: Path) -> list[Path]:
    """Files of the scan, in the order of its slices."""
    return list(dict.fromkeys(frame.file for frame in scan_at(path).frames))


def _mask_suffix(path: Path) -> str:
    """Of a volume or, as the header says, of a picture."""
    try:
        return ".nii.gz" if scan_at(path).affine is not None else ".png"
    except (DataError, OSError, ImportError):  # told where it is read
        return ".nii.gz"


FORMATS = (
    Format(
        name="DICOM",
        listed="DICOM (files, folders with a series)",
        suffixes=SUFFIXES,
        package="pydicom",
        read_header=read_header,
        read_image=read_image,
        no_labels="a DICOM label is not read; expected one label file; convert it to .nii.gz",
        mask_suffix=".nii.gz",
        mask_suffix_by_content=_mask_suffix,
        mark=MARK,
        series=Series(is_series, scan_paths),
        data_files=data_files,
    ),
)
