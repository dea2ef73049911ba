"""The ways in which labelled images lie on a disk, found by looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import DataError
from ...core.text import some
from ..io.formats import check_one_series, is_hidden, list_images, list_labels, readable
from ..labels.organs import names_of, organ_folders
from ..labels.regions import NO_REGIONS
from .case_folders import find_case_folders, folders_in
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
from .doubts import crossed, inner_folders, other_ends, other_folders
from .habits import (
    ANY_NUMBER,
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    is_image_folder,
    is_kind_folder,
    is_label_name,
    is_mask_folder,
    is_no_truth,
)
from .kind_folders import roles_by_kind
from .listing import COMPUTED, Entry, Listing, labels_without_image, left_over
from .pairing import (
    by_plain_name,
    by_stem,
    by_what_differs,
    group_channels,
    in_order,
    labels_beside,
    name_of,
    pair,
    with_usual_names,
    without_computed,
)

MANUAL = "manual"
LIST = (
    "list them in a CSV and give that as DATA: a line image,label and below it, for each case, the paths of "
    "its image and its label with a comma between"
)
SUGGESTED = "suggested.csv"  # in a folder of `suggest`: its scans lie elsewhere, and its drafts are no labels
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
        files = _files(pictures)
        organs = organ_folders(labels, by_stem(files)[0]) if files else {}
        if organs:
            entries, warnings = _organ_entries(pictures, organs)
            listing = _listing("folders", entries, warnings, description)
            return replace(listing, label_names=names_of(organs), regions=NO_REGIONS)
        layout, entries, warnings = _pair_folders(pictures, labels)
        if masks is None:
            warnings += other_folders(folder, labels, by_stem(list_labels(labels))[0])
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


def _files(folders: Sequence[Path]) -> list[Path]:
    return [path for folder in folders for path in list_images(folder)]


def _organ_entries(
    images: Sequence[Path], organs: Mapping[str, dict[str, Path]]
) -> tuple[list[Entry], list[str]]:
    """Entries of images with a mask file of each organ; one that lacks some is refused."""
    listed = _files(images)
    grouped = group_channels(path for path in listed if path.is_file())
    files = {base: in_order(found) for base, found in grouped.items()}
    if not files:
        files = {stem: (path,) for stem, path in by_stem(listed)[0].items()}
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
                f"{paths[0]}: has a mask of {some(list(masks))}, and none of {some(lacking)}; expected one "
                "of each organ, as what is not drawn is learnt as not there; add an empty mask where it is "
                "not there, or take the case's masks out"
            )
        entries.append(Entry.of(paths, masks))
    bare = [entry.stem for entry in entries if entry.label is None]
    left = sorted({stem for found in organs.values() for stem in found} - set(files))
    return entries, [
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
    seen = sorted(path.name for path in data.iterdir() if path.is_dir() and not is_hidden(path))
    listed = f"folders seen: {some(seen, 12)}" if seen else "it holds no folders"
    if given is not None:
        if not (data / given).is_dir():
            raise DataError(f"{data / given}: the folder named by `{kind}` is missing in {data} ({listed})")
        return (data / given,)
    fitting = _called(data, seen, kind)
    parts = kind == "images" and len({ANY_NUMBER.sub("#", name) for name in fitting}) == 1
    parts = parts and not by_stem(_files([data / name for name in fitting]))[1]  # else echoes or visits
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
            _pair_folders([data], data)
            return "where its own files are images and labels, give . as `images` and as `masks`; "
        return f"where its own files are images and labels, {LIST}; "
    cases = [case for case in find_case_folders(data) if case.images]
    if not cases:
        return ""
    files, inner = [path.name for path in cases[0].images.values()], [path.name for path in cases[0].inner]
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


def _pair_folders(folders: Sequence[Path], masks: Path) -> tuple[str, list[Entry], list[str]]:
    """Layout, entries and warnings of folders of images and masks, or of one that holds both."""
    images, (files, drawn) = folders[0], without_computed(_files(folders))
    labels, predicted = without_computed(list_labels(masks))
    if masks not in folders:
        drawn += predicted
    for folder in folders:
        check_one_series(folder, [path for path in files if path.parent == folder])
    grouped = group_channels(path for path in files if path.is_file())
    label_files, label_doubles = by_stem(labels)
    for named in (label_files, by_plain_name(label_files)):
        if set(grouped) & named.keys():
            entries, told = _nnunet_entries(grouped, named, label_doubles)
            return "nnunet", entries, [*left_over(COMPUTED, drawn), *told]
    if not files:
        raise DataError(
            f"{images}: no image of a known type found, {_held(images)}; expected {readable()}"
            f"{_way_to_part(images, masks)}"
        )
    if not labels:
        raise DataError(f"{masks}: no label of a known type found, {_held(masks)}; expected {readable()}")
    image_files, image_doubles = by_stem(files)
    same_folder = images.resolve() == masks.resolve()
    pairs = pair(image_files, label_files, same_folder=same_folder)
    pairs = with_usual_names(pairs, image_files, label_files, same_folder)
    if not pairs.labels:
        marks = {stem: path for stem, path in label_files.items() if not same_folder or is_label_name(stem)}
        rest = [stem for stem in image_files if not same_folder or stem not in marks]
        pairs = by_what_differs(rest, marks)
    if not pairs.labels and same_folder:
        raise DataError(
            f"{images}: no image pairs with a label in this folder, which `images` and `masks` both name "
            f"({some(list(image_files), 3)}); expected two folders, or a suffix such as _mask on each label; "
            f"name the folder of the labels with `masks`, or {LIST}"
        )
    if not pairs.labels:
        raise DataError(
            f"{images}: none of its {len(image_files)} images ({some(list(image_files), 3)}) pairs with the "
            f"{len(label_files)} labels of {masks} ({some(list(label_files), 3)}); expected equal names, or "
            "one suffix such as _mask on every label; rename them or list the pairs in a CSV with columns "
            "image,label"
        )
    entries = [Entry(stem, (image_files[stem],), label) for stem, label in pairs.labels.items()]
    marked = {name_of(path) for path in labels_beside(files)}
    bare = [stem for stem in pairs.images_left if stem not in marked]
    entries += [Entry(stem, (image_files[stem],), None) for stem in bare]
    return (
        "folders",
        entries,
        [
            *left_over("images without a label", bare),
            *left_over(
                "images left out, called as labels of others beside them",
                [stem for stem in pairs.images_left if stem in marked],
            ),
            *left_over(COMPUTED, drawn),
            *other_ends(pairs),
            *inner_folders([folder for folder in folders if not masks.is_relative_to(folder)], files),
            *left_over(
                "labels that are called as predicted",
                [path.name for path in labels if is_no_truth(name_of(path))],
            ),
            *labels_without_image(pairs.labels_left, folders),
            *left_over("images skipped because their name is taken", image_doubles),
            *left_over("labels skipped because their name is taken", label_doubles),
        ],
    )


def _way_to_part(images: Path, masks: Path) -> str:
    """What to name where both folders hold the same parts of the data: images/train/ and masks/train/."""
    parts = [path for path in folders_in(images) if list_images(path) and (masks / path.name).is_dir()]
    parts.sort(key=lambda path: not path.name.lower().startswith("train"))
    return (
        f"; name {images.name}/{parts[0].name} with `images` and {masks.name}/{parts[0].name} with `masks`"
        if parts
        else ""
    )


def _held(folder: Path) -> str:
    names = [path.name for path in sorted(folder.iterdir()) if not is_hidden(path)]
    return f"it holds {some(names, 3)}" if names else "it is empty"


def _nnunet_entries(
    grouped: dict[str, dict[int, Path]], labels: dict[str, Path], doubles: list[str]
) -> tuple[list[Entry], list[str]]:
    entries = [Entry(base, in_order(channels), labels.get(base)) for base, channels in grouped.items()]
    most = max(len(entry.images) for entry in entries)
    short = [entry for entry in entries if len(entry.images) < most]
    if short:
        raise DataError(
            f"{short[0].images[0]}: case {short[0].stem} has {len(short[0].images)} channel file(s), others "
            f"have {most}; expected as many for every case; add the missing channels or remove the case"
        )
    return entries, [
        *left_over("images without a label", [entry.stem for entry in entries if entry.label is None]),
        *left_over("labels without an image", [stem for stem in labels if stem not in grouped]),
        *left_over("labels skipped because their name is taken", doubles),
    ]
