"""Images in one folder and labels in another, or both in one: pairs by names, and channels of nnU-Net."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from ...core.errors import DataError
from ...core.text import some
from ..io.formats import check_one_series, folders_in, is_hidden, list_images, list_labels, readable
from .case_numbers import check_same_start, with_other_zeros
from .doubts import inner_folders, mixed_modalities, other_ends, other_zeros
from .habits import is_label_name, is_no_truth
from .listing import COMPUTED, Entry, labels_without_image, left_over
from .modalities import check_modalities
from .numbered import DRAWN, LABELS_TAKEN, TAKEN, cases_of_channels
from .pairing import (
    Pairs,
    by_plain_name,
    by_stem,
    by_what_differs,
    labels_beside,
    name_of,
    pair,
    with_usual_names,
    without_computed,
)

LIST = (
    "list them in a CSV and give that as DATA: a line image,label and below it, for each case, the paths of "
    "its image and its label with a comma between"
)


def files_of(folders: Sequence[Path]) -> list[Path]:
    return [path for folder in folders for path in list_images(folder)]


def pair_folders(folders: Sequence[Path], masks: Path) -> tuple[str, list[Entry], list[str]]:
    """Layout, entries and warnings of folders of images and masks, or of one that holds both."""
    images, (files, drawn) = folders[0], without_computed(files_of(folders))
    labels, predicted = without_computed(list_labels(masks))
    if masks not in folders:
        drawn += predicted
    for folder in folders:
        check_one_series(folder, [path for path in files if path.parent == folder])
    label_files, label_doubles = by_stem(labels)
    same_folder = images.resolve() == masks.resolve()
    image_files, image_doubles = by_stem(files)
    pairs_of_names = partial(_by_names, image_files, label_files, same_folder)
    for named in (label_files, by_plain_name(label_files)):
        cases, told = cases_of_channels(files, named, None if same_folder else pairs_of_names)
        if cases:
            shifted = check_same_start(cases, named, masks)
            entries = [Entry(base, paths, named.get(base)) for base, paths in cases.items()]
            told = [
                *left_over(COMPUTED, drawn),
                *told,
                *shifted,
                *_left_of_channels(entries, named, label_doubles),
            ]
            told += inner_folders(folders, [path for paths in cases.values() for path in paths])
            return "nnunet", entries, told
    if not files:
        raise DataError(
            f"{images}: no image of a known type found, {_held(images)}; expected {readable()}"
            f"{_way_to_part(images, masks) or _of_folders(images)}"
        )
    if not labels:
        raise DataError(f"{masks}: no label of a known type found, {_held(masks)}; expected {readable()}")
    pairs = pairs_of_names()
    if not pairs.labels and same_folder:
        raise DataError(
            f"{images}: no image pairs with a label in this folder, which `images` and `masks` both name "
            f"({some(image_files, 3)}); expected two folders, or a suffix such as _mask on each label; "
            f"name the folder of the labels with `masks`, or {LIST}"
        )
    if not pairs.labels:
        raise DataError(
            f"{images}: none of its {len(image_files)} images ({some(image_files, 3)}) pairs with the "
            f"{len(label_files)} labels of {masks} ({some(label_files, 3)}); expected equal names, or "
            "one suffix such as _mask on every label; rename them or list the pairs in a CSV with columns "
            "image,label"
        )
    shifted = () if same_folder else check_same_start(image_files, label_files, masks)
    check_modalities({image_files[stem]: label for stem, label in pairs.labels.items()})
    entries = [Entry(stem, (image_files[stem],), label) for stem, label in pairs.labels.items()]
    marked = {name_of(path) for path in labels_beside(files)}
    bare = [stem for stem in pairs.images_left if stem not in marked]
    entries += [Entry(stem, (image_files[stem],), None) for stem in bare]
    return (
        "folders",
        entries,
        [
            *left_over("images without a label", bare),
            *left_over(DRAWN, [stem for stem in pairs.images_left if stem in marked]),
            *left_over(COMPUTED, drawn),
            *other_ends(pairs),
            *other_zeros(pairs),
            *shifted,
            *mixed_modalities(entry.stem for entry in entries),
            *inner_folders([folder for folder in folders if not masks.is_relative_to(folder)], files),
            *left_over(
                "labels that are called as predicted",
                [path.name for path in labels if is_no_truth(name_of(path))],
            ),
            *labels_without_image(pairs.labels_left, folders),
            *left_over(TAKEN, image_doubles),
            *left_over(LABELS_TAKEN, label_doubles),
        ],
    )


def _by_names(images: dict[str, Path], labels: dict[str, Path], same_folder: bool) -> Pairs:
    """Pairs by equal names or an ending, by usual words, or else by what differs."""
    pairs = with_usual_names(pair(images, labels, same_folder=same_folder), images, labels, same_folder)
    if not same_folder:
        pairs = with_other_zeros(pairs, labels)
    if pairs.labels:
        return pairs
    marks = {stem: path for stem, path in labels.items() if not same_folder or is_label_name(stem)}
    return by_what_differs([stem for stem in images if not same_folder or stem not in marks], marks)


def _way_to_part(images: Path, masks: Path) -> str:
    """What to name where both folders hold the same parts of the data: images/train/ and masks/train/."""
    parts = [path for path in folders_in(images) if list_images(path) and (masks / path.name).is_dir()]
    parts.sort(key=lambda path: not path.name.lower().startswith("train"))
    return (
        f"; name {images.name}/{parts[0].name} with `images` and {masks.name}/{parts[0].name} with `masks`"
        if parts
        else ""
    )


def _of_folders(images: Path) -> str:
    """What to do where a folder of images holds folders of images, as of a person each."""
    inner = [path for folder in folders_in(images) for path in list_images(folder)]
    return (
        f"; {inner[0]} and others lie in folders of their own: put all in {images}, or {LIST}"
        if inner
        else ""
    )


def _held(folder: Path) -> str:
    names = [path.name for path in sorted(folder.iterdir()) if not is_hidden(path)]
    return f"it holds {some(names, 3)}" if names else "it is empty"


def _left_of_channels(entries: Sequence[Entry], labels: Iterable[str], doubles: list[str]) -> list[str]:
    cases = {entry.stem for entry in entries}
    return [
        *left_over("images without a label", [entry.stem for entry in entries if entry.label is None]),
        *left_over("labels without an image", [stem for stem in labels if stem not in cases]),
        *left_over(LABELS_TAKEN, doubles),
    ]
