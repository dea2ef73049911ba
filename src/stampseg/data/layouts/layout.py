"""The ways in which labelled images lie on a disk, found by looking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import DataError
from ...core.text import some
from ..io.formats import folders_in, list_images, list_labels
from ..labels.organs import names_of, organ_folders
from ..labels.regions import NO_REGIONS
from .case_folders import find_case_folders
from .case_roles import Roles, labelled_entries
from .case_table import CaseTable, own_table, read_table
from .declared import UNREAD as UNREAD_LABELS
from .declared import declared_labels
from .description import (
    channel_names,
    check_listed,
    is_first_nnunet,
    listed_entries,
    read_description,
)
from .doubts import crossed, folders_of_modalities, other_folders
from .habits import (
    ANY_NUMBER,
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    OBSERVERS,
    is_image_folder,
    is_kind_folder,
    is_label_name,
    is_mask_folder,
    is_no_truth,
    words_of,
)
from .kind_folders import roles_by_kind
from .listing import Entry, Listing, left_over
from .numbered import LABELS_TAKEN, TAKEN, cases_of_channels
from .pairing import (
    by_stem,
    name_of,
    pair,
)
from .two_folders import LIST, files_of, pair_folders

MANUAL = "manual"
SUGGESTED = "suggested.csv"  # in a folder of `suggest`: its scans lie elsewhere, and its drafts are no labels
DRAFTS = "drafts"  # the folder of drafts beside it
EXPECTED = (
    "expected one of: dataset.json with a training list (Medical Segmentation Decathlon); imagesTr with "
    "_0000 names and labelsTr (nnU-Net); two folders images/ and masks/ or labels/, or any two named with "
    "`images` and `masks`; a folder for each case with its images and label (BraTS, KiTS), or BIDS; a CSV "
    "with columns image,label and optionally group"
)


def list_csv(table: Path) -> Listing:
    """List a CSV given as the data; names come from a dataset.json beside it.

    Raises:
        DataError: as `read_table`.
    """
    description = read_description(table.parent)
    return _of_table(read_table(table, table.parent), (), description)


def list_folder(folder: Path, images: Path | None = None, masks: Path | None = None) -> Listing:
    """List a data folder by its most explicit statement.

    In this order: folders that the user names, a CSV, the list in dataset.json, folder names.

    Raises:
        DataError: no layout fits, or the one that fits is contradicted by the files.
    """
    description = read_description(folder)
    named = images is not None or masks is not None
    table = None if named else own_table(folder)
    listed = [] if named or table else listed_entries(folder, description)
    if table:
        unused = f"{table.name} lists the cases, so the list in dataset.json was not used"
        told = [unused] if description.get("training") else []
        return _of_table(read_table(table, folder), told, description)
    if listed and not is_first_nnunet(listed):
        layout = "decathlon"
        entries, warnings = check_listed(folder, listed)
        warnings += crossed(entries)
    elif roles := _of_case_folders(folder, images, masks):
        listing = _listing("cases", roles.entries, roles.warnings, description)
        if roles.organs:
            listing = replace(listing, label_names=names_of(roles.organs), regions=NO_REGIONS)
        return replace(listing, channel_names=roles.channels) if roles.channels else listing
    else:
        pictures, labels = _find_pair_of_folders(folder, images, masks)
        files = files_of(pictures)
        organs = organ_folders(labels, by_stem(files)[0]) if files else {}
        if organs:
            _check_organs(labels, organs)
            entries, warnings = _organ_entries(pictures, organs)
            listing = _listing("folders", entries, warnings, description)
            return replace(listing, label_names=names_of(organs), regions=NO_REGIONS)
        layout, entries, warnings = pair_folders(pictures, labels)
        if masks is None:
            warnings += other_folders(folder, labels, by_stem(list_labels(labels))[0])
            warnings += folders_of_modalities(pictures, labels)
    return _listing(layout, entries, warnings, description)


def _of_case_folders(folder: Path, images: Path | None, masks: Path | None) -> Roles | None:
    """What folders of cases hold; None where there are none, or none has a label, or other folders are named.

    A name that no folder of the data has is that of a folder of each case.
    """
    if images is None and (roles := labelled_entries(find_case_folders(folder, masks))):
        if masks is None and _holds_both(folder):
            label = next(entry.label for entry in roles.entries if entry.label)
            raise DataError(
                f"{folder}: its own files are images and labels, and {label} lies in a folder below; "
                "expected the data in the one or the other; give . as `images` and as `masks` for its own "
                "files, or move these or the folders elsewhere"
            )
        return roles
    root, given = folder.absolute(), [name for name in (images, masks) if name is not None]
    if any((root / name).is_dir() or not (root / name).is_relative_to(root) for name in given):
        return None
    inner = (None if name is None else str((root / name).relative_to(root)) for name in (images, masks))
    return roles_by_kind(folder, *inner)


def _of_table(table: CaseTable, warnings: Sequence[str], description: dict[str, Any]) -> Listing:
    """Where its columns name channels or organs, these names go before those of dataset.json."""
    told = (*table.warnings, *warnings, *crossed(table.entries))
    listing = _listing("csv", table.entries, told, description)
    if table.organs:
        listing = replace(listing, label_names=names_of(table.organs), regions=NO_REGIONS)
    return replace(listing, channel_names=table.channels) if table.channels else listing


def _check_organs(masks: Path, organs: Iterable[str]) -> None:
    """Refuse folders of masks that are called as those who drew them: `auto` and `manual`."""
    names = sorted(organs)
    if len(names) > 1 and not any(words_of(name).isdisjoint(OBSERVERS) for name in names):
        raise DataError(
            f"{masks}: {some(names)} are called as of those who drew the masks, and no organs; expected one "
            "label for each image, or a folder of masks for each organ; name one with `masks`, as "
            f"{masks.name}/{names[-1]}"
        )


def _organ_entries(
    images: Sequence[Path], organs: Mapping[str, dict[str, Path]]
) -> tuple[list[Entry], list[str]]:
    """Entries of images with a mask file of each organ; one that lacks some is refused."""
    listed = files_of(images)
    first, doubles = by_stem(listed)
    marks = {stem: path for found in organs.values() for stem, path in found.items()}
    files, told = cases_of_channels(listed, marks, lambda: pair(first, marks))
    if not files:
        files = {stem: (path,) for stem, path in first.items()}
        told = [*left_over(TAKEN, doubles)]
    folders = sorted({path.parent for found in organs.values() for path in found.values()})
    told += left_over(LABELS_TAKEN, [name for each in folders for name in by_stem(list_images(each))[1]])
    entries = []
    alone = all(sum(stem in found for found in organs.values()) <= 1 for stem in files)
    for stem, paths in files.items():
        masks = {organ: found[stem] for organ, found in organs.items() if stem in found}
        lacking = [organ for organ in organs if organ not in masks]
        if masks and lacking:
            if alone:
                (only,) = masks
                raise DataError(
                    f"{paths[0]}: has a mask in the folder {only} alone, and none in {some(lacking)}, as "
                    "every case has one in one folder alone; if these are folders of people or sites and not "
                    "of organs, put all masks in one folder, or list the pairs in a CSV; if they are of "
                    "organs, add an empty mask where one is not there"
                )
            raise DataError(
                f"{paths[0]}: has a mask of {some(masks)}, and none of {some(lacking)}; expected one "
                "of each organ, as what is not drawn is learnt as not there; add an empty mask where it is "
                "not there, or take the case's masks out"
            )
        entries.append(Entry.of(paths, masks))
    bare = [entry.stem for entry in entries if entry.label is None]
    left = sorted({stem for found in organs.values() for stem in found} - set(files))
    return entries, [
        *told,
        *left_over("images without a label", bare), *left_over("labels without an image", left)
    ]  # fmt: skip


def _listing(
    layout: str, entries: list[Entry], warnings: Sequence[str], description: dict[str, Any]
) -> Listing:
    labels = declared_labels(description)
    channels = channel_names(description)
    told = (*warnings, *left_over(UNREAD_LABELS, labels.unread))
    return Listing(layout, entries, labels.names, channels, told, labels.ignored, labels.regions)


def _find_pair_of_folders(
    folder: Path, images: Path | None, masks: Path | None
) -> tuple[tuple[Path, ...], Path]:
    """The folders of images, several where they are called alike but for a number, and the one of masks.

    Given ones are relative to `folder` or absolute. Where none is given, and none is called as of images,
    the folder itself may hold both.
    """
    if images is None and masks is None and _holds_both(folder):
        return (folder,), folder
    return _folders(folder, images, "images"), _folders(folder, masks, "masks")[0]


def _holds_both(folder: Path) -> bool:
    """Whether a folder's own files are some images and some labels, by their names, and no folder is."""
    names = [name_of(path) for path in list_images(folder) if path.is_file()]
    called = [is_label_name(name) for name in names if not is_no_truth(name)]
    inner = [path.name for path in folder.iterdir() if path.is_dir()]
    named = any(is_image_folder(name) or is_mask_folder(name) for name in inner)
    return any(called) and not all(called) and not named


