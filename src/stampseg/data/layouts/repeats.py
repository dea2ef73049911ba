"""Images that BIDS says were taken again: runs, echoes, acquisitions and reconstructions are no channels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...core.errors import DataError
from ...core.text import some
from .case_folders import CaseFolder
from .doubts import REMEDY
from .entities import alike, apart, entities, without_entities
from .pairing import name_of

REPEATS = ("run", "echo", "acq", "rec")
Key = tuple[str, ...]  # of each entity that labels name, what it is: ("1",) of run-1


def split(folder: CaseFolder, names: Sequence[str]) -> list[CaseFolder]:
    """A folder of each repeat, by entities of these names: with the images and labels of it, and the images
    that say nothing of them, which are of all.

    Raises:
        DataError: a label is of a repeat of which there is no image.
    """
    parts: dict[Key, CaseFolder] = {}
    for images, files in ((True, folder.images), (False, folder.labels)):
        for role, path in files.items():
            if key := _key(role, names):
                part = parts.setdefault(key, CaseFolder(folder.name, folder.person))
                (part.images if images else part.labels)[without_entities(role, tuple(names))] = path
    shared = {role: path for role, path in folder.images.items() if not _key(role, names)}
    for key, part in parts.items():
        if part.labels and not part.images:
            label = next(iter(part.labels.values()))
            raise DataError(
                f"{label}: says of which of several images that were taken again it is, and none is called "
                f"so; there are {some([path.name for path in folder.images.values()], 9)}; expected a label "
                f"of each, called as it; rename it, or {REMEDY}"
            )
        part.images |= shared
        said = "_".join(f"{name}-{value}" for name, value in zip(names, key, strict=True) if value)
        part.name = _name(part.images) or f"{folder.name}_{said}"
    first = next(iter(parts.values()))
    first.organs, first.inner, first.beside = folder.organs, folder.inner, folder.beside
    first.doubles, first.computed, first.strays = folder.doubles, folder.computed, folder.strays
    return [parts[key] for key in sorted(parts)]


def _key(role: str, names: Sequence[str]) -> Key:
    """What a name says of these entities; nothing where it has none of them."""
    own = entities(role, REPEATS)
    return tuple(own.get(name, "") for name in names) if own.keys() & {*names} else ()


def _name(images: Mapping[str, Path]) -> str:
    """What a case of one image is called; nothing of others."""
    return name_of(next(iter(images.values()))) if len(images) == 1 else ""


def named_repeats(folder: CaseFolder) -> list[str]:
    """The entities by which labels say of which of several repeats they are; none where some do not."""
    said = [entities(role, REPEATS) for role in folder.labels]
    if folder.organs or not alike(folder.images, REPEATS) or not all(said):
        return []
    return sorted({name for each in said for name in each})


def _named_in(roles: Iterable[str]) -> set[str]:
    """The entities that some of the names have."""
    return {name for role in roles for name in entities(role, REPEATS)}


def repeats_apart(folder: CaseFolder, others: Collection[str]) -> list[CaseFolder]:
    """A folder whose labels are of no one image as a folder of each repeat, where labels say of which they
    are; itself where no image is one of several.

    Args:
        others: entities by which labels of other folders say so, and images of this one may.

    Raises:
        DataError: one label is of several repeats, or of none that there is.
    """
    names = named_repeats(folder) or sorted(_named_in(folder.images) & {*others})
    parts = split(folder, names) if names else [folder]
    for part in parts:
        again = alike(part.images, REPEATS) if len(part.labels) == 1 or part.organs else []
        if again:
            raise _several(next(iter((*part.labels.values(), *part.organs.values()))), part.images, again[0])
    return parts


def _several(label: Path, images: Mapping[str, Path], again: Sequence[str]) -> DataError:
    return DataError(
        f"{label}: is a label of {some([images[role].name for role in again])} alike, which differ by "
        f"{apart(again, REPEATS)} alone; expected a label of each, called as it, as "
        f"images that were taken again are cases of their own and no channels; leave one in, or {REMEDY}"
    )


def by_plain_roles(folders: Sequence[CaseFolder]) -> list[CaseFolder]:
    """Folders of scans, without labels, as a folder of each repeat; none where images name no repeats."""
    names = [sorted(_named_in(folder.images)) for folder in folders]
    if not any(names):
        return []
    return [
        part
        for folder, own in zip(folders, names, strict=True)
        for part in (split(replace(folder, labels={}), own) if own else [folder])
    ]
