"""Images that BIDS says were computed of one another, as in another space: they are no channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...core.errors import DataError
from ...core.text import some
from .case_folders import CaseFolder
from .doubts import REMEDY
from .entities import alike, apart, entities, without_entities

SPACES = ("space", "res", "den")  # on which grid
VERSIONS = (*SPACES, "desc")
NATIVE = ("T1w", "T2w", "orig", "individual", "native")  # which a name without a space means as well


def versions_as_labelled(folders: Sequence[CaseFolder]) -> tuple[list[CaseFolder], list[str]]:
    """The folders with one version of each image: that in the space of the labels.

    Returns:
        The folders, and names of the images that are left out, as they lie in other spaces.

    Raises:
        DataError: a label is of several versions, such as an image and the same one preprocessed.
    """
    spaces = {_space(label) for folder in folders for label in folder.labels}
    if len(spaces) != 1:
        spaces = set()
    kept, out = [], []
    for folder in folders:
        own = {_space(label) for label in folder.labels} or spaces
        images = _in_space(folder.images, *own) if len(own) == 1 else folder.images
        out += [path.name for role, path in folder.images.items() if role not in images]
        kept.append(replace(folder, images=images) if len(images) < len(folder.images) else folder)
        if folder.labels or folder.organs:
            _check_alike(kept[-1])
    return kept, out


def plain_version(role: str) -> str:
    """A name without these entities: `T1w` of `space-MNI_T1w`."""
    return without_entities(role, VERSIONS)


def _space(role: str) -> tuple[str, ...]:
    """What a name says of the grid; nothing where it is that of the scanner."""
    said = entities(role, VERSIONS)
    if said.get("space") in NATIVE:
        del said["space"]
    return tuple(said.get(name, "") for name in SPACES)


def _in_space(images: dict[str, Path], space: tuple[str, ...]) -> dict[str, Path]:
    """Without versions in another space, where there is one in this."""
    other: set[str] = set()
    for roles in alike(images, VERSIONS):
        there = [role for role in roles if _space(role) == space]
        other |= set(roles) - set(there) if there else set()
    return {role: path for role, path in images.items() if role not in other}


def _check_alike(folder: CaseFolder) -> None:
    for roles in alike(folder.images, VERSIONS):
        label = next(iter((*folder.labels.values(), *folder.organs.values())))
        names = some([folder.images[role].name for role in roles])
        raise DataError(
            f"{label}: is a label of {names} alike, which differ by {apart(roles, VERSIONS)} alone; expected "
            f"one of them, as versions of one image are no channels; leave one in, or {REMEDY}"
        )
