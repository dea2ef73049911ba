"""Masks of DICOM series, written as NIfTI and as DICOM-SEG, and read back by other programs.

    python benchmarks/dicom_round_trip.py [--liver FOLDER] [--dcmqi FOLDER]

A network is trained for a moment on synthetic series of 40 slices, one of each kind below, and, with --liver, another one on the eight
CT slices of `liver_ct` of the shared data. `stampseg predict` writes the masks in both forms.
Where each voxel lies is then worked out here from the slices' headers alone, and compared with what each reader makes of
the masks: nibabel and SimpleITK of the NIfTI; pydicom, highdicom, dcmqi (with --dcmqi, the folder that holds
segimage2itkimage) and ourselves of the DICOM-SEG. Backwards, dcmqi writes a DICOM-SEG, of filled slices alone, which is
read here as a label.

Writes docs/results/dicom-round-trip.json and the page beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.data.dicom_files import AXIAL, SAGITTAL, affine_of, enhanced, slices  # noqa: E402

from stampseg.data.io.placing import on_grid_of  # noqa: E402
from stampseg.data.io.readers import read_header, read_label  # noqa: E402

TARGET = ROOT / "docs" / "results" / "dicom-round-trip.json"
NAMES = {"background": 0, "organ": 1, "tumour": 2}
SHAPE = (48, 40, 40)  # columns, rows, slices
SMALL = (
    *("--set", "network.width=8", "--set", "train.missed_label=warn", "--method", "dense"),
    *("--validation", "none"),
)
TILT = float(np.deg2rad(17))
KINDS: dict[str, dict[str, Any]] = {
    "axial": {"orientation": AXIAL},
    "axial, from the head down": {"orientation": (1, 0, 0, 0, -1, 0)},
    "sagittal": {"orientation": SAGITTAL},
    "coronal": {"orientation": (1, 0, 0, 0, 0, -1)},
    "oblique": {"orientation": (0.96, 0.28, 0, -0.28, 0.96, 0)},
    "tilted gantry": {
        "orientation": (1, 0, 0, 0, float(np.cos(TILT)), float(np.sin(TILT))),
        "step": (0.0, 0.0, 2.0),
    },
    "enhanced": {},
}
TILTED = "tilted gantry"
SQUARE = " (places as ITK has the slices, see below)"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Row:
    """What one reader makes of one mask.

    Attributes:
        scan: kind of series.
        reader: program, and the file that it read.
        voxels: labelled ones.
        wrong: voxels of another class than in the mask that is compared with.
        away: greatest distance in mm of a voxel's place from where the slices' headers put it.
        note: where the reader could not do it, what it said.
    """

    scan: str
    reader: str
    voxels: int
    wrong: int
    away: float
    note: str = ""


@dataclass(frozen=True)
class Truth:
    """A mask as stampseg wrote it (columns, rows, slices), and where the headers of the slices put its voxels.

    Attributes:
        classes: of the NIfTI mask, read by nibabel.
        places: affine (4, 4) to LPS mm of each slice, worked out from its own header; its third axis is of no use.
        files: of the series, in the order of the slices.
    """

    classes: np.ndarray
    places: list[np.ndarray]
    files: list[Path]


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An organ with a tumour in it, which fill some slices alone, and their classes."""
    rng = np.random.default_rng(seed)
    grid, centre = np.indices(SHAPE), [n / 2 + rng.uniform(-3, 3) for n in SHAPE]
    away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    classes = (away < 12).astype(np.uint8)
    classes[np.sqrt(sum((g - c - 3) ** 2 for g, c in zip(grid, centre, strict=True))) < 6] = 2
    return (rng.normal(0, 15, SHAPE) - 100 + 200 * classes).round().astype(np.int16), classes


def write_synthetic(data: Path) -> dict[str, Path]:
    """A person of each kind with a label as NIfTI; the series of each."""
    (data / "labels").mkdir(parents=True)
    (data / "dataset.json").write_text(json.dumps({"labels": NAMES}))
    series = {}
    for number, kind in enumerate(KINDS):
        values, classes = drawn(number)
        series[kind] = folder = data / "images" / f"p{number}"
        if kind == "enhanced":
            order = np.random.default_rng(number).permutation(SHAPE[2]).tolist()
            enhanced(folder / "frames.dcm", [values], [1.0], order)
        else:
            slices(folder, values, Modality="CT", **KINDS[kind])
        image = nib.Nifti1Image(classes, affine_of(**KINDS[kind]))
        nib.save(image, data / "labels" / f"p{number}.nii.gz")
    return series


