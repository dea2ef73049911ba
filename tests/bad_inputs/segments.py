"""Labels as segmentation programs write them: DICOM-SEG, Slicer's, contours; numbers and names in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.data.io import segmentations
from stampseg.data.io.segmentations import write_segmentation

from .bench import AFFINE, SHAPE, Bench, nifti, scan
from .dicom import _contours, write
from .entry import Refused, Same, Works, bad
from .volumes import Commands, spoil

CLASSES = scan(0, SHAPE)[1]
NAMES = ("background", "dim", "bright")


def _data(bench: Bench, write_label: Callable[[Path, Path], object]) -> Commands:
    """The first volume as a series, and its label as `write_label` makes it beside the others, for v0."""
    data = bench.copy(3)
    (data / "images" / "v0.nii.gz").unlink()
    (data / "labels" / "v0.nii.gz").unlink()
    series = write(data / "images" / "v0")
    write_label(data / "labels", series)
    return bench.use(data)


def _segmentation(
    path: Path,
    series: Path,
    classes: np.ndarray = CLASSES,
    names: tuple[str, ...] = NAMES,
    *,
    sparse: bool = False,
) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr(segmentations, "MOST_EMPTY", 0)
        write_segmentation(path, np.ascontiguousarray(classes[:, :, ::-1]), series, names)
    return path


@bad("segments: DICOM-SEG", Same())
def whole(bench: Bench) -> Commands:
    return _data(bench, lambda labels, series: _segmentation(labels / "v0.dcm", series))


@bad("segments: DICOM-SEG of filled slices alone", Same())
def filled(bench: Bench) -> Commands:
    return _data(bench, lambda labels, series: _segmentation(labels / "v0.dcm", series, sparse=True))


@bad("segments: DICOM-SEG in a study in a person's folder", Same())
def deeper(bench: Bench) -> Commands:
    return _data(bench, lambda labels, series: _segmentation(labels / "v0" / "study" / "1.dcm", series))


@bad("segments: a DICOM-SEG file for each structure", Same())
def one_each(bench: Bench) -> Commands:
    def make(labels: Path, series: Path) -> None:
        _segmentation(
            labels / "v0" / "1.dcm", series, (CLASSES == 1).astype(np.uint8), NAMES[:2], sparse=True
        )
        other = _segmentation(
            labels / "v0" / "2.dcm",
            series,
            (CLASSES == 2).astype(np.uint8),
            ("background", "bright"),
            sparse=True,
        )
        _renumber(other, 2)

    return _data(bench, make)


def _renumber(path: Path, number: int) -> None:
    source = pydicom.dcmread(path)
    source.SegmentSequence[0].SegmentNumber = number
    for frame in (*source.SharedFunctionalGroupsSequence, *source.PerFrameFunctionalGroupsSequence):
        for identified in frame.get("SegmentIdentificationSequence", ()):
            identified.ReferencedSegmentNumber = number
    source.save_as(path)


def _same_number(labels: Path, series: Path) -> None:
    for value in (1, 2):
        classes = (value == CLASSES).astype(np.uint8)
        _segmentation(
            labels / "v0" / f"{value}.dcm", series, classes, ("background", NAMES[value]), sparse=True
        )


def _unsaid(labels: Path, series: Path) -> None:
    """Every second slice, and no word on their distance, of slices said to be thick."""
    classes = np.where(np.arange(SHAPE[2]) % 2, CLASSES, 0).astype(np.uint8)
    path = _segmentation(labels / "v0.dcm", series, classes, sparse=True)
    source = pydicom.dcmread(path)
    measures = source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = 3
    del measures.SpacingBetweenSlices
    source.save_as(path)


def _shares(labels: Path, series: Path) -> None:
    path = _segmentation(labels / "v0.dcm", series)
    source = pydicom.dcmread(path)
    stored = source.pixel_array.astype(np.uint8) * 100
    source.SegmentationType, source.MaximumFractionalValue = "FRACTIONAL", 255
    source.SegmentationFractionalType = "PROBABILITY"
    source.BitsAllocated = source.BitsStored = 8
    source.HighBit, source.PixelData = 7, stored.tobytes()
    source.save_as(path)


def _elsewhere(labels: Path, series: Path) -> None:
    other = write(labels.parent.parent / "other", origin=(-5.0, -6.0, 200.0))
    _segmentation(labels / "v0.dcm", other, sparse=True)


WRONG: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "DICOM-SEG files that give one number to two structures": (
        _same_number, r"v0: segment 1 is dim in 1\.dcm and bright in 2\.dcm; expected a number for each",
    ),
    "DICOM-SEG of every second slice that does not say so": (
        _unsaid, r"v0\.dcm: its slices lie 3 mm apart, those of its image .* 1\.5",
    ),
    "DICOM-SEG of shares of a voxel": (_shares, r"v0\.dcm: holds shares of a voxel; expected whole segments"),
    "DICOM-SEG of another scan": (_elsewhere, r"v0\.dcm: all of its segments' voxels lie beyond its image"),
    "contours (RTSTRUCT)": (
        lambda labels, _: _contours(labels / "v0"),
        r"v0: no DICOM-SEG found \(rs\.dcm: RT Structure Set\); .* 3D Slicer or plastimatch",
    ),
    "slices of the image in the label's place": (
        lambda labels, _: write(labels / "v0"), r"v0: is a DICOM image; expected a label",
    ),
}  # fmt: skip


def _enter_wrong(name: str, make_label: Callable[[Path, Path], object], pattern: str) -> None:
    @bad(f"segments: {name}", Refused(3, pattern))
    def make(bench: Bench) -> Commands:
        return _data(bench, make_label)


for _name, (_make, _pattern) in WRONG.items():
    _enter_wrong(_name, _make, _pattern)


def slicer(path: Path, classes: np.ndarray, *, cut: bool = False, names: tuple[str, ...] = ()) -> None:
    """As 3D Slicer writes it, around the segments alone where it is cut."""
    inside = np.argwhere(classes)
    low, high = (inside.min(0), inside.max(0) + 1) if cut else (np.zeros(3, int), np.array(classes.shape))
    volume = sitk.GetImageFromArray(classes[tuple(map(slice, low, high))].T.copy())
    place = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    volume.SetSpacing((1.0, 1.0, 1.5))
    volume.SetDirection((place[:3, :3] / [1, 1, 1.5]).ravel().tolist())
    volume.SetOrigin((place @ [*low, 1])[:3].tolist())
    for number, name in enumerate(names):
        volume.SetMetaData(f"Segment{number}_LabelValue", str(number + 1))
        volume.SetMetaData(f"Segment{number}_Name", name)
    sitk.WriteImage(volume, str(path))


@bad("segments: .seg.nrrd cut to its segments", Same())
def cut(bench: Bench) -> Commands:
    data = bench.copy(3)
    for number in range(3):
        (data / "labels" / f"v{number}.nii.gz").unlink()
        slicer(data / "labels" / f"v{number}.seg.nrrd", scan(number, SHAPE)[1], cut=True)
    return bench.use(data)


@bad(
    "segments: .seg.nrrd whose numbers change their names",
    Refused(3, r"v1\.seg\.nrrd: 1 is called bright in it"),
)
def renamed(bench: Bench) -> Commands:
    data = bench.copy(3)
    for number, names in ((0, ("dim", "bright")), (1, ("bright", "dim"))):
        (data / "labels" / f"v{number}.nii.gz").unlink()
        slicer(data / "labels" / f"v{number}.seg.nrrd", scan(number, SHAPE)[1], names=names)
    return bench.use(data)


@bad("segments: a label stored the other way round, in its place", Same())
def turned(bench: Bench) -> Commands:
    flip = np.diag([1.0, -1, 1, 1])
    flip[1, 3] = SHAPE[1] - 1
    return spoil(bench, lambda path: nifti(path, CLASSES[:, ::-1], AFFINE @ flip), part="labels")


@bad("units: image and label in micrometres", Same())
def micrometres(bench: Bench) -> Commands:
    import nibabel as nib

    data = bench.copy(3)
    for part, array in zip(("images", "labels"), scan(0, SHAPE), strict=True):
        made = nib.Nifti1Image(array, np.diag([1e3, 1e3, 1e3, 1.0]) @ AFFINE)
        made.header.set_xyzt_units(3)
        made.to_filename(data / part / "v0.nii.gz")
    return bench.use(data) + bench.predict(data / "images" / "v0.nii.gz")


@bad(
    "units: NRRD in micrometres",
    Refused(3, r"v0\.nrrd: its space units are microns; expected mm; write it anew"),
)
def nrrd_micrometres(bench: Bench) -> Commands:
    path = bench.folder / "v0.nrrd"
    slicer(path, scan(0, SHAPE)[0])
    start, data = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(start + b'\nspace units: "microns" "microns" "microns"\n\n' + data)
    return bench.predict(path)


def _shifted(bench: Bench, padding: int) -> Commands:
    """CT of six people, of which one has 1024 too much in every voxel, some with padding around the scan."""
    data = bench.folder / "ct"
    for part in ("images", "labels"):
        (data / part).mkdir(parents=True)
    for number in range(6):
        image, classes = scan(number, SHAPE)
        image = image.astype(np.int16) - 150
        image[:2] = -1000
        image[-1:] = padding
        if number == 4:
            image = np.maximum(image, -1024) + 1024
        nifti(data / "images" / f"v{number}.nii.gz", image.astype(np.int16))
        nifti(data / "labels" / f"v{number}.nii.gz", classes)
    return [["check", data]]


for _padding in (-1000, -2000, -3024):

    @bad(
        f"units: one CT with an offset of 1024, padding of {_padding}",
        Works(r"v4\.nii\.gz: values of .*Hounsfield"),
    )
    def offset(bench: Bench, padding: int = _padding) -> Commands:
        return _shifted(bench, padding)


@bad(
    "label: a number that a float may have rounded",
    Refused(3, r"v0\.nii\.gz: label value 614454272 stored as float32"),
)
def rounded(bench: Bench) -> Commands:
    label = (CLASSES > 0).astype(np.float32) * np.float32(614454277)
    return spoil(bench, lambda path: nifti(path, label), part="labels")


@bad("label: numbers beyond 65535", Works("614454277"))
def atlas(bench: Bench) -> Commands:
    data = bench.copy(3)
    for number in range(3):
        classes = scan(number, SHAPE)[1].astype(np.uint32)
        nifti(data / "labels" / f"v{number}.nii.gz", np.where(classes == 2, np.uint32(614454277), classes))
    return bench.use(data)[:1]
