"""Volumes whose file or voxels are broken or odd."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from .bench import AFFINE, SHAPE, Bench, nifti, scan
from .entry import Refused, Same, Works, bad

Commands = list[list[object]]


def spoil(bench: Bench, change: Callable[[Path], object], dims: int = 3, part: str = "images") -> Commands:
    """A data set with its first file changed, and that file alone to be predicted."""
    data = bench.copy(dims)
    path = data / part / bench.clean.image(dims).name
    change(path)
    return bench.use(data) + (bench.predict(path, dims) if part == "images" else [])


def raw(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def patched(place: int, kind: str, *values: float) -> Callable[[Path], object]:
    """Numbers written over a place of the header."""

    def change(path: Path) -> None:
        content = bytearray(raw(path))
        struct.pack_into(kind, content, place, *values)
        path.write_bytes(gzip.compress(bytes(content)))

    return change


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a gzip file cut short": (_cut, r"v0\.nii\.gz: cannot be read \(.*\); the file is damaged"),
    "an empty file": (lambda p: p.write_bytes(b""), r"v0\.nii\.gz: cannot be read \(.*\); it is empty; copy"),
    "text under the name of a volume": (
        lambda p: p.write_text("sorry, no such scan"),
        r"v0\.nii\.gz: cannot be read \(.*\); the file is damaged or not what its name says",
    ),
    "gzip of noise": (
        lambda p: p.write_bytes(gzip.compress(np.random.default_rng(0).bytes(4000))),
        r"v0\.nii\.gz: cannot be read \(.*\); the file is damaged",
    ),
    "gzip of nothing": (lambda p: p.write_bytes(gzip.compress(b"")), r"v0\.nii\.gz: cannot be read \("),
    "a wrong checksum": (
        lambda p: p.write_bytes(p.read_bytes()[:-8] + b"\0\0\0\0" + p.read_bytes()[-4:]),
        r"v0\.nii\.gz: cannot be read \(.*CRC.*\); the file is damaged",
    ),
    "a wrong magic": (patched(344, "4s", b"abcd"), r"v0\.nii\.gz: cannot be read \(.*\); the file is dam"),
    "a data type that is none": (
        patched(70, "<h", 3000),
        r"v0\.nii\.gz: cannot be read \(.*data (type|code)",
    ),
    "an axis of no voxels": (
        patched(42, "<h", 0),
        r"v0\.nii\.gz: shape \(0, .*\) holds no voxels; .* broken",
    ),
    "an axis below 0": (patched(42, "<h", -5), r"v0\.nii\.gz: "),
    "huge axes": (
        patched(42, "<hhh", 30000, 30000, 30000),
        r"v0\.nii\.gz: shape \(30000, .* is more than 1,073,741,824 values; .* STAMPSEG_MAX_VALUES=",
    ),
    "axes beyond the file": (
        patched(42, "<hhh", 900, 900, 900),
        r"v0\.nii\.gz: the header promises [\d,]+ bytes of voxels, the file has [\d,]+; .* copy it again",
    ),
    "voxels that begin beyond all bounds": (
        patched(108, "<f", 2e9),
        r"v0\.nii\.gz: the header says that voxels begin at byte 2000000000; .* save the image again",
    ),
    "voxels that begin at no number": (
        patched(108, "<f", np.nan),
        r"v0\.nii\.gz: the header says that voxels",
    ),
    "infinite voxels alone": (
        lambda p: nifti(p, np.full(SHAPE, np.inf, np.float32)),
        r"v0\.nii\.gz: every value is NaN or infinite, or too large for 32 bits .*; expected an image",
    ),
    "NaN voxels alone": (
        lambda p: nifti(p, np.full(SHAPE, np.nan, np.float32)),
        r"v0\.nii\.gz: every value is NaN or infinite, or too large for 32 bits .*; expected an image",
    ),
    "complex voxels": (
        lambda p: nifti(p, scan(0, SHAPE)[0].astype(np.complex64)),
        r"v0\.nii\.gz: values of type complex64; expected real numbers, save the magnitude",
    ),
    "five axes": (
        lambda p: nifti(p, np.zeros((*SHAPE, 2, 2), np.uint8)),
        r"v0\.nii\.gz: shape \(12, 14, 10, 2, 2\); expected three axes, or four with channels last; split it",
    ),
}


def _enter_broken(name: str, change: Callable[[Path], object], pattern: str) -> None:
    @bad(f"volume: {name}", Refused(3, pattern))
    def make(bench: Bench) -> Commands:
        return spoil(bench, change)


for _name, (_change, _pattern) in BROKEN.items():
    _enter_broken(_name, _change, _pattern)


def _some_not_numbers(path: Path) -> None:
    array = scan(0, SHAPE)[0].astype(np.float32)
    array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf
    nifti(path, array)


@bad("volume: some voxels are NaN or infinite", Works())
def some_not_numbers(bench: Bench) -> Commands:
    return spoil(bench, _some_not_numbers)


@bad("volume: constant", Works())
def constant(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, np.full(SHAPE, 7, np.uint8)))


@bad("volume: values of 1e30", Works())
def enormous(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[0] * 1e30))


@bad("volume: another number of channels than the others", Refused(3, r"channel"))
def channels(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, np.stack([scan(0, SHAPE)[0]] * 2, axis=3)))


@bad("volume: colours (RGB) among grey ones", Refused(3, r"v0\.nii\.gz.*channel|channel.*v0\.nii\.gz"))
def colours(bench: Bench) -> Commands:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    array = np.zeros(SHAPE, kind)
    array["R"] = scan(0, SHAPE)[0]
    return spoil(bench, lambda path: nifti(path, array))


@bad("volume: one voxel", Works())
def one_voxel(bench: Bench) -> Commands:
    path = nifti(bench.folder / "one.nii.gz", np.ones((1, 1, 1), np.uint8))
    return bench.predict(path)


@bad("volume: one slice", Works())
def one_slice(bench: Bench) -> Commands:
    return bench.predict(nifti(bench.folder / "slice.nii.gz", scan(0, (12, 14, 1))[0]))


@bad("volume: two axes", Works())
def two_axes(bench: Bench) -> Commands:
    return bench.predict(nifti(bench.folder / "flat.nii.gz", scan(0, (12, 14))[0]))


@bad("volume: a fourth axis of one", Same())
def lone_axis(bench: Bench) -> Commands:
    return spoil(bench, lambda path: nifti(path, scan(0, SHAPE)[0][..., None]))


@bad("volume: big-endian", Same())
def big_endian(bench: Bench) -> Commands:
    def change(path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">i2")
        nib.Nifti1Image(scan(0, SHAPE)[0].astype(">i2"), AFFINE, header).to_filename(path)

    return spoil(bench, change)


@bad("volume: NIfTI-2 of 64-bit numbers", Same())
def nifti2(bench: Bench) -> Commands:
    image = nib.Nifti2Image(scan(0, SHAPE)[0].astype(np.float64), AFFINE)
    return spoil(bench, image.to_filename)


@bad("volume: slope 0, which means none", Same())
def slope_zero(bench: Bench) -> Commands:
    return spoil(bench, patched(112, "<ff", 0, 5))


@bad("volume: slope that is no number", Same())
def slope_nan(bench: Bench) -> Commands:
    return spoil(bench, patched(112, "<ff", np.nan, np.nan))


@bad("volume: infinite slope, which means none", Same())
def slope_infinite(bench: Bench) -> Commands:
    return spoil(bench, patched(112, "<ff", np.inf, 0))


@bad("volume: bytes after the voxels", Same())
def surplus(bench: Bench) -> Commands:
    return spoil(bench, lambda path: path.write_bytes(gzip.compress(raw(path) + b"\0" * 1000)))


@bad(
    "volume: gzip under a name without .gz",
    Refused(3, r"x\.nii: cannot be read \(.*\); it begins as packed by gzip; name it \.nii\.gz"),
)
def hidden_gzip(bench: Bench) -> Commands:
    path = bench.folder / "x.nii"
    path.write_bytes(bench.clean.image(3).read_bytes())
    return bench.predict(path)


@bad(
    "volume: MetaImage with fewer voxels than promised", Refused(3, r"x\.mha: the header promises 8,000,000,")
)
def short_meta(bench: Bench) -> Commands:
    path = bench.folder / "x.mha"
    text = "ObjectType = Image\nNDims = 3\nDimSize = 1000 1000 1000\nElementType = MET_DOUBLE\n"
    path.write_bytes(f"{text}ElementDataFile = LOCAL\n".encode() + b"\0" * 100)
    return bench.predict(path)


@bad(
    "volume: MetaImage whose voxels are a device",
    Refused(3, r"zero: is a pipe, a socket or a device; expected"),
)
def device(bench: Bench) -> Commands:
    path = bench.folder / "x.mhd"
    text = "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\nElementType = MET_UCHAR\n"
    path.write_text(f"{text}ElementDataFile = /dev/zero\n")
    return bench.predict(path)


@bad("volume: NRRD whose voxels are not there", Refused(3, r"x\.nhdr: cannot be read \(.*gone\.raw"))
def absent_nrrd(bench: Bench) -> Commands:
    path = bench.folder / "x.nhdr"
    text = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 8 8 8\nencoding: raw\n"
    path.write_text(f"{text}data file: gone.raw\n")
    return bench.predict(path)


@bad("volume: NRRD of absurd sizes", Refused(3, r"x\.nrrd: "))
def absurd_nrrd(bench: Bench) -> Commands:
    path = bench.folder / "x.nrrd"
    text = "NRRD0004\ntype: double\ndimension: 3\nsizes: 60000 60000 60000\nencoding: gzip\n\n"
    path.write_bytes(text.encode() + gzip.compress(b"\0" * 100))
    return bench.predict(path)


@bad("volume: a header (.hdr) without its voxels (.img)", Refused(3, r"x\.hdr: .*x\.img.*"))
def lone_header(bench: Bench) -> Commands:
    nib.Nifti1Pair(scan(0, SHAPE)[0], AFFINE).to_filename(bench.folder / "x.hdr")
    (bench.folder / "x.img").unlink()
    return bench.predict(bench.folder / "x.hdr")
