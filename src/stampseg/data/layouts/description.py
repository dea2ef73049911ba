"""A dataset.json: the list of images and labels in it, and the names of the channels."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ...core.errors import DataError
from ..io.formats import list_images, stem_of
from ..io.limits import read_text_file
from .listing import Entry, check_exist, left_over

NAMING = ("labels", "channel_names", "modality")  # parts that are names with values
USED = (*NAMING, "training", "regions_class_order")


class _Names(dict[str, Any]):
    """Names with values, and which name is there twice, if one is: JSON says nothing of it."""

    twice: str | None = None


def _names_of(pairs: list[tuple[str, Any]]) -> _Names:
    found = _Names(pairs)
    counts = Counter(name for name, _ in pairs)
    found.twice = next((name for name, count in counts.items() if count > 1), None)
    return found


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's dataset.json holds, nothing without one.

    Raises:
        DataError: it cannot be understood, or says something twice.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return {}
    try:
        description = json.loads(read_text_file(path), object_pairs_hook=_names_of)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable JSON ({error}); correct it or remove it") from None
    if not isinstance(description, _Names):
        raise DataError(f"{path}: holds a {type(description).__name__}; expected names with values")
    parts = {name: part for name in NAMING if isinstance(part := description.get(name), _Names)}
    for name, part in parts.items():
        _check_once(part, f'{path}: "{part.twice}" is there twice in "{name}"')
    if description.twice in USED:
        _check_once(description, f'{path}: "{description.twice}" is there twice')
    return description


def _check_once(part: _Names, found: str) -> None:
    if part.twice is not None:
        raise DataError(f"{found}, and the last would count; expected it once; correct the file")


def channel_names(description: dict[str, Any]) -> tuple[str, ...]:
    """Names of the channels in their order; none where it has none."""
    channels = description.get("channel_names", description.get("modality"))
    if isinstance(channels, dict):
        order = sorted(channels, key=lambda key: (len(str(key)), str(key)))
        return tuple(str(channels[key]) for key in order)
    return tuple(map(str, channels)) if isinstance(channels, list) else ()


def listed_entries(folder: Path, description: dict[str, Any]) -> list[Entry]:
    """Entries of the training list of dataset.json, [] without one.

    Raises:
        DataError: it lists something else than images with labels.
    """
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


def is_first_nnunet(listed: list[Entry]) -> bool:
    """Whether it is of nnU-Net 1, which lists x.nii.gz where the file is x_0000.nii.gz."""
    image = listed[0].images[0]
    channel = image.with_name(f"{stem_of(image)}_0000{image.name[len(stem_of(image)) :]}")
    return not os.path.exists(image) and os.path.exists(channel)


def check_listed(folder: Path, entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """The listed entries, whose files are there, and warnings.

    Raises:
        DataError: some files are missing.
    """
    check_exist(folder / "dataset.json", entries)
    listed = {entry.images[0].name for entry in entries}
    others = [stem_of(path) for path in list_images(entries[0].images[0].parent) if path.name not in listed]
    return entries, list(left_over("images that dataset.json does not list", others))
