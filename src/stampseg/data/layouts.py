"""The four ways in which labelled images lie on a disk, found by looking."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.text import some
from .declared import declared_labels
from .io.formats import is_hidden, list_images, list_labels, stem_of
from .io.limits import read_text_file
from .pairing import by_stem, group_channels, in_order, pair

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "imagestr", "scans", "volumes", "inputs")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "labelstr", "annotations", "annotation"),
    *("segmentations", "segmentation", "ground_truth", "groundtruth", "gt", "targets"),
)
EXPECTED = (
    "expected one of: dataset.json with a training list (Medical Segmentation Decathlon); imagesTr with "
    "_0000 names and labelsTr (nnU-Net); two folders images/ and masks/ or labels/, or any two named with "
    "`images` and `masks`; a CSV with columns image,label and optionally group"
)


@dataclass(frozen=True)
class Entry:
    """One image, its label and, where it is written down, the person."""

    stem: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a layout says, before ids and groups are settled."""

    layout: str
    entries: list[Entry]
    label_names: Mapping[int, str] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ignored: int | None = None


def list_csv(table: Path) -> Listing:
    """List a CSV given as the data; names come from a dataset.json beside it.

    Raises:
        DataError: as `read_csv_entries`.
    """
    description = read_description(table.parent)
    return _listing("csv", read_csv_entries(table, table.parent), (), description)


def list_folder(folder: Path, images: Path | None = None, masks: Path | None = None) -> Listing:
    """List a data folder by its most explicit statement.

    In this order: folders that the user names, a CSV, the list in dataset.json, folder names.

    Raises:
        DataError: no layout fits, or the one that fits is contradicted by the files.
    """
    description = read_description(folder)
    named = images is not None or masks is not None
    table = None if named else _own_csv(folder)
    listed = [] if named or table else _listed(folder, description)
    if table:
        layout, entries, warnings = "csv", read_csv_entries(table, folder), []
        if description.get("training"):
            warnings = [f"{table.name} lists the cases, so the list in dataset.json was not used"]
    elif listed and not _is_first_nnunet(listed):
        layout = "decathlon"
        entries, warnings = _check_listed(folder, listed)
    else:
        layout, entries, warnings = _pair_folders(*_find_pair_of_folders(folder, images, masks))
    return _listing(layout, entries, warnings, description)


def _listing(
    layout: str, entries: list[Entry], warnings: Sequence[str], description: dict[str, Any]
) -> Listing:
    labels = declared_labels(description)
    told = (*warnings, *labels.warnings)
    return Listing(layout, entries, labels.names, _channel_names(description), told, labels.ignored)


def _find_pair_of_folders(folder: Path, images: Path | None, masks: Path | None) -> tuple[Path, Path]:
    """The folders of images and masks; given ones are relative to `folder` or absolute."""
    return (
        _folder(folder, images, IMAGE_FOLDERS, "images"),
        _folder(folder, masks, MASK_FOLDERS, "masks"),
    )


def _folder(data: Path, given: Path | None, names: tuple[str, ...], kind: str) -> Path:
    seen = sorted(path.name for path in data.iterdir() if path.is_dir() and not is_hidden(path))
    listed = f"folders seen: {some(seen, 12)}" if seen else "it holds no folders"
    if given is not None:
        if not (data / given).is_dir():
            raise DataError(f"{data / given}: the folder named by `{kind}` is missing in {data} ({listed})")
        return data / given
    fitting = [name for name in seen if name.lower() in names]
    if len(fitting) > 1:
        raise DataError(f"{data}: {' and '.join(fitting)} could all be meant; name one with `{kind}`")
    if not fitting:
        inner = [name for name in seen if _holds_pair(data / name)]
        way = f"give {data / inner[0]} as DATA, or list all in a CSV; " if inner else ""
        raise DataError(
            f"{data}: no folder of {kind} found ({listed}); {way}name it with `{kind}`; {EXPECTED}"
        )
    return data / fitting[0]


def _holds_pair(folder: Path) -> bool:
    """Whether a folder is a data set of its own, as train/ and val/ often are."""
    inner = {path.name.lower() for path in folder.iterdir() if path.is_dir()}
    return bool(inner & {*IMAGE_FOLDERS}) and bool(inner & {*MASK_FOLDERS})