def write_liver(data: Path, source: Path) -> dict[str, Path]:
    """The eight CT slices, and the liver from the volume of half the resolution."""
    (data / "labels").mkdir(parents=True)
    (data / "images").mkdir()
    (data / "images" / "liver").symlink_to(source.resolve() / "dicom_34_41")
    header = read_header([data / "images" / "liver"])
    half = nib.load(source / "liver_half_inplane.nii.gz")
    to_half = np.linalg.inv(half.affine) @ header.affine
    places = np.indices(header.shape).reshape(3, -1)
    seen = np.round(to_half[:3, :3] @ places + to_half[:3, 3:]).astype(int)
    inside = np.minimum(seen, np.reshape(half.shape, (3, 1)) - 1)
    classes = np.asanyarray(half.dataobj)[tuple(inside)].reshape(header.shape)
    nib.save(nib.Nifti1Image(classes.astype(np.uint8), header.affine), data / "labels" / "liver.nii.gz")
    (data / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1}}))
    return {"CT of a liver, 8 slices": data / "images" / "liver"}


def stampseg(*arguments: object) -> None:
    """Run the command line.

    Raises:
        RuntimeError: it did not end well.
    """
    command = [sys.executable, "-m", "stampseg", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def measure(folder: Path, liver: Path | None, dcmqi: Path | None, steps: int = 20) -> list[Row]:
    """Train, predict and read back."""
    rows: list[Row] = []
    makers: list[tuple[str, Callable[[Path], dict[str, Path]]]] = [("synthetic", write_synthetic)]
    if liver is not None:
        makers.append(("liver", lambda data: write_liver(data, liver)))
    for name, make in makers:
        data, run = folder / name, folder / f"run_{name}"
        series = make(data)
        stampseg("train", data, "-o", run, "--steps", steps, *SMALL)
        masks, segments = folder / f"nifti_{name}", folder / f"seg_{name}"
        stampseg("predict", run, data / "images", "-o", masks)
        stampseg("predict", run, data / "images", "-o", segments, "--dicom-seg")
        for kind, place in series.items():
            mask, segmentation = masks / f"{place.name}.nii.gz", segments / f"{place.name}.dcm"
            truth = truth_of(place, mask)
            rows += read_back(kind, truth, place, mask, segmentation)
            if dcmqi is not None:
                work = folder / f"dcmqi_{place.name}"
                work.mkdir()
                rows += with_dcmqi(kind, truth, place, mask, segmentation, work, dcmqi)
    return rows


def truth_of(series: Path, mask: Path) -> Truth:
    """The mask's voxels, and the slices' places by the series' own headers."""
    found: list[tuple[float, Path, np.ndarray]] = []
    for path in sorted(series.iterdir()):
        source = pydicom.dcmread(path, stop_before_pixels=True)
        for orientation, position, pixel in _planes(source):
            place = np.eye(4)
            place[:3, 0], place[:3, 1] = orientation[0] * pixel[1], orientation[1] * pixel[0]
            place[:3, 3] = position
            found.append((float(position @ np.cross(*orientation)), path, place))
    found.sort(key=lambda one: one[0])
    classes = np.asanyarray(nib.load(mask).dataobj)
    return Truth(classes, [place for _, _, place in found], [path for _, path, _ in found])


def _planes(source: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Orientation (2, 3), position (3,) and pixel size (rows, columns) of each frame."""
    if "PerFrameFunctionalGroupsSequence" not in source:
        yield (
            np.reshape(source.ImageOrientationPatient, (2, 3)).astype(float),
            np.array(source.ImagePositionPatient, float),
            np.array(source.PixelSpacing, float),
        )
        return
    shared = source.SharedFunctionalGroupsSequence[0]
    for frame in source.PerFrameFunctionalGroupsSequence:
        oriented = frame if "PlaneOrientationSequence" in frame else shared
        measured = frame if "PixelMeasuresSequence" in frame else shared
        yield (
            np.reshape(oriented.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float),
            np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float),
            np.array(measured.PixelMeasuresSequence[0].PixelSpacing, float),
        )


def row(kind: str, reader: str, truth: Truth, read: Callable[[], tuple[np.ndarray, np.ndarray]]) -> Row:
    """Compare classes (columns, rows, slices) and their affine to LPS mm with the truth; axes may be turned."""
    try:
        classes, affine = read()
    except (ValueError, RuntimeError, TypeError, AttributeError) as error:
        return Row(kind, reader, 0, 0, 0.0, str(error).strip().splitlines()[-1][:160])
    return compared(kind, reader, truth, classes, affine)


def compared(kind: str, reader: str, truth: Truth, classes: np.ndarray, affine: np.ndarray) -> Row:
    """For each voxel of the truth: the voxel of the reader's grid nearest to it, its class, and how far it lies."""
    columns, rows, _ = truth.classes.shape
    pixels = np.stack(
        [
            *np.indices((columns, rows)).reshape(2, -1),
            *np.zeros((1, columns * rows)),
            *np.ones((1, columns * rows)),
        ]
    )
    inverse, away, wrong = np.linalg.inv(affine), 0.0, 0
    for number, place in enumerate(truth.places):
        lies = place @ pixels
        index = np.round(inverse @ lies).astype(int)[:3]
        expected = truth.classes[:, :, number].ravel()
        inside = ((index >= 0) & (index < np.reshape(classes.shape, (3, 1)))).all(axis=0)
        seen = np.zeros_like(expected)
        seen[inside] = classes[tuple(index[:, inside])]
        wrong += int((seen != expected).sum())
        there = affine @ np.vstack([index, np.ones((1, index.shape[1]))])
        if inside.any():  # a reader may leave out empty slices
            away = max(away, float(np.linalg.norm((there - lies)[:3, inside], axis=0).max()))
    return Row(kind, reader, int((classes > 0).sum()), wrong, away)


def read_back(kind: str, truth: Truth, series: Path, mask: Path, segmentation: Path) -> list[Row]:
    """Every reader that Python has."""

    def by_nibabel() -> tuple[np.ndarray, np.ndarray]:
        image = nib.load(mask)
        return np.asanyarray(image.dataobj), LPS_TO_RAS @ image.affine

    def by_ourselves() -> tuple[np.ndarray, np.ndarray]:
        label = on_grid_of(read_label(segmentation), read_header([series]))
        return label.array, LPS_TO_RAS @ label.header.affine

    itk = square_truth(truth) if kind == TILTED else truth
    said = "SimpleITK, NIfTI" + (SQUARE if kind == TILTED else "")
    return [
        row(kind, "nibabel, NIfTI", truth, by_nibabel),
        row(kind, said, itk, lambda: by_itk(mask)),
        by_pydicom(kind, truth, segmentation),
        by_highdicom(kind, truth, segmentation),
        row(kind, "stampseg, DICOM-SEG", truth, by_ourselves),
    ]


def square_truth(truth: Truth) -> Truth:
    """Places as ITK reads the series of a tilted gantry: the same first slice and distance, at right angles."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in truth.files])
    _, affine = _of_itk(reader.Execute())
    steps = [np.eye(4) for _ in truth.files]
    for number, step in enumerate(steps):
        step[2, 3] = number
    return Truth(truth.classes, [affine @ step for step in steps], truth.files)


def by_itk(mask: Path) -> tuple[np.ndarray, np.ndarray]:
    """Classes and affine to LPS mm."""
    return _of_itk(sitk.ReadImage(str(mask)))


def _of_itk(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, affine


def by_pydicom(kind: str, truth: Truth, segmentation: Path) -> Row:
    """Frame by frame: the slice that lies where the frame does, and whether its pixels are the segment's."""
    source = pydicom.dcmread(segmentation)
    pixels = source.pixel_array.reshape(-1, source.Rows, source.Columns)
    away, classes = 0.0, np.zeros_like(truth.classes)
    shared = source.SharedFunctionalGroupsSequence[0]
    for plane, stored, frame in zip(
        _planes(source), pixels, source.PerFrameFunctionalGroupsSequence, strict=True
    ):
        orientation, position, pixel = plane
        number = int(np.argmin([np.linalg.norm(place[:3, 3] - position) for place in truth.places]))
        last = truth.classes.shape[0] - 1, truth.classes.shape[1] - 1
        corner = position + orientation[0] * pixel[1] * last[0] + orientation[1] * pixel[0] * last[1]
        expected = truth.places[number] @ [*last, 0, 1]
        ends = np.linalg.norm(corner - expected[:3]), np.linalg.norm(position - truth.places[number][:3, 3])
        away = max(away, *map(float, ends))
        named = frame if "SegmentIdentificationSequence" in frame else shared
        classes[:, :, number][stored.T > 0] = named.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    wrong = int((classes != truth.classes).sum())
    return Row(kind, "pydicom, DICOM-SEG", int((classes > 0).sum()), wrong, away)


def by_highdicom(kind: str, truth: Truth, segmentation: Path) -> Row:
    """As a volume; where slices lie askew, which it takes for no volume, slice by slice of the source."""
    import highdicom

    made, reader = highdicom.seg.segread(segmentation), "highdicom, DICOM-SEG"

    def volume() -> tuple[np.ndarray, np.ndarray]:
        found = made.get_volume(combine_segments=True)
        turned = found.affine @ np.eye(4)[[2, 1, 0, 3]]  # its axes are slices, rows, columns
        return found.array.T, turned

    if kind != TILTED:
        return row(kind, reader, truth, volume)
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in truth.files]
    found = made.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True).T
    said = f"{reader} (slice by slice: as a volume it takes right angles alone)"
    return Row(kind, said, int((found > 0).sum()), int((found != truth.classes).sum()), 0.0)


