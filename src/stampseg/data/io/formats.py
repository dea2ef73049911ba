"""Which files are images, told by their names, and the stem that pairs an image with its label."""

from __future__ import annotations

import os
from pathlib import Path

NIBABEL_SUFFIXES = (".nii.gz", ".nii", ".hdr", ".img", ".mgz", ".mgh")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
PILLOW_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
TIFF_SUFFIXES = (".tif", ".tiff")
LOSSY_SUFFIXES = (".jpg", ".jpeg")
KNOWN = (*NIBABEL_SUFFIXES, *ITK_SUFFIXES, *DICOM_SUFFIXES, *PILLOW_SUFFIXES, *TIFF_SUFFIXES)

READABLE = (
    "NIfTI (.nii, .nii.gz, .hdr/.img), .mgz, .mha, .mhd, .nrrd, DICOM (a folder with one series), "
    "PNG, JPEG, BMP or TIFF"
)


def suffix_of(path: Path) -> str:
    """The known image suffix of a file name, lower case, or "" when there is none."""
    name = path.name.lower()
    return next((suffix for suffix in KNOWN if name.endswith(suffix) and name != suffix), "")


def stem_of(path: Path) -> str:
    """The name without its image suffix: `a.b.nii.gz` -> `a.b`; a folder keeps its whole name."""
    suffix = "" if os.path.isdir(path) else suffix_of(path)  # a name too long for Path.is_dir is no folder
    return path.name[: len(path.name) - len(suffix)]


def is_hidden(path: Path) -> bool:
    """Hidden files, and the `._x` companions that macOS writes beside every file."""
    return path.name.startswith(".")


def is_dicom_series(folder: Path) -> bool:
    """True for a folder that directly holds DICOM files, whatever their names, and no other images."""
    if not folder.is_dir():
        return False
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_hidden(path)]
    suffixes = {suffix_of(path) for path in files} - {""}
    if suffixes:
        return suffixes <= set(DICOM_SUFFIXES)
    return any(_has_dicom_magic(path) for path in files[:8])


def _has_dicom_magic(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def list_images(folder: Path) -> list[Path]:
    """Image files and DICOM series directly inside `folder`, by name; a .hdr/.img pair counts once."""
    found = []
    for path in sorted(folder.iterdir()):
        if is_hidden(path):
            continue
        if path.is_dir():
            if is_dicom_series(path):
                found.append(path)
        elif suffix_of(path) and not (suffix_of(path) == ".img" and path.with_suffix(".hdr").exists()):
            found.append(path)
    return found


def some(names: list[str], limit: int = 5) -> str:
    """A list for a one-line message: the first few names and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