def _pair_folders(images: Path, masks: Path) -> tuple[str, list[Entry], list[str]]:
    """Layout, entries and warnings of two folders, or of one that holds both images and masks."""
    files, labels = list_images(images), list_labels(masks)
    grouped = group_channels(path for path in files if path.is_file())
    if set(grouped) & {stem_of(path) for path in labels}:
        return "nnunet", *_nnunet_entries(grouped, labels)
    image_files, image_doubles = by_stem(files)
    label_files, label_doubles = by_stem(labels)
    pairs = pair(image_files, label_files, same_folder=images.resolve() == masks.resolve())
    if not pairs.labels:
        raise DataError(
            f"{images}: none of its {len(image_files)} images ({some(list(image_files), 3)}) pairs with the "
            f"{len(label_files)} labels of {masks} ({some(list(label_files), 3)}); expected equal names, or "
            "one suffix such as _mask on every label; rename them or list the pairs in a CSV with columns "
            "image,label"
        )
    entries = [Entry(stem, (image_files[stem],), label) for stem, label in pairs.labels.items()]
    entries += [Entry(stem, (image_files[stem],), None) for stem in pairs.images_left]
    return (
        "folders",
        entries,
        [
            *_left_over("images without a label", pairs.images_left),
            *_left_over("labels without an image", pairs.labels_left),
            *_left_over("images skipped because their name is taken", image_doubles),
            *_left_over("labels skipped because their name is taken", label_doubles),
        ],
    )


def _nnunet_entries(grouped: dict[str, dict[int, Path]], files: list[Path]) -> tuple[list[Entry], list[str]]:
    labels, doubles = by_stem(files)
    entries = [Entry(base, in_order(channels), labels.get(base)) for base, channels in grouped.items()]
    most = max(len(entry.images) for entry in entries)
    short = [entry for entry in entries if len(entry.images) < most]
    if short:
        raise DataError(
            f"{short[0].images[0]}: case {short[0].stem} has {len(short[0].images)} channel file(s), others "
            f"have {most}; expected as many for every case; add the missing channels or remove the case"
        )
    return entries, [
        *_left_over("images without a label", [entry.stem for entry in entries if entry.label is None]),
        *_left_over("labels without an image", [stem for stem in labels if stem not in grouped]),
        *_left_over("labels skipped because their name is taken", doubles),
    ]


def _left_over(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what} ({len(names)}): {some(list(names))}"] if names else []


def read_csv_entries(table: Path, root: Path) -> list[Entry]:
    """Rows of a CSV with columns image, label and optionally group; paths relative to `root` or absolute.

    Raises:
        DataError: not such a CSV, or files that it names are missing.
    """
    rows = _csv_rows(table)
    if rows is None:
        raise DataError(f"{table}: expected a header line with the columns image,label and optionally group")
    if not rows:
        raise DataError(f"{table}: no rows below the header; expected one image and label each")
    entries = []
    for row in rows:
        image, label = row["image"], row["label"]
        if not image:
            raise DataError(f"{table}: a row has no image (label {label!r}); expected a path in every row")
        path, group = root / image, row.get("group") or None
        entries.append(Entry(stem_of(path), (path,), root / label if label else None, group))
    _check_exist(table, entries)
    if 0 < sum(entry.group is None for entry in entries) < len(entries):
        nameless = next(entry for entry in entries if entry.group is None)
        raise DataError(f"{table}: no group for {nameless.stem}; fill the column in every row or in none")
    return entries


def read_column(data: Path, column: str) -> dict[Path, str]:
    """What a column of the data's CSV says of each image, by the path that its case has.

    Args:
        data: the CSV, or the folder that holds it.
        column: its name, in small or capital letters.

    Raises:
        DataError: the column is not there, or empty in some row.
    """
    table = data if data.is_file() else _own_csv(data)
    rows = (_csv_rows(table) if table is not None else None) or []
    if table is None or not rows:
        raise DataError(
            f"{data}: holds no CSV of images and labels; a column such as {column} is read from one"
        )
    name = column.strip().lower()
    if name not in rows[0]:
        raise DataError(f"{table}: has no column {column}, only {', '.join(rows[0])}; name one of these")
    empty = next((row["image"] for row in rows if not row[name]), None)
    if empty is not None:
        raise DataError(f"{table}: nothing in column {column} for {empty}; fill it in every row")
    return {table.parent / row["image"]: row[name] for row in rows}


