"""Folders of DICOM slices as scanners, archives and viewers leave them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from tests.data.dicom_files import image, slices

from .bench import SHAPE, SIZE, Bench, scan
from .entry import Refused, Same, Works, bad
from .volumes import Commands

# The grid of the clean volumes, with the slices from top to bottom: DICOM's axes are right-handed.
GRID = {"orientation": (1, 0, 0, 0, -1, 0), "spacing": (1.0, 1.0, 1.5), "origin": (-5.0, -6.0, 7.0 + 9 * 1.5)}
SERIES = "1.2.826.0.1.1"


def write(folder: Path, **how: object) -> Path:
    """The first clean volume as slices."""
    volume = np.ascontiguousarray(scan(0, SHAPE)[0][:, :, ::-1]).astype(np.int16)
    slices(folder, volume, **{"series": SERIES, **GRID, **how})  # type: ignore[arg-type]
    return folder


def lone(path: Path, **tags: object) -> Path:
    """Another image among the slices."""
    pixels = np.full((14, 12), 500, np.int16)
    return image(path, pixels, **{"series": SERIES, **tags})  # type: ignore[arg-type]


def placed(number: int, shift: float = 0.0) -> dict[str, object]:
    """Where a further slice lies: at that of the number, and so many mm further down."""
    x, y, z = GRID["origin"]  # type: ignore[misc]
    return {
        "ImagePositionPatient": [x, y, z - 1.5 * number - shift],
        "ImageOrientationPatient": list(GRID["orientation"]),  # type: ignore[call-overload]
        "PixelSpacing": [1.0, 1.0],
        "SliceThickness": 1.5,
    }


def changed(number: int, change: Callable[[pydicom.Dataset], object]) -> Callable[[Path], None]:
    """A slice with its header or pixels changed."""

    def apply(folder: Path) -> None:
        path = folder / f"{number:02d}.dcm"
        source = pydicom.dcmread(path)
        change(source)
        source.save_as(path)

    return apply


def every(change: Callable[[pydicom.Dataset], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for number in range(SHAPE[2]):
            changed(number, change)(folder)

    return apply


def _without(*keywords: str) -> Callable[[pydicom.Dataset], None]:
    def change(source: pydicom.Dataset) -> None:
        for keyword in keywords:
            delattr(source, keyword)

    return change


def _rename(names: Callable[[int], str]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"x{number}")
        for number in range(SHAPE[2]):
            (folder / f"x{number}").rename(folder / names(number))

    return apply


def _junk(folder: Path) -> None:
    for name in ("DICOMDIR", "Thumbs.db", "desktop.ini", "readme.txt", "VERSION"):
        (folder / name).write_bytes(b"x")
    Image.new("L", (64, 64)).save(folder / "preview.jpg")


def _contours(folder: Path) -> None:
    none = dict.fromkeys(("Rows", "Columns", "PixelData"))
    lone(folder / "rs.dcm", sop_class=RTStructureSetStorage, Modality="RTSTRUCT", **none)


def _slopes(folder: Path) -> None:
    """Each slice stored with a slope and an intercept of its own."""
    for number in range(SHAPE[2]):

        def change(source: pydicom.Dataset, number: int = number) -> None:
            slope, intercept = 0.5 ** (number % 3), float(number)
            values = source.pixel_array
            source.PixelData = ((values - intercept) / slope).astype(np.int16).tobytes()
            source.RescaleSlope, source.RescaleIntercept = slope, intercept

        changed(number, change)(folder)


def _copies(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        shutil.copy(path, folder / f"copy_{path.name}")


def _deeper(folder: Path) -> None:
    inner = folder / "study" / "series"
    inner.mkdir(parents=True)
    for path in list(folder.glob("*.dcm")):
        path.rename(inner / path.name)


def _on_a_cd(folder: Path) -> None:
    _deeper(folder)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")


def _unmarked(folder: Path) -> None:
    for path in list(folder.iterdir()):
        source = pydicom.dcmread(path)
        del source.file_meta, source.preamble
        pydicom.dcmwrite(folder / path.stem, pydicom.Dataset(source), implicit_vr=True, little_endian=True)
        path.unlink()


def _at_the_top(source: pydicom.Dataset) -> None:
    source.PixelData = (source.pixel_array.astype(np.uint16) << 4).tobytes()
    source.BitsStored, source.HighBit, source.PixelRepresentation = 12, 15, 0


def _echoes(folder: Path) -> None:
    write(folder, EchoTime=1)
    for number in range(SHAPE[2]):
        lone(folder / f"late_{number:02d}.dcm", **placed(number), EchoTime=20)


def _cut(folder: Path) -> None:
    path = folder / "04.dcm"
    path.write_bytes(path.read_bytes()[:-100])


SOUND: dict[str, Callable[[Path], object]] = {
    "a series": lambda _: None,
    "named against its order": _rename(lambda n: f"{SHAPE[2] - n:03d}.IMA"),
    "without suffixes": _rename(lambda n: f"IM{n:04d}"),
    "with DICOMDIR, previews and notes among its slices": _junk,
    "with contours (RTSTRUCT) among its slices": _contours,
    "each slice with its own slope and intercept": _slopes,
    "packed (RLE)": every(lambda source: source.compress(RLELossless)),
    "every slice twice": _copies,
    "a dose sheet without a place among its slices": lambda folder: lone(
        folder / "sc.dcm", sop_class=SecondaryCaptureImageStorage
    ),
    "a localizer of another plane among its slices": lambda folder: lone(
        folder / "loc.dcm", **{**placed(3), "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    ),
    "a localizer in its plane among its slices": lambda folder: lone(
        folder / "loc.dcm", **placed(3, 0.7), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    ),
    "in a study in a person's folder": _deeper,
    "in a folder below a DICOMDIR, as on a CD": _on_a_cd,
    "without a mark and suffixes, as of old": _unmarked,
    "values in the highest 12 of 16 bits": every(_at_the_top),
    "instance numbers that mean nothing": every(lambda source: setattr(source, "InstanceNumber", 7)),
    "slices thicker than their distance": every(lambda source: setattr(source, "SliceThickness", 3)),
    "names of series and study left empty": every(lambda source: setattr(source, "SeriesInstanceUID", "")),
}


def _enter_sound(name: str, change: Callable[[Path], object]) -> None:
    @bad(f"DICOM: {name}", Same())
    def make(bench: Bench) -> Commands:
        folder = write(bench.folder / "p0")
        change(folder)
        return bench.predict(folder)


for _name, _change in SOUND.items():
    _enter_sound(_name, _change)


@bad("DICOM: a series among volumes of NIfTI, to be trained on", Same())
def among_others(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "v0.nii.gz").unlink()
    write(data / "images" / "v0")
    return bench.use(data)


@bad("DICOM: a tilted gantry", Works("p0: the slices are tilted by 20 degrees against their stack"))
def tilted(bench: Bench) -> Commands:
    angle = np.deg2rad(20)
    how = {"orientation": (1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle))), "step": (0, 0, 1.5)}
    return bench.predict(write(bench.folder / "p0", **how))


@bad("DICOM: two echoes in one folder, to be predicted", Works(r"p0_series3_echo1\.nii\.gz"))
def echoes(bench: Bench) -> Commands:
    _echoes(bench.folder / "p0")
    return bench.predict(bench.folder / "p0")


@bad(
    "DICOM: two echoes in one folder, to be trained on", Refused(3, r"v0: 2 DICOM scans found .* put each in")
)
def echoes_to_train(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "v0.nii.gz").unlink()
    _echoes(data / "images" / "v0")
    return bench.use(data)


@bad(
    "DICOM: a person's folder with two series below it", Refused(3, r"v0: holds 2 series, a, b; expected one")
)
def two_series(bench: Bench) -> Commands:
    data = bench.copy(3)
    (data / "images" / "v0.nii.gz").unlink()
    for name in ("a", "b"):
        write(data / "images" / "v0" / name)
    return [*bench.use(data), *bench.predict(data / "images")]


@bad("DICOM: one X-ray a file", Works(r"a\.png"))
def x_ray(bench: Bench) -> Commands:
    pixels = scan(0, SIZE)[0].astype(np.int16)
    sop_class = DigitalXRayImageStorageForPresentation
    path = image(bench.folder / "a.dcm", pixels, series="1", sop_class=sop_class, Modality="DX")
    return bench.predict(path, 2)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a slice is missing": (
        lambda folder: (folder / "04.dcm").unlink(),
        r"slices are missing between .* \(05\.dcm\) and .* \(03\.dcm\)|\(03\.dcm\) and .* \(05\.dcm\)",
    ),
    "a slice is out of its place": (
        changed(4, lambda source: setattr(source, "ImagePositionPatient", placed(4, 0.6)["ImagePositionPatient"])),
        r"slices are not evenly spaced .* 04\.dcm at .* beside the even grid",
    ),
    "a slice lies beside the others": (
        changed(9, lambda source: setattr(source, "ImagePositionPatient", [3, -6, 7.0])),
        r"slices are not evenly spaced",
    ),
    "an empty file": (lambda folder: (folder / "04.dcm").write_bytes(b""), r"04\.dcm: is empty; copy it again"),
    "pixels cut short": (_cut, r"04\.dcm: the header promises 336 bytes of voxels, .* copy it again"),
    "a header cut short": (
        lambda folder: (folder / "04.dcm").write_bytes((folder / "04.dcm").read_bytes()[:300]),
        r"04\.dcm: broken DICOM file \(.*\); copy it again",
    ),
    "noise in the place of a slice": (
        lambda folder: (folder / "04.dcm").write_bytes(np.random.default_rng(0).bytes(900)),
        r"04\.dcm: broken DICOM file",
    ),
    "no positions": (every(_without("ImagePositionPatient")), r"without position, orientation or pixel size"),
    "no directions": (every(_without("ImageOrientationPatient")), r"without position, orientation or pixel"),
    "no pixel size": (every(_without("PixelSpacing")), r"without position, orientation or pixel size"),
    "one slice without a position": (
        changed(4, _without("ImagePositionPatient")),
        r"04\.dcm without position, orientation or pixel size, which the other 9 slices have",
    ),
    "all slices at one position": (
        every(lambda source: setattr(source, "ImagePositionPatient", [0, 0, 0])),
        r"1 positions have more than one slice, the first at .* expected each position once",
    ),
    "two other slices at one position": (
        lambda folder: lone(folder / "again.dcm", **placed(4)),
        r"1 positions have more than one slice, the first at .*: 04\.dcm, again\.dcm",
    ),
    "a slice of another size": (
        lambda folder: image(
            folder / "small.dcm", np.zeros((7, 6), np.int16), series=SERIES,
            **{**placed(10), "PixelSpacing": [2.0, 2.0]},
        ),
        r"small\.dcm is of 6 x 7 pixels .* in a series of 12 x 14 pixels",
    ),
    "slope 0": (
        every(lambda source: setattr(source, "RescaleSlope", 0)),
        r"RescaleSlope is 0, which makes every value the same",
    ),
    "a Siemens mosaic": (
        every(lambda source: setattr(source, "ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
        r"holds its slices side by side \(a Siemens mosaic\)",
    ),
}  # fmt: skip


def _enter_wrong(name: str, change: Callable[[Path], object], pattern: str) -> None:
    @bad(f"DICOM: {name}", Refused(3, pattern))
    def make(bench: Bench) -> Commands:
        data = bench.copy(3)
        (data / "images" / "v0.nii.gz").unlink()
        change(write(data / "images" / "v0"))
        return bench.use(data) + bench.predict(data / "images" / "v0")


for _name, (_change, _pattern) in WRONG.items():
    _enter_wrong(_name, _change, _pattern)


@bad("DICOM: a film of ultrasound", Refused(3, r"film\.dcm.*"))
def film(bench: Bench) -> Commands:
    pixels = np.zeros((5, 24, 32), np.uint8)
    path = image(
        bench.folder / "film.dcm",
        pixels,
        series="1",
        sop_class=UltrasoundMultiFrameImageStorage,
        Modality="US",
    )
    return bench.predict(path)


@bad(
    "DICOM: contours alone",
    Refused(3, r"p0.*\(rs\.dcm: RT Structure Set\); .* 3D Slicer or plastimatch|no image found"),
)
def contours(bench: Bench) -> Commands:
    _contours(bench.folder / "p0")
    return bench.predict(bench.folder / "p0" / "rs.dcm")
