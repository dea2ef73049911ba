"""Images to be segmented, without labels: found in files, folders and tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.text import counted, some
from .cases import Case, cases_of, read_case_csv
from .io.formats import (
    check_one_series,
    folders_in,
    format_of,
    list_images,
    readable,
    series_format,
    series_images,
    stem_of,
)
from .io.limits import check_kind
from .layouts.case_folders import CaseFolder, case_folder, find_case_folders, is_picture
from .layouts.case_roles import bare_entries
from .layouts.habits import MASK_FOLDERS, is_label_name, is_mask_folder, is_no_truth
from .layouts.kind_folders import folders_by_kind
from .layouts.pairing import group_channels, in_order, labels_beside


def _say_nothing(text: str) -> None:
    pass


def find_inputs(
    paths: Sequence[Path],
    channels: int | None = None,
    names: Sequence[str] = (),
    tell: Callable[[str], None] = _say_nothing,
) -> list[Case]:
    """Images to predict: files, folders of files or of DICOM series, folders with one for each case, or CSVs.

    Files `x_0000`, `x_0001`, ... are the channels of one case when all files are named so and every
    case has as many, `channels` of them where that is given (the number the model reads). Channels that are
    called otherwise are told by the columns of a CSV, as for training; its labels are not read. In folders of
    cases they are told by `names`, those of the channels that the model reads, if it has some. Files of a
    folder that are called as labels of others in it are left out, and `tell` is told.

    Raises:
        DataError: a path is missing or no image, a folder holds none, or two inputs would be
            written to one name.
    """
    tables = [path for path in map(Path, paths) if path.suffix.lower() == ".csv" and path.is_file()]
    folders = {path: found for path in map(Path, paths) if (found := _case_folders_at(path, channels, names))}
    rest = [path for path in map(Path, paths) if path not in tables and path not in folders]
    files = [file for path in rest for file in _images_at(path, tell)]
    studies = [study for path in folders for study in list_images(path) if study.is_dir()]
    files += [file for study in studies for file in _images_in(study)]
    # The same file may be named twice, as by a folder and a pattern.
    unique = list({os.path.realpath(file): file for file in files}.values())
    cases = [Case(stem, stem, images, None) for stem, images in _join_channels(unique, channels)]
    cases += [case.bare for table in tables for case in read_case_csv(table, bare=True)]
    for path, found in folders.items():
        entries = bare_entries(found, channels, names)
        cases += cases_of(entries, path, None)
        read = {image for entry in entries for image in entry.images}
        left = [folder.name for folder in found if folder.images and read.isdisjoint(folder.images.values())]
        if left:
            tell(
                f"{path}: nothing is read of {some(left)}, whose images are called otherwise than those that "
                "have labels; name them as well if meant"
            )
        beside = [image.name for folder in found for image in _left_in(folder, read)]
        if beside:
            tell(
                f"{path}: {counted(len(beside), 'file')} in its folders left out, called otherwise than what "
                f"the model reads: {some(dict.fromkeys(beside))}; name such a file itself to use it"
            )
    _check_outputs(cases)
    return sorted(cases, key=lambda case: case.id)


def _left_in(folder: CaseFolder, read: Collection[Path]) -> list[Path]:
    """Images of a folder that are not read, where another is."""
    left = [image for image in folder.images.values() if image not in read]
    return left if len(left) < len(folder.images) else []


def _case_folders_at(path: Path, channels: int | None, names: Sequence[str]) -> list[CaseFolder]:
    """Folders of cases: those in a folder that holds no image itself, but for a picture beside volumes or the
    series of studies; or it alone, with files that are called as the channels are.
    """
    if not path.is_dir() or (len(names) < 2 and not any(map(os.path.isdir, path.iterdir()))):
        return []
    files = list_images(path)
    apart = all(file.is_dir() or is_picture(file) for file in files)
    below = find_case_folders(path) if apart else []
    if apart and not below and not any(map(os.path.isdir, files)):
        below = folders_by_kind(path)
    if any(file.is_dir() for file in files):  # studies; among them those with a label beside their series
        below = [case for case in below if any(image.is_dir() for image in case.images.values())]
    if any(file.is_file() for file in files):  # a picture
        below = [case for case in below if not all(map(is_picture, case.images.values()))]
    if below or not files or series_format(path):
        return below if any(case.images for case in below) else []
    own = case_folder(path)
    called = {role.casefold() for role in own.images}
    whole = len(names) > 1 and channels == len(names) and {name.casefold() for name in names} <= called
    return [own] if whole else []


def _images_at(path: Path, tell: Callable[[str], None]) -> list[Path]:
    if not os.path.lexists(path):
        raise DataError(f"{path}: no such file or folder; expected an image or a folder of images")
    check_kind(path)
    if path.is_file():
        format_of(path)
        return [path]
    entries = list_images(path)
    below = entries and all(map(os.path.isdir, entries))  # a study is taken for its series
    check_one_series(path, entries)
    if series_format(path) and not below:
        entries = [path]
    labels = labels_beside(entry for entry in entries if entry.is_file())
    if labels:
        tell(
            f"{path}: {counted(len(labels), 'file')} left out, called as labels of others in it: "
            f"{some([label.name for label in labels])}; name such a file itself to use it"
        )
    beside = [inner.name for inner in folders_in(path) if inner not in entries and _holds_scans(inner)]
    if entries and beside and entries != [path]:
        tell(f"{path}: folders beside its images are not read: {some(beside)}; name them as well if meant")
    left = set(labels)
    files = [image for entry in entries if entry not in left for image in _images_in(entry)]
    if not files:
        folders = [inner.name for inner in folders_in(path)]
        folders = [name for name in folders if name.lower() not in MASK_FOLDERS] or folders
        hint = f"; name one of its folders: {some(folders)}" if folders else ""
        raise DataError(f"{path}: no image found; expected {readable()}{hint}")
    return files


def _holds_scans(folder: Path) -> bool:
    """Whether a folder holds image files, and is not called as of masks or predictions."""
    called = is_mask_folder(folder.name) or is_label_name(folder.name) or is_no_truth(folder.name)
    inside = (path for place in (folder, *folders_in(folder)) for path in list_images(place))
    return not called and any(path.is_file() for path in inside)


def _images_in(entry: Path) -> list[Path]:
    """The images of a listed file or series; the folder of one that cannot be read, which then tells why."""
    try:
        return series_images(entry) or [entry]
    except DataError:
        return [entry]


def _join_channels(files: list[Path], channels: int | None) -> list[tuple[str, tuple[Path, ...]]]:
    """(id, image files) per case."""
    grouped = group_channels(path for path in files if path.is_file()).groups
    counts = {len(numbered) for numbered in grouped.values()}
    # Numbered images such as slice_0017 have gaps, or another count than the model's, and stay apart.
    whole = all(sorted(numbered) == list(range(len(numbered))) for numbered in grouped.values())
    complete = sum(map(len, grouped.values())) == len(files)
    if not (whole and complete and len(counts) == 1 and channels in (None, *counts)):
        return [(stem_of(path), (path,)) for path in files]
    return [(base, in_order(numbered)) for base, numbered in grouped.items()]


def _check_outputs(cases: list[Case]) -> None:
    written: dict[str, Case] = {}
    for case in cases:
        name = case.mask_name
        if name in written:
            raise DataError(
                f"{case.images[0]}: its labels would be written to {name}, as those of "
                f"{written[name].images[0]}; expected different names; predict them into two folders"
            )
        written[name] = case
