"""TIFF through tifffile.

A TIFF of one page is a picture. One of several pages is a volume of 1 mm voxels, its pages along the
third axis.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import DataError
from ...core.packages import require
from ...core.text import size_text, some
from .colours import as_pixels, drop_transparent, label_of, resolve
from .format import Format
from .limits import check_promise
from .orientation import ORIENTATION, UPRIGHT, as_shown, as_stored, known
from .pictures import NO_JPEG_LABELS, open_picture, picture_header
from .volume import Header, as_image, volume_header

if TYPE_CHECKING:
    import tifffile
    from PIL.ImageFile import ImageFile


def read_header(path: Path) -> Header:
    """Header of a picture, or of a TIFF of several pages; no pixels are decoded."""
    with _opened(path) as stored:
        return stored.header()


def read_image(path: Path) -> np.ndarray:
    """Values (C, rows, columns) as shown, or (C, X, Y, Z), float32; a palette is resolved, alpha dropped."""
    with _opened(path) as stored:
        array = stored.channels_first()
    if stored.palette is None:
        return as_image(array[: stored.channels], path)
    colours = np.moveaxis(stored.palette[array[0]], -1, 0)
    return as_image(colours[:1] if stored.channels == 1 else colours, path)


def read_label(path: Path) -> np.ndarray:
    """Label (*S) as shown: the grey value, what a palette stands for, or a code per colour.

    Raises:
        DataError: it is packed as JPEG.
    """
    with _opened(path) as stored:
        if stored.is_jpeg:
            raise DataError(f"{path}: is packed as JPEG: {NO_JPEG_LABELS}")
        array = stored.channels_first()
    if stored.palette is not None:
        return resolve(array[0], stored.palette, path)
    colours = array[: stored.channels]
    return label_of(drop_transparent(colours, array[-1], path) if stored.alphas else colours, path)


def read_palette(path: Path) -> np.ndarray | None:
    """Colours (n, 3) uint8 by index of an indexed picture, None of any other."""
    with _opened(path) as stored:
        return stored.palette


def write_label(path: Path, labels: np.ndarray, like: Header) -> None:
    """Write unsigned labels as grey of 8, 16 or 32 bits, or as the colours that `read_label` coded.

    They are stored turned as the picture of `like` is, with its orientation.
    """
    import tifffile

    pixels = as_pixels(labels)
    pages = np.swapaxes(pixels, 0, 2) if labels.ndim == 3 else as_stored(pixels, like.turned)
    coloured = pixels.ndim > labels.ndim
    tags = [] if like.turned == UPRIGHT else [(ORIENTATION, "H", 1, like.turned, True)]
    tifffile.imwrite(
        path,
        np.ascontiguousarray(pages),
        photometric="rgb" if coloured else "minisblack",
        compression="zlib",
        extratags=tags,
    )


@contextmanager
def _opened(path: Path) -> Iterator[_Stored]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        _refuse_part(path, file)
        # tifffile notes the shape of all that it is given to write, also where it is given page by page.
        pages = [one.shape for one in file.series if one.shape == one.keyframe.shape]
        if not file.is_shaped or len(set(pages)) == len(pages):
            yield _Stored(path, file)
            return
    with tifffile.TiffFile(path, is_shaped=False) as file:
        yield _Stored(path, file)


def _refuse_part(path: Path, file: tifffile.TiffFile) -> None:
    """A file of an OME set stands for all of it: its pages are its own slices, and missing ones become 0."""
    # in other places the XML names what is attached to it
    named = set(re.findall(r'<(?:\w+:)?UUID\b[^>]*\bFileName="([^"]*)"', file.ome_metadata or ""))
    if len(named) > 1:
        raise DataError(
            f"{path}: is one of {len(named)} files of an OME set ({some(sorted(named), 3)}); expected the "
            "whole volume in one file; save it as one TIFF"
        )


class _Stored:
    """What a file holds: its largest picture, or stack of pages of one size; thumbnails are left aside."""

    def __init__(self, path: Path, file: tifffile.TiffFile) -> None:
        self.path, self.file = path, file
        self.series = self._largest()
        self.page = self.series.keyframe
        self.letters, self.sizes = self._axes()
        self.palette = self._palette()
        coded = self.page.tags.get(ORIENTATION)
        # A stack lies in space as it is stored.
        self.turned = UPRIGHT if coded is None or "Z" in self.letters else known(coded.value)

    @property
    def channels(self) -> int:
        """Of the image: without transparency, a palette's colours."""
        if self.palette is None:
            return self._size("C") - self.alphas
        return 1 if (self.palette == self.palette[:, :1]).all() else 3

    @property
    def is_jpeg(self) -> bool:
        import tifffile

        return self.page.compression in (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG)

    def header(self) -> Header:
        """Checked against the size of the file."""
        self._check_data_present()
        dtype = str(self.series.dtype)
        if "Z" in self.letters:
            shape = (self._size("X"), self._size("Y"), self._size("Z"))
            notes = (f"{self.path}: what a TIFF says of the size of its voxels is not read; 1 mm is assumed",)
            return volume_header(self.path, shape, np.eye(4), self.channels, dtype, notes, placed=False)
        shown = (self._size("Y"), self._size("X"))
        return picture_header(self.path, shown, self.channels, dtype, self.turned)

    def channels_first(self) -> np.ndarray:
        """(C, rows, columns) as shown, or (C, X, Y, Z), of values or of a palette's indices; alpha last."""
        array = self._values().reshape(self.sizes)
        volume = "Z" in self.letters
        array = array.transpose([self.letters.index(axis) for axis in ("CXYZ" if volume else "YXC")])
        if not volume:
            array = as_shown(array, self.turned).transpose(2, 0, 1)
        return array

    def _size(self, letter: str) -> int:
        return self.sizes[self.letters.index(letter)]

    def _largest(self) -> tifffile.TiffPageSeries:
        pixels = [one.keyframe.imagelength * one.keyframe.imagewidth for one in self.file.series]
        if not pixels:
            raise DataError(
                f"{self.path}: holds no picture, as its list of pages is not there; the file is cut short or "
                "damaged; copy it again"
            )
        best = max(pixels)
        if pixels.count(best) > 1:
            shapes = some([size_text(one.shape) for one in self.file.series])
            raise DataError(
                f"{self.path}: holds {len(pixels)} pictures ({shapes}), and none is the largest; expected "
                "one, or pages of one size; split the file"
            )
        return self.file.series[pixels.index(best)]

    def _axes(self) -> tuple[str, tuple[int, ...]]:
        """Stored axes as C (samples, channels), Z (any one other), Y and X, and their sizes."""
        stored = zip(self.series.axes, self.series.shape, strict=True)
        kept = [("C" if axis in "SC" else axis if axis in "YX" else "Z", size) for axis, size in stored]
        kept = [(letter, size) for letter, size in kept if size > 1 or letter in "YX"]
        letters, sizes = "".join(letter for letter, _ in kept), tuple(size for _, size in kept)
        if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
            raise DataError(
                f"{self.path}: TIFF with axes {self.series.axes} of sizes {self.series.shape}; expected rows "
                "and columns, and at most one axis of pages and one of channels; split the file"
            )
        return (letters, sizes) if "C" in letters else ("C" + letters, (1, *sizes))

    def _palette(self) -> np.ndarray | None:
        import tifffile

        if self.page.photometric != tifffile.PHOTOMETRIC.PALETTE or self.page.colormap is None:
            return None
        return (np.asarray(self.page.colormap).T >> 8).astype(np.uint8)

    def _check_data_present(self) -> None:
        import tifffile

        kinds = (tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE)
        if self.page.compression in kinds:  # how far the others can shrink has no limit that is known
            bits = self.page.bitspersample if isinstance(self.page.bitspersample, int) else 1
            packed = self.page.compression != tifffile.COMPRESSION.NONE
            promised = math.prod(self.sizes) * bits // 8
            check_promise(self.path, promised, self.path.stat().st_size, packed=packed)

    @property
    def alphas(self) -> int:
        """Samples of a pixel that are transparency, always the last ones."""
        import tifffile

        alpha = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
        return sum(sample in alpha for sample in self.page.extrasamples)

    def _values(self) -> np.ndarray:
        import tifffile

        kinds = tifffile.PHOTOMETRIC
        inks = (kinds.SEPARATED, kinds.CIELAB, kinds.ICCLAB, kinds.ITULAB)
        if self.page.photometric in inks or (self.page.photometric == kinds.YCBCR and not self.is_jpeg):
            name = kinds(self.page.photometric).name
            raise DataError(
                f"{self.path}: a TIFF of {name} colours; expected grey, a palette, or red, green and blue; "
                "write it anew as RGB"
            )
        white_is_zero = self.page.photometric == kinds.MINISWHITE
        try:
            array = self.series.asarray()
        except (ValueError, ImportError):
            # LZW and JPEG inside TIFF need a further package there; Pillow has them, with samples last.
            array = self._by_pillow()
            white_is_zero &= self.page.bitspersample > 8  # fewer bits it has turned to black is zero
        if white_is_zero and array.dtype.kind in "bu":
            return ~array if array.dtype.kind == "b" else (1 << self.page.bitspersample) - 1 - array
        return array

    def _by_pillow(self) -> np.ndarray:
        """The pages as stored.

        Raises:
            MissingPackageError: Pillow does not know their compression, and the package is missing that does.
        """
        import tifffile

        axes = self.series.axes
        try:
            if axes.find("S") not in (-1, len(axes) - 1):
                raise ValueError(f"samples of {axes} are not last")
            with open_picture(self.path) as picture:
                pages = [page.index for page in self.series.pages if page is not None]
                return np.stack([self._page_by_pillow(picture, number) for number in pages])
        except Exception:  # of a decoder that meets arbitrary bytes
            codec = tifffile.COMPRESSION(self.page.compression).name
            require("imagecodecs", f"{self.path}: a TIFF compressed by {codec}")
            raise

    def _page_by_pillow(self, picture: ImageFile, number: int) -> np.ndarray:
        picture.seek(number)
        pixels, kind = np.asarray(picture), self.series.dtype  # turned as shown while it is loaded
        if pixels.dtype.itemsize != kind.itemsize:
            raise ValueError(f"Pillow has {pixels.dtype} of {kind}")
        if pixels.dtype.kind in "iu" and kind.kind in "iu":
            pixels = pixels.view(kind)  # of some it takes the sign for a bit, or a bit for the sign
        return as_stored(pixels, self.turned)


FORMATS = (
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        package="tifffile",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        read_palette=read_palette,
        write_label=write_label,
        colours=True,
    ),
)
