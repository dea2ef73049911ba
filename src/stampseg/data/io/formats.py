"""The table of image formats, and what follows from it: which files are images, and which belong together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ...core.errors import DataError
from ...core.packages import require
from ...core.text import some
from . import dicom, itk, nifti, pictures, tiff
from .format import Format
from .volume import refuse_unreadable

# A new format is a module with its record, and its place here.
FORMATS: tuple[Format, ...] = (*nifti.FORMATS, *itk.FORMATS, *dicom.FORMATS, *pictures.FORMATS, *tiff.FORMATS)


def readable() -> str:
    """All formats, as a message lists them."""
    return _in_words([kind.listed or kind.name for kind in FORMATS], "or")


def suffix_of(path: Path) -> str:
    """The known image suffix of a file name, lower case, or "" when there is none."""
    return _suffix(path.name, FORMATS)


@lru_cache(2**14)
def _suffix(name: str, formats: tuple[Format, ...]) -> str:
    return max((kind.suffix_of(Path(name)) for kind in formats), key=len, default="")


def format_named(path: Path) -> Format | None:
    """The format that a file's name says it has."""
    suffix = suffix_of(path)
    return next((kind for kind in FORMATS if suffix in kind.suffixes), None)


def format_of(path: Path) -> Format:
    """The format of a file by its name, else by how it begins; of a series by its folder.

    Raises:
        DataError: the name has none of the known suffixes, and the content tells nothing.
    """
    if os.path.isdir(path):
        # A folder that is no series goes to what reads series, which tells what it lacks.
        form = series_format(path) or next((kind for kind in FORMATS if kind.series), None)
    elif is_within_series(path):
        form = series_format(path.parent)
    else:
        form = format_named(path) or next(
            (kind for kind in FORMATS if kind.is_one and kind.is_one(path)), None
        )
    if form is None:
        raise DataError(f"{path}: file type not known; expected {readable()}; convert it")
    return form


def require_package(kind: Format, path: Path) -> None:
    """Import what the format is read and written with.

    Raises:
        MissingPackageError: it is not installed; says what to install.
    """
    names = [other.name for other in FORMATS if other.package == kind.package]
    purpose = f"{path}: reading and writing {_in_words(names, 'and')}"
    require(kind.module or kind.package, purpose, kind.package)


def stem_of(path: Path) -> str:
    """The name without its image suffix: `a.b.nii.gz` -> `a.b`; a folder keeps its whole name."""
    suffix = "" if os.path.isdir(path) else suffix_of(path)  # a name too long for Path.is_dir is no folder
    return path.name[: len(path.name) - len(suffix)]


def is_hidden(path: Path) -> bool:
    """Hidden files, and the `._x` companions that macOS writes beside every file."""
    return path.name.startswith(".")


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in a folder, but for hidden ones."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path)]


def series_format(folder: Path) -> Format | None:
    """The format of a folder whose files make images together; other images beside them do not count."""
    if not os.path.isdir(folder):
        return None
    for kind in FORMATS:
        try:
            if kind.series is not None and kind.series.is_one(folder):
                return kind
        except ModuleNotFoundError:  # told where the files are read
            if any(kind.names(path) for path in folder.iterdir()):
                return kind
    return None


def is_within_series(path: Path) -> bool:
    """Whether a path is no file but one of several images in a folder of such files."""
    return not os.path.lexists(path) and series_format(path.parent) is not None


def is_there(image: Path) -> bool:
    """Whether an image is there: a file, a folder, or one of several images in a folder of such files.

    Raises:
        DataError: the files of that folder cannot be read.
    """
    return os.path.exists(image) or (is_within_series(image) and image in series_images(image.parent))


def series_images(folder: Path) -> list[Path]:
    """The images that the files of a folder make together; none where they are no series.

    Raises:
        DataError: they cannot be read.
    """
    kind = series_format(folder)
    if kind is None or kind.series is None:
        return []
    require_package(kind, folder)
    return kind.series.images(folder)


def data_files(path: Path) -> list[Path]:
    """All files that hold an image: the slices of a series, header and voxels of a pair, else the file.

    Raises:
        DataError: the file, or the series, cannot be read.
    """
    kind = format_of(path)
    with refuse_unreadable(path):
        return [path] if kind.data_files is None else kind.data_files(path)


def list_images(folder: Path) -> list[Path]:
    """Image files and series directly inside `folder`, by name; a pair such as .hdr/.img counts once."""
    return [
        path
        for path in sorted(folder.iterdir())
        if not is_hidden(path) and (series_format(path) if path.is_dir() else _is_image(path))
    ]


def check_one_series(folder: Path, listed: Sequence[Path]) -> None:
    """See that no folder directly inside `folder` holds several series, so that none of them is an image.

    Args:
        folder: of images.
        listed: the images that were found in it; series that are called like them are what they were made of.

    Raises:
        DataError: one does; it and its series are named.
    """
    if not listed:
        return
    images, names = {*listed}, [stem_of(path) for path in listed]

    def is_source(series: Path) -> bool:
        parts = series.relative_to(folder).parts
        return any(name == part or name.startswith(f"{part}_") for name in names for part in parts)

    many: dict[Path, list[Path]] = {}
    for path in folders_in(folder):
        if path not in images:
            found = [
                place for kind in FORMATS if kind.series is not None for place in kind.series.below(path)
            ]
            many |= {path: found} if len(found) > 1 and not all(map(is_source, found)) else {}
    if not many:
        return
    first, found = next(iter(many.items()))
    more = f" ({len(many)} such folders in {folder})" if len(many) > 1 else ""
    raise DataError(
        f"{first}: holds {len(found)} series, {some([str(place.relative_to(first)) for place in found])}; "
        "expected one, to pair it with a label or a mask; leave one in, name those meant one by one, or list "
        f"them in a CSV{more}"
    )


def list_labels(folder: Path) -> list[Path]:
    """As `list_images`, and folders that hold the label of a series."""
    kinds = [kind.series for kind in FORMATS if kind.series is not None]
    held = [path for path in folders_in(folder) if any(series.is_label(path) for series in kinds)]
    return sorted({*list_images(folder), *held})


def _is_image(path: Path) -> bool:
    kind = format_named(path)
    if kind is None or kind.pair is None:
        return kind is not None
    header, voxels = kind.pair
    return suffix_of(path) != voxels or not path.with_suffix(header).exists()


def _in_words(names: Sequence[str], last: str) -> str:
    """`a, b and c`."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