def with_dcmqi(
    kind: str, truth: Truth, series: Path, mask: Path, segmentation: Path, work: Path, programs: Path
) -> list[Row]:
    """dcmqi reads ours, and we read dcmqi's; of a tilted gantry it makes a grid of right angles, and loses voxels."""
    if kind == TILTED:
        return []
    return [
        row(kind, "dcmqi, DICOM-SEG", truth, lambda: by_dcmqi(segmentation, work, programs)),
        of_dcmqi(kind, truth, series, mask, work, programs),
    ]


def by_dcmqi(segmentation: Path, folder: Path, programs: Path) -> tuple[np.ndarray, np.ndarray]:
    """Segments that dcmqi writes as files, put together."""
    _run(programs / "segimage2itkimage", "--inputDICOM", segmentation, "--outputDirectory", folder, "-t", "nrrd",
         "-p", "seg")  # fmt: skip
    classes, affine = None, np.eye(4)
    for path in sorted(folder.glob("seg-*.nrrd")):
        part, affine = by_itk(path)
        classes = part.astype(np.uint8) if classes is None else np.maximum(classes, part)
    if classes is None:
        raise RuntimeError("wrote no segment")
    return classes, affine


def of_dcmqi(kind: str, truth: Truth, series: Path, mask: Path, folder: Path, programs: Path) -> Row:
    """A DICOM-SEG that dcmqi makes of our NIfTI mask, read here as a label of the series."""

    def read() -> tuple[np.ndarray, np.ndarray]:
        code = {
            "CodeValue": "123037004",
            "CodingSchemeDesignator": "SCT",
            "CodeMeaning": "Anatomical Structure",
        }
        about = {
            "ContentCreatorName": "benchmark", "SeriesDescription": "mask", "SeriesNumber": "7", "InstanceNumber": "1",
            "segmentAttributes": [[
                {"labelID": int(value), "SegmentDescription": f"class {value}", "SegmentAlgorithmType": "AUTOMATIC",
                 "SegmentAlgorithmName": "x", "SegmentedPropertyCategoryCodeSequence": code,
                 "SegmentedPropertyTypeCodeSequence": code}
                for value in np.unique(truth.classes) if value
            ]],
        }  # fmt: skip
        (folder / "about.json").write_text(json.dumps(about))
        _run(programs / "itkimage2segimage", "--inputDICOMDirectory", series, "--inputImageList", mask,
             "--inputMetadata", folder / "about.json", "--outputDICOM", folder / "made.dcm", "--skip", "1")  # fmt: skip
        label = on_grid_of(read_label(folder / "made.dcm"), read_header([series]))
        return label.array, LPS_TO_RAS @ label.header.affine

    return row(kind, "stampseg, DICOM-SEG of dcmqi", truth, read)


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line] or ["failed"]
        raise RuntimeError(f"{Path(str(command[0])).name}: {said[-1].strip()}")


