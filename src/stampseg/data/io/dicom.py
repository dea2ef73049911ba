"""DICOM images: files and folders of slices, read with pydicom and placed by the rules of scans.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from . import segmentations
from .format import Format, Series
from .frames import SUFFIXES, is_marked, reference_of
from .pictures import picture_header
from .pixels import intensities
from .scans import is_series, scan_at, scan_paths, series_below
from .segmentations import is_label, label_files
from .volume import Header, volume_header


def read_header(path: Path) -> Header:
    """Header of a file, of a folder with one scan, of one of several scans in a folder, or of a DICOM-SEG.

    A folder may hold several DICOM-SEG of one study.
    """
    if is_label(path):
        return segmentations.read_header(path)
    scan = scan_at(path)
    frame = scan.frames[0]
    columns, rows = frame.size
    if scan.affine is None:
        return picture_header(path, (rows, columns), frame.channels, "float32", notes=scan.notes)
    shape = (columns, rows, len(scan.frames))
    header = volume_header(path, shape, scan.affine, frame.channels, "float32", scan.notes)
    return replace(header, frame_of_reference=reference_of(scan.frames))


def read_image(path: Path) -> np.ndarray:
    """Values (C, X, Y, Z) or of a picture (C, rows, columns) float32, each slice with its own slope.

    A picture that is stored with its greys inverted (MONOCHROME1) is turned, so that white is bright.
    """
    scan = scan_at(path)
    values = intensities(scan.frames)
    return values.T if scan.affine is not None else np.moveaxis(values[0], 2, 0)


def read_label(path: Path) -> np.ndarray:
    """Segment numbers (X, Y, Z) of a DICOM-SEG, or of those in a folder.

    Raises:
        DataError: the file is another DICOM object.
    """
    if not is_label(path):
        raise DataError(f"{path}: is a DICOM image; expected a label: a DICOM-SEG, or convert it to .nii.gz")
    return segmentations.read_label(path)


def read_names(path: Path) -> dict[int, str]:
    """Names of a DICOM-SEG's segments by their numbers."""
    return segmentations.read_names(path) if is_label(path) else {}


def data_files(path: Path) -> list[Path]:
    """Files of the scan, in the order of its slices."""
    if is_label(path):
        return label_files(path)
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
        read_label=read_label,
        read_names=read_names,
        mask_suffix=".nii.gz",
        mask_suffix_by_content=_mask_suffix,
        is_one=is_marked,
        series=Series(is_series, scan_paths, is_label, series_below),
        data_files=data_files,
    ),
)
