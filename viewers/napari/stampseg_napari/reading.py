"""Opens what stampseg reads, with its orientation: the panel then needs to guess nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stampseg.core.errors import StampsegError
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import output_name, read_header, read_image

from .places import metadata_of

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[Any], list[LayerData]]


def reader_of(path: str | Sequence[str]) -> Reader | None:
    """A reader of the files, or None where they are no volumes: pictures open well without us."""
    try:
        pictures = [read_header(case.images).is_picture for case in find_inputs(_paths(path))]
    except StampsegError:
        return None
    return None if any(pictures) else read


def read(path: str | Sequence[str]) -> list[LayerData]:
    """A layer for each channel of each image: axes Z, Y, X, as slices are shown; the affine is metadata."""
    layers: list[LayerData] = []
    for case in find_inputs(_paths(path)):
        volume = read_image(case.images)
        header = volume.header
        for number, channel in enumerate(volume.array):
            name = output_name(case.images) + (f" channel {number + 1}" if len(volume.array) > 1 else "")
            shown = {"name": name, "scale": header.spacing[::-1], "metadata": metadata_of(header.affine)}
            layers.append((channel.T, shown, "image"))
    return layers


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(each) for each in path]