def page(rows: list[Row]) -> str:
    """The page in Markdown."""
    sound = [one for one in rows if not one.note]
    return "\n".join(
        [
            "# DICOM round trip",
            "",
            f"{len({one.scan for one in rows})} kinds of series, trained on, segmented, and the masks read back by other "
            f"programs: of {len(sound)} readings, {sum(one.wrong == 0 for one in sound)} have every voxel, and the "
            f"farthest voxel lies {max(one.away for one in sound):.1e} mm from where the slices' headers put it. "
            "Made by `python benchmarks/dicom_round_trip.py` (which says how), and tested by "
            "`python -m pytest tests/cli/test_dicom_round_trip.py -m slow`.",
            "",
            "| series | read by | labelled voxels | wrong voxels | mm away |",
            "|---|---|---|---|---|",
            *(
                f"| {one.scan} | {one.reader} | {one.voxels:,} | {one.wrong} | {one.away:.1e} |"
                if not one.note
                else f"| {one.scan} | {one.reader} | not read | | {one.note} |"
                for one in rows
            ),
            "",
            "A tilted gantry gives a grid without right angles. nibabel reads it from the NIfTI mask's sform, and the "
            "DICOM-SEG holds it slice by slice. ITK and what is built on it know right angles alone: they read the mask "
            "by its qform, which puts it where ITK puts the slices themselves, so that the two fit each other; dcmqi "
            "was not asked for it. dcmqi's writer takes no enhanced series.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--liver", type=Path, help="the folder liver_ct of the shared data")
    parser.add_argument("--dcmqi", type=Path, help="the folder of dcmqi's programs (pip install dcmqi)")
    parser.add_argument(
        "--page", action="store_true", help="write the page anew from the numbers that are there"
    )
    given = parser.parse_args()
    if not given.page:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(Path(folder), given.liver, given.dcmqi)
        TARGET.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n", encoding="utf-8")
    rows = [Row(**one) for one in json.loads(TARGET.read_text(encoding="utf-8"))]
    TARGET.with_suffix(".md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
