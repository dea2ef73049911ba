"""What a layout says of the cases in it, before ids and people are settled."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import DataError
from ...core.text import some
from ..io.formats import stem_of, suffix_of
from ..labels.regions import NO_REGIONS, DeclaredRegions
from .habits import plain_name
from .pairing import CHANNEL

COMPUTED = "files left out, called as predicted or drawn on images"


@dataclass(frozen=True)
class Entry:
    """One image, its label and, where it is written down, the person.

    `organs` are mask files of one organ each, by name, where there are several: the label is then the first.
    Those without a name are pieces of one label.
    `channels` are the names of the image files, where they have some.
    """

    stem: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None = None
    organs: tuple[tuple[str, Path], ...] = ()
    channels: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        images: tuple[Path, ...],
        organs: Mapping[str, Path],
        group: str | None = None,
        channels: tuple[str, ...] = (),
    ) -> Entry:
        """An image with a mask file for each organ, in the order of their names."""
        ordered = tuple(sorted(organs.items()))
        stem = stem_of(images[0])
        channel = CHANNEL.fullmatch(stem) if len(images) > 1 else None
        stem = channel[1] if channel else stem
        return cls(stem, images, ordered[0][1] if ordered else None, group, ordered, channels)


def left_over(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """A warning of files that are not used; none without any."""
    return (f"{what} ({len(names)}): {some(names)}",) if names else ()


def labels_without_image(stems: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """A warning of labels that no image of `folders` is called as, with files of types that are not read."""
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    unread = {path.stem: path.name for path in files if not suffix_of(path)}
    found = {stem: unread.get(stem) or unread.get(plain_name(stem)) for stem in stems}
    said = [
        f"{stem} ({name} is not of a type that is read)" if name else stem for stem, name in found.items()
    ]
    return left_over("labels without an image", said)


@dataclass(frozen=True)
class Listing:
    """What a layout says, before ids and groups are settled."""

    layout: str
    entries: list[Entry]
    label_names: Mapping[int, str] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ignored: int | None = None
    regions: DeclaredRegions = NO_REGIONS


def check_exist(source: Path, entries: Sequence[Entry]) -> None:
    """See that all files are there that a table or list names.

    Raises:
        DataError: some are missing.
    """
    files = [
        path
        for entry in entries
        for path in (*entry.images, entry.label, *(path for _, path in entry.organs[1:]))
        if path is not None
    ]
    # Path.exists raises on names that no file system takes.
    missing = [str(path)[:200] for path in files if not os.path.exists(path)]
    if missing:
        slashes = "write / in place of \\ in the paths; " if os.sep == "/" and "\\" in missing[0] else ""
        raise DataError(
            f"{source}: {len(missing)} of the {len(files)} files it names are missing: {some(missing, 3)}; "
            f"{slashes}correct the paths, which start at {source.parent}, or remove the lines"
        )