def _csv_rows(table: Path) -> list[dict[str, str]] | None:
    """Stripped cells by lower-case column, or None when the columns image and label are not there."""
    text = read_text_file(table)
    for delimiter in (",", ";", "\t"):  # spreadsheets of some countries write semicolons
        try:
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            rows = [[cell.strip() for cell in row] for row in lines]
        except csv.Error as error:
            raise DataError(f"{table}: cannot be read ({error}); expected a CSV in UTF-8") from None
        cells = [row for row in rows if any(row)]
        columns = [name.lower() for name in cells[0]] if cells else []
        if {"image", "label"} <= set(columns):
            return [dict(zip(columns, [*row, *[""] * len(columns)], strict=False)) for row in cells[1:]]
    return None


def _own_csv(folder: Path) -> Path | None:
    tables = [path for path in sorted(folder.glob("*.csv")) if not is_hidden(path) and _has_columns(path)]
    if len(tables) > 1:
        names = " and ".join(path.name for path in tables)
        raise DataError(f"{folder}: {names} all list images and labels; give the one to use as DATA")
    return tables[0] if tables else None


def _has_columns(table: Path) -> bool:
    try:
        return _csv_rows(table) is not None
    except DataError:
        return False


def _check_exist(source: Path, entries: list[Entry]) -> None:
    files = [path for entry in entries for path in (*entry.images, entry.label) if path is not None]
    # Path.exists raises on names that no file system takes.
    missing = [str(path)[:200] for path in files if not os.path.exists(path)]
    if missing:
        slashes = "write / in place of \\ in the paths; " if os.sep == "/" and "\\" in missing[0] else ""
        raise DataError(
            f"{source}: {len(missing)} of the {len(files)} files it names are missing: {some(missing, 3)}; "
            f"{slashes}correct the paths, which start at the folder of the data, or remove the lines"
        )


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's dataset.json holds, nothing without one.

    Raises:
        DataError: it cannot be understood.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return {}
    try:
        description = json.loads(read_text_file(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable JSON ({error}); correct it or remove it") from None
    if not isinstance(description, dict):
        raise DataError(f"{path}: holds a {type(description).__name__}; expected names with values")
    return description


def _channel_names(description: dict[str, Any]) -> tuple[str, ...]:
    channels = description.get("channel_names", description.get("modality"))
    if isinstance(channels, dict):
        order = sorted(channels, key=lambda key: (len(str(key)), str(key)))
        return tuple(str(channels[key]) for key in order)
    return tuple(map(str, channels)) if isinstance(channels, list) else ()


def _listed(folder: Path, description: dict[str, Any]) -> list[Entry]:
    """Entries of the training list of dataset.json, [] without one."""
    training = description.get("training") or []
    entries = []
    for number, item in enumerate(training if isinstance(training, list) else [training]):
        paths = (item.get("image"), item.get("label")) if isinstance(item, dict) else ()
        if not paths or not all(isinstance(path, str) for path in paths):
            raise DataError(
                f'{folder / "dataset.json"}: entry {number} of "training" is {str(item)[:60]!r}; expected '
                '{"image": path, "label": path}'
            )
        image = folder / item["image"]
        entries.append(Entry(stem_of(image), (image,), folder / item["label"]))
    return entries


def _is_first_nnunet(listed: list[Entry]) -> bool:
    """nnU-Net 1 lists x.nii.gz where the file is x_0000.nii.gz."""
    image = listed[0].images[0]
    channel = image.with_name(f"{stem_of(image)}_0000{image.name[len(stem_of(image)) :]}")
    return not os.path.exists(image) and os.path.exists(channel)


def _check_listed(folder: Path, entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    _check_exist(folder / "dataset.json", entries)
    listed = {entry.images[0].name for entry in entries}
    others = [stem_of(path) for path in list_images(entries[0].images[0].parent) if path.name not in listed]
    return entries, _left_over("images that dataset.json does not list", others)
