"""A kind of image file, told to the rest of the package by one record."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .limits import HIGHEST_LABEL
from .volume import Header

ReadHeader = Callable[[Path], Header]
ReadVoxels = Callable[[Path], np.ndarray]
ReadPalette = Callable[[Path], np.ndarray | None]
ReadNames = Callable[[Path], dict[int, str]]
WriteLabel = Callable[[Path, np.ndarray, Header], None]


@dataclass(frozen=True)
class Series:
    """What the files directly in a folder are to a format of which an image is many files.

    Attributes:
        is_one: whether they make images together, rather than being an image each.
        images: a path for each of those images: the folder itself where it is one, else the folder with a
            name that no file has. The format reads both.
        is_label: whether the files below a folder are no images but hold its label.
        below: the folders of such files within a folder, or itself.
    """

    is_one: Callable[[Path], bool]
    images: Callable[[Path], list[Path]]
    is_label: Callable[[Path], bool] = lambda _: False
    below: Callable[[Path], list[Path]] = lambda _: []


@dataclass(frozen=True, eq=False)
class Format:
    """What the files of one format are called, and what reads and writes them.

    The record stands in the format's own module, which imports its package inside its functions, and in the
    table of formats.py. Whatever the functions raise on a broken file becomes a DataError of one line.

    Attributes:
        name: in messages.
        suffixes: of its files, lower case.
        package: what its files are read and written with, as pip calls it.
        read_header: all but the voxels, without decoding them, checked against the size of the file.
        read_image: (C, *S) float32.
        read_label: (*S) whole numbers of the file's own; None where such files hold no label maps.
        no_labels: why they hold none and what to do, in a message that follows the path.
        read_palette: colours (n, 3) uint8 by index, where pixels are indices into them; None where such files
            have none, or this file has none.
        read_names: what a label map's own file calls its values; none where it says nothing.
        write_label: writes (*S) unsigned labels to a path, on the grid of an image's header. None where
            nothing is written in this format.
        highest_label: that `write_label` can store, beside the codes of colours where it has colours.
        colours: whether `write_label` stores those.
        mask_suffix: suffix of the masks written for its images; "" is the image's own. It may be that of
            another format whose `write_label` needs no more than the header.
        mask_suffix_by_content: the same, where it depends on what is in the file.
        listed: how a list of what can be read shows it; the name where nothing is said.
        module: what is imported of the package, where that is called otherwise.
        pair: suffixes of the two files, header and voxels, that make one image together.
        is_one: whether a file begins as one of the format, whatever it is called; None where only names tell.
        series: how files of the format make images together; None where each is one.
        data_files: the files that hold an image, where that is not the one that names it.
    """

    name: str
    suffixes: tuple[str, ...]
    package: str
    read_header: ReadHeader
    read_image: ReadVoxels
    read_label: ReadVoxels | None = None
    no_labels: str = ""
    read_palette: ReadPalette | None = None
    read_names: ReadNames | None = None
    write_label: WriteLabel | None = None
    highest_label: int = HIGHEST_LABEL
    colours: bool = False
    mask_suffix: str = ""
    mask_suffix_by_content: Callable[[Path], str] | None = None
    listed: str = ""
    module: str = ""
    pair: tuple[str, str] | None = None
    is_one: Callable[[Path], bool] | None = None
    series: Series | None = None
    data_files: Callable[[Path], list[Path]] | None = None

    def __post_init__(self) -> None:
        if (self.read_label is None) == (not self.no_labels):
            raise ValueError(f"{self.name}: give read_label, or no_labels, the reason why there is none")
        if not self.mask_suffix and (self.write_label is None or self.series is not None):
            raise ValueError(f"{self.name}: masks have no suffix; give mask_suffix")

    def suffix_of(self, path: Path) -> str:
        """The format's suffix of a file name, lower case, or "" when it has none of them."""
        name = path.name.lower()
        fitting = [suffix for suffix in self.suffixes if name.endswith(suffix) and name != suffix]
        return max(fitting, key=len, default="")

    def names(self, path: Path) -> bool:
        """Whether the path is named as a file of this format, and is no folder."""
        return bool(self.suffix_of(path)) and not os.path.isdir(path)

    def mask_suffix_of(self, image: Path) -> str:
        """Suffix of the mask of an image of this format, the image's own in its own case."""
        if self.mask_suffix_by_content is not None:
            return self.mask_suffix_by_content(image)
        return self.mask_suffix or image.name[len(image.name) - len(self.suffix_of(image)) :]

    def twin_of(self, suffix: str) -> str:
        """Suffix of the file that makes one image with a file of this suffix, or "" where that is alone."""
        if self.pair is None or suffix not in self.pair:
            return ""
        return self.pair[1 - self.pair.index(suffix)]