def _called(data: Path, seen: Sequence[str], kind: str) -> list[str]:
    """Names of the folders that are called as of a kind; of images also the only one beside that of masks."""
    exact = [name for name in seen if name.lower() in (IMAGE_FOLDERS if kind == "images" else MASK_FOLDERS)]
    if kind == "masks":  # of retinal data sets, where mask/ is the field of view
        exact += [name for name in seen if MANUAL in name.lower() and name not in exact]
        return exact or [name for name in seen if is_mask_folder(name)]
    if exact:
        return exact
    holding = [name for name in seen if not is_kind_folder(name) and list_images(data / name)]
    named = [name for name in seen if is_image_folder(name)]
    return named or (holding if len(holding) == 1 and any(map(is_mask_folder, seen)) else [])


def _folders(data: Path, given: Path | None, kind: str) -> tuple[Path, ...]:
    seen = [path.name for path in folders_in(data)]
    listed = f"folders seen: {some(seen, 12)}" if seen else "it holds no folders"
    if given is not None:
        if not (data / given).is_dir():
            raise DataError(f"{data / given}: the folder named by `{kind}` is missing in {data} ({listed})")
        return (data / given,)
    fitting = _called(data, seen, kind)
    parts = kind == "images" and len({ANY_NUMBER.sub("#", name) for name in fitting}) == 1
    parts = parts and not by_stem(files_of([data / name for name in fitting]))[1]  # else echoes or visits
    if len(fitting) > 1 and not parts:
        raise DataError(f"{data}: {' and '.join(fitting)} could all be meant; name one with `{kind}`")
    if not fitting and (data / SUGGESTED).is_file():
        raise DataError(
            f"{data}: was written by `suggest`, and is no data set of its own: its drafts are no labels; "
            "expected images with labels; save corrected masks in its folder corrected, and add them to "
            "those that the run had with `stampseg train DATA --from RUN -o NEW`"
        )
    if not fitting:
        inner = [name for name in seen if _holds_pair(data / name)]
        inner.sort(key=lambda name: not name.lower().startswith("train"))
        way = f"give {data / inner[0]} as DATA, or list all in a CSV; " if inner else ""
        if kind == "images":
            way += _way_to_images(data)
        if data.absolute().name.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS):
            way = f"give the folder above it, {data.absolute().parent}, as DATA; "
        raise DataError(
            f"{data}: no folder of {kind} found ({listed}); {way}name it with `{kind}`; {EXPECTED}"
        )
    return tuple(data / name for name in fitting)


