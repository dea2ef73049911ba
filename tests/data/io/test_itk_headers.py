"""MetaImage and NRRD: packed, in letters, detached, and headers that leave something out."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stampseg.core.errors import DataError
from stampseg.data.io.readers import read_header, read_image, read_label
from tests.data.header_files import DIRECTIONS, meta, nrrd, raw, text

pytest.importorskip("SimpleITK")

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 7, 8)).astype(np.int16)
STREAM = zlib.compress(raw(VOXELS))
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda stream: stream[: len(stream) // 2],
    "noise within": lambda stream: stream[:50] + bytes(20) + stream[70:],
    "no checksum": lambda stream: stream[:-4],
    "another checksum": lambda stream: stream[:-4] + b"\0\0\0\0",
    "too few voxels": lambda stream: zlib.compress(raw(VOXELS)[:-10]),
}


def packed(path: Path, stream: bytes, data: str = "LOCAL", size: int | None = None) -> Path:
    said = len(stream) if size is None else size
    fields = ["CompressedData = True", *([f"CompressedDataSize = {said}"] if said else [])]
    return meta(path, VOXELS, stream, fields, data)


@pytest.mark.parametrize("data", ["LOCAL", "a.zraw"])
@pytest.mark.parametrize("kind", BROKEN)
def test_packed_values_that_are_damaged_are_refused_rather_than_filled_by_chance(
    kind: str, data: str, tmp_path: Path
) -> None:
    path = packed(tmp_path / ("a.mha" if data == "LOCAL" else "a.mhd"), BROKEN[kind](STREAM), data)
    where = "" if data == "LOCAL" else r" in a\.zraw"
    said = rf"a\.mh[ad]: its packed values{where} do not unpack to the 672 bytes that .* promises; .*copy"
    for read in (lambda: read_image([path]), lambda: read_label(path)):
        with pytest.raises(DataError, match=said):
            read()


def test_packed_values_whose_size_is_said_too_small_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mhd", STREAM, "a.zraw", len(STREAM) - 7)
    with pytest.raises(DataError, match="do not unpack to the 672 bytes"):
        read_image([path])


def test_packed_values_after_a_header_that_does_not_say_how_many_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mha", STREAM, size=0)
    with pytest.raises(DataError, match=r"a\.mha: .* no CompressedDataSize says how many bytes .*; expected"):
        read_image([path])


@pytest.mark.parametrize(
    ("name", "stream", "data", "size"),
    [
        ("a.mha", STREAM, "LOCAL", None),
        ("a.mhd", STREAM, "a.zraw", None),
        ("a.mhd", STREAM, "a.zraw", 0),  # the file says how many there are
        ("a.mhd", gzip.compress(raw(VOXELS)), "a.raw.gz", None),
        ("a.mha", zlib.compress(raw(VOXELS) + bytes(30)), "LOCAL", None),  # surplus, as of other formats
    ],
)
def test_whole_packed_values_are_read(
    name: str, stream: bytes, data: str, size: int | None, tmp_path: Path
) -> None:
    assert np.array_equal(read_image([packed(tmp_path / name, stream, data, size)]).array[0], VOXELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_values_in_letters_take_fewer_bytes_than_their_type(dtype: type, tmp_path: Path) -> None:
    few = (VOXELS % 10).astype(dtype)
    written = [
        meta(tmp_path / "a.mha", few, text(few), ["BinaryData = False"]),
        nrrd(tmp_path / "a.nrrd", few, text(few), "ascii"),
        nrrd(tmp_path / "b.nrrd", few, text(few), "text"),
    ]
    for path in written:
        assert np.array_equal(read_image([path]).array[0], few)


def test_a_nrrd_packed_as_bzip2_is_told_as_such(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", VOXELS, bz2.compress(raw(VOXELS)), "bzip2")
    with pytest.raises(
        DataError, match=r"a\.nrrd: .*bzip2, which ITK does not unpack; expected gzip.*save it"
    ):
        read_image([path])


@pytest.mark.parametrize(
    "fields",
    [
        (DIRECTIONS[0], "space directions: (1,0,0) (0,1,0) none"),
        ("spacings: 1 1 nan",),
        ("spacings: 1 1 NaN",),
    ],
)
def test_a_nrrd_without_the_size_of_one_axis_is_refused_rather_than_taken_for_1_mm(
    fields: tuple[str, ...], tmp_path: Path
) -> None:
    path = nrrd(tmp_path / "a.nrrd", VOXELS, raw(VOXELS), "raw", fields)
    with pytest.raises(
        DataError, match=r"a\.nrrd: .* along 2 of 3 axes .*; expected a size in mm for each; cor"
    ):
        read_image([path])


@pytest.mark.parametrize(
    ("kinds", "last"), [("list domain domain domain", False), ("domain domain domain list", True)]
)
def test_an_axis_of_channels_needs_no_size(kinds: str, last: bool, tmp_path: Path) -> None:
    both = np.stack([VOXELS, VOXELS * 2])
    axes = ["(1,0,0)", "(0,1,0)", "(0,0,1.5)"]
    said = " ".join([*axes, "none"] if last else ["none", *axes])
    fields = (DIRECTIONS[0], f"space directions: {said}", f"kinds: {kinds}")
    stored = np.moveaxis(both, 0, 3) if last else both
    read = read_image([nrrd(tmp_path / "a.nrrd", stored, raw(stored), "raw", fields)])
    assert np.array_equal(read.array, both)
    assert read.header.spacing == (1, 1, 1.5)


@pytest.mark.parametrize("name", ["A.RAW", r"folder\a.raw", r"C:\scans\a.raw"])
def test_a_data_file_under_another_name_is_told_with_its_header(name: str, tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mhd", VOXELS, raw(VOXELS), data="a.raw")
    path.write_bytes(path.read_bytes().replace(b"a.raw", name.encode()))
    with pytest.raises(DataError) as error:
        read_image([path])
    assert str(error.value).startswith(f"{path}: its data file {name} is missing in {tmp_path}; put it there")


def test_values_that_itk_cannot_read_are_not_told_as_a_missing_file(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", VOXELS, text(VOXELS)[:-100], ["BinaryData = False"])
    with pytest.raises(
        DataError, match=r"a\.mha: its values cannot be read; the file is damaged; copy it again"
    ):
        read_image([path])


@pytest.mark.parametrize(
    ("fields", "sized", "placed"),
    [
        (DIRECTIONS, True, True),
        (("spacings: 1 1 2",), True, False),
        ((), False, False),
    ],
)
def test_what_a_nrrd_leaves_to_be_assumed_is_told(
    fields: tuple[str, ...], sized: bool, placed: bool, tmp_path: Path
) -> None:
    header = read_header([nrrd(tmp_path / "a.nrrd", VOXELS, raw(VOXELS), "raw", fields)])
    assert header.placed is placed, "else no letters of left and right"
    said = f"{tmp_path / 'a.nrrd'}: does not say how large its voxels are; 1 mm is assumed"
    assert header.notes == (() if sized else (said,))


def test_a_metaimage_without_the_size_of_voxels_is_told(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", VOXELS, raw(VOXELS))
    assert not read_header([path]).notes
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 1.5\n", b""))
    assert "1 mm is assumed" in read_header([path]).notes[0]
    path.write_bytes(path.read_bytes().replace(b"NDims = 3\n", b"NDims = 3\nElementSize = 1 1 2\n"))
    assert not read_header([path]).notes and read_header([path]).spacing == (1, 1, 2)


@pytest.mark.parametrize("sizes", ["1 1 -1", "1 -2.5 1", "1 1 0"])
def test_sizes_that_are_not_above_zero_are_refused(sizes: str, tmp_path: Path) -> None:
    """ITK would write no mask beside such an image, after all the work."""
    path = meta(tmp_path / "a.mha", VOXELS, raw(VOXELS), [f"ElementSpacing = {sizes}"])
    said = rf"a\.mha: its header has voxels of {sizes.replace(' ', ' x ')} mm; expected sizes above 0; write"
    for read in (lambda: read_header([path]), lambda: read_image([path]), lambda: read_label(path)):
        with pytest.raises(DataError, match=said):
            read()


@pytest.mark.parametrize("space", ["right-anterior-superior-time", "LAST"])
def test_a_space_with_time_of_which_itk_exchanges_sides_is_refused(tmp_path: Path, space: str) -> None:
    said = f"space {space.lower()}, of which sides would be exchanged; expected left-posterior"
    with pytest.raises(DataError, match=said):
        read_header([of_space(tmp_path / "a.nrrd", space)])


@pytest.mark.parametrize(
    ("space", "placed"),
    [("LPS", True), ("right-anterior-superior", True), ("LPST", True), ("scanner-xyz", False)],
)
def test_a_space_that_does_not_say_where_the_sides_are_places_nothing(
    tmp_path: Path, space: str, placed: bool
) -> None:
    assert read_header([of_space(tmp_path / "a.nrrd", space)]).placed == placed


def of_space(path: Path, space: str) -> Path:
    """A volume of 2 x 2 x 2 voxels, of one time where the space has time."""
    rows = ["(2,0,0)", "(0,2,0)", "(0,0,3)"]
    timed = space.lower().endswith("t") or space.endswith("-time")
    if timed:
        rows = [f"{row[:-1]},0)" for row in rows] + ["(0,0,0,1)"]
    header = (
        f"NRRD0005\ntype: uint8\ndimension: {len(rows)}\nsizes: 2 2 2{' 1' * timed}\nencoding: raw\n"
        f"space: {space}\nspace directions: {' '.join(rows)}\nspace origin: (-4,-5,0{',0' * timed})\n\n"
    )
    path.write_bytes(header.encode() + bytes(8))
    return path
