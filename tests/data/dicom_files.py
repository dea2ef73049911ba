"""DICOM files as scanners write them, made with pydicom in a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SHAPE = (6, 5, 8)  # columns, rows, slices
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def values(shape: Sequence[int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Whole numbers, as a scanner stores them."""
    return np.random.default_rng(seed).integers(0, 500, shape).astype(np.int16)


def image(
    path: Path, pixels: np.ndarray, *, series: str, sop_class: str = CTImageStorage, **tags: object
) -> Path:
    """A file of (rows, columns), (frames, rows, columns) or (rows, columns, 3).

    `tags` are elements by keyword; None leaves one out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    source.SOPClassUID, source.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    source.SeriesInstanceUID, source.StudyInstanceUID, source.Modality = series, "1.2.3", "CT"
    source.PatientID, source.PatientName, source.SeriesNumber = "1", "Some^One", 3
    coloured = pixels.ndim == 3 and pixels.shape[-1] == 3
    source.Rows, source.Columns = pixels.shape[:2] if coloured else pixels.shape[-2:]
    source.SamplesPerPixel = 3 if coloured else 1
    source.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if coloured:
        source.PlanarConfiguration = 0
    if pixels.ndim == 3 and not coloured:
        source.NumberOfFrames = len(pixels)
    source.BitsAllocated = source.BitsStored = 8 * pixels.dtype.itemsize
    source.HighBit, source.PixelRepresentation = source.BitsStored - 1, int(pixels.dtype.kind == "i")
    source.PixelData = pixels.tobytes()
    for keyword, value in tags.items():
        if value is None:
            source.pop(keyword, None)
        else:
            setattr(source, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    source.save_as(path, enforce_file_format=True)
    return path


def slices(
    folder: Path,
    volume: np.ndarray,
    *,
    name: str = "{:02d}.dcm",
    series: str | None = None,
    spacing: Sequence[float] = (0.8, 0.9, 2.0),
    origin: Sequence[float] = (-30.0, 5.0, 100.0),
    orientation: Sequence[float] = AXIAL,
    step: Sequence[float] | None = None,
    tags: Callable[[int], dict[str, object]] = lambda _: {},
    **common: object,
) -> str:
    """A file for each slice of (columns, rows, slices); returns the UID of the series.

    Args:
        folder: where they go.
        volume: stored values.
        name: of the files, with the number of the slice.
        series: UID; a new one where none is given.
        spacing: mm between columns, rows and slices.
        origin: of the first pixel, LPS in mm.
        orientation: directions of a row and of a column.
        step: from slice to slice in mm; across the plane where none is given.
        tags: further elements of a slice by its number.
        common: further elements of all slices.
    """
    series = series or generate_uid()
    across = np.cross(orientation[:3], orientation[3:]) * spacing[2] if step is None else np.array(step)
    for number in range(volume.shape[2]):
        position = np.array(origin) + number * across
        own = {
            "ImagePositionPatient": [float(f"{value:.6g}") for value in position],
            "ImageOrientationPatient": [float(f"{value:.6g}") for value in orientation],
            "PixelSpacing": [spacing[1], spacing[0]],
            "SliceThickness": spacing[2],
            **common,
            **tags(number),
        }
        pixels = np.ascontiguousarray(volume[:, :, number].T)
        image(folder / name.format(number), pixels, series=series, **own)
    return series


def affine_of(
    spacing: Sequence[float] = (0.8, 0.9, 2.0),
    origin: Sequence[float] = (-30.0, 5.0, 100.0),
    orientation: Sequence[float] = AXIAL,
    step: Sequence[float] | None = None,
) -> np.ndarray:
    """Voxel to RAS+ mm of such slices, 4 x 4."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[0], column * spacing[1]
    affine[:3, 2] = np.cross(row, column) * spacing[2] if step is None else step
    affine[:3, 3] = origin
    return LPS_TO_RAS @ affine


def enhanced(
    path: Path, volumes: Sequence[np.ndarray], slopes: Sequence[float], order: Sequence[int]
) -> Path:
    """One file of many frames: volumes at one place, told apart by their time, each with its slope.

    Args:
        path: of the file.
        volumes: stored values (columns, rows, slices) each.
        slopes: of each volume.
        order: in which the frames, volume by volume and slice by slice, stand in the file.
    """
    count = volumes[0].shape[2]
    groups, pixels = [], []
    for place in order:
        volume, number = divmod(place, count)
        pixels.append(volumes[volume][:, :, number].T)
        groups.append(
            group(
                FrameContentSequence={"TemporalPositionIndex": volume + 1, "StackID": "1"},
                PlanePositionSequence={"ImagePositionPatient": [-30.0, 5.0, 100.0 + 2.0 * number]},
                PixelValueTransformationSequence={
                    "RescaleSlope": slopes[volume],
                    "RescaleIntercept": 0,
                    "RescaleType": "US",
                },
            )
        )
    shared = group(
        PixelMeasuresSequence={"PixelSpacing": [0.9, 0.8], "SliceThickness": 2.0},
        PlaneOrientationSequence={"ImageOrientationPatient": list(AXIAL)},
    )
    return image(
        path,
        np.ascontiguousarray(pixels),
        series=generate_uid(),
        sop_class=EnhancedMRImageStorage,
        Modality="MR",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
    )


def group(**sequences: dict[str, object]) -> Dataset:
    """A functional group: one item in each sequence."""
    made = Dataset()
    for keyword, elements in sequences.items():
        item = Dataset()
        for name, value in elements.items():
            setattr(item, name, value)
        setattr(made, keyword, [item])
    return made