def _way_to_images(data: Path) -> str:
    """What to do with files in the folder itself, or in folders of cases none of which has a label."""
    if any(path.is_file() for path in list_images(data)):
        with suppress(DataError):
            pair_folders([data], data)
            return "where its own files are images and labels, give . as `images` and as `masks`; "
        return f"where its own files are images and labels, {LIST}; "
    cases = [case for case in find_case_folders(data) if case.images]
    if not cases:
        return ""
    files, inner = [path.name for path in cases[0].images.values()], [path.name for path in cases[0].inner]
    inside = [path for folder in cases[0].inner for path in list_images(folder)]
    if inside and all(is_label_name(name_of(path)) for path in inside):
        return (
            f"{some(files)} lies beside {some(inner, 9)} with files called as labels: put one label of each "
            "image beside it, or list all in a CSV; "
        )
    if len(files) == 1 and inner:
        return (
            f"{files[0]} lies beside {some(inner, 9)} with more images: where it is the label, name the "
            "folder of the images; "
        )
    return (
        f"no file in its folders is called as a label (the first: {some(files)}), as by seg or mask in "
        "front or behind; rename the labels, or list all in a CSV; "
    )


def _holds_pair(folder: Path) -> bool:
    """Whether a folder is a data set of its own, as train/ and val/ often are."""
    inner = {path.name.lower() for path in folder.iterdir() if path.is_dir()}
    return bool(inner & {*IMAGE_FOLDERS}) and bool(inner & {*MASK_FOLDERS})
