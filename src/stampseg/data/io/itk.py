"""MetaImage, NRRD and DICOM, through SimpleITK. Its ZYX arrays and LPS axes become XYZ and RAS+ here."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its documented short name)

from ...errors import DataError
from .formats import DICOM_SUFFIXES, ITK_SUFFIXES, suffix_of
from .limits import check_kind, check_promise
from .volume import Header, as_image, as_label, volume_header

# ITK reports to stderr what is told here through warnings and errors.
sitk.ProcessObject.SetGlobalWarningDisplay(False)

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
POSITION = "0020|0032"  # DICOM's Image Position (Patient), three numbers parted by backslashes
# Names of the fields that say where the values are, and how they are packed.
DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)\s*(.+?)\s*$", re.I | re.M)
PACKED = re.compile(rb"^(?:CompressedData\s*=\s*T|encoding\s*:\s*(?:gz|bz))", re.I | re.M)
_HERE = {b"local", b"list"}
_VALUE_BYTES = {
    getattr(sitk, f"sitk{vector}{kind}"): size
    for vector in ("", "Vector")
    for kind, size in (
        *(("UInt8", 1), ("Int8", 1), ("UInt16", 2), ("Int16", 2), ("UInt32", 4), ("Int32", 4)),
        *(("UInt64", 8), ("Int64", 8), ("Float32", 4), ("Float64", 8)),
    )
}
UNEVEN_SLICES = 0.05  # share of the usual slice distance by which others may differ


def read_header(path: Path) -> Header:
    """Header of a MetaImage, NRRD or DICOM file, or of a folder with one DICOM series."""
    files = series_files(path) if path.is_dir() else [path]
    first = _information(files[0])
    size, channels = first.GetSize(), first.GetNumberOfComponents()
    if len(size) == 4:
        channels *= size[3]
    shape = (*size, 1)[:3]
    affine = _affine(first.GetSpacing(), first.GetDirection(), first.GetOrigin())
    if len(files) > 1:
        shape = (shape[0], shape[1], len(files))
        affine = _with_slice_distance(affine, first, _information(files[-1]), len(files))
    dtype = sitk.GetPixelIDValueAsString(first.GetPixelID())
    header = volume_header(path, shape, affine, channels, dtype)
    if suffix_of(files[0]) in ITK_SUFFIXES:
        _check_data_present(files[0], math.prod(shape) * channels * _VALUE_BYTES.get(first.GetPixelID(), 1))
    return header


def read_image(path: Path) -> np.ndarray:
    """Voxels (C, X, Y, Z) float32; DICOM's rescale slope and intercept are applied."""
    image = _read_series(path) if path.is_dir() else sitk.ReadImage(str(path))
    return as_image(_channels_first(image), path)


def read_label(path: Path) -> np.ndarray:
    """Label (X, Y, Z) of the file's own whole numbers."""
    if path.is_dir() or suffix_of(path) in DICOM_SUFFIXES:
        raise DataError(f"{path}: a DICOM label is not read; expected one label file; convert it to .nii.gz")
    channels = _channels_first(sitk.ReadImage(str(path)))
    if len(channels) != 1:
        raise DataError(
            f"{path}: label with {len(channels)} channels; expected one class per voxel; merge them"
        )
    return as_label(channels[0], path)


def write_label(path: Path, labels: np.ndarray, like: Path) -> None:
    """Write (X, Y, Z) unsigned labels with the spacing, origin and direction of `like`."""
    source = _information(like)
    dimension = min(source.GetDimension(), 3)
    image = sitk.GetImageFromArray(labels.T if dimension == 3 else labels[:, :, 0].T)
    image.SetSpacing(source.GetSpacing()[:dimension])
    image.SetOrigin(source.GetOrigin()[:dimension])
    direction = np.reshape(source.GetDirection(), (source.GetDimension(),) * 2)
    image.SetDirection(direction[:dimension, :dimension].ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def series_files(folder: Path) -> list[Path]:
    """Files of the one DICOM series in `folder`, sorted along the slice axis.

    Raises:
        DataError: no series, or several.
    """
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise DataError(
            f"{folder}: {len(series) or 'no'} DICOM series found; expected a folder with exactly one; "
            "put each series in a folder of its own"
        )
    return [Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])]


def _read_series(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    files = series_files(folder)
    reader.SetFileNames([str(path) for path in files])
    reader.MetaDataDictionaryArrayUpdateOn()
    image = reader.Execute()
    positions = [
        [float(number) for number in reader.GetMetaData(slice_, POSITION).split("\\")]
        for slice_ in range(len(files))
        if reader.HasMetaDataKey(slice_, POSITION)
    ]
    _warn_of_gaps(folder, np.array(positions))
    return image


def _warn_of_gaps(folder: Path, positions: np.ndarray) -> None:
    """Positions (slices, 3) in mm; a lost slice shows as a distance unlike the others."""
    if len(positions) < 3:
        return
    distances = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    usual = float(np.median(distances))
    if np.abs(distances - usual).max() > UNEVEN_SLICES * usual:
        warnings.warn(
            f"{folder}: slices are missing or unevenly spaced ({distances.min():.3g} to "
            f"{distances.max():.3g} mm, mostly {usual:.3g}); they are taken as evenly spaced",
            stacklevel=2,
        )


def _information(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if not 2 <= reader.GetDimension() <= 4:
        raise DataError(f"{path}: {reader.GetDimension()} axes; expected three, or four with channels last")
    return reader


def _check_data_present(path: Path, promised: int) -> None:
    """Compare the header's claim with the size of the file that holds the values, one or several."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    named = DATA_FILE.search(start)
    data = path
    if named and named[1].lower().split()[0] not in _HERE and b"%" not in named[1]:
        data = path.parent / named[1].decode("utf-8", "surrogateescape")
        check_kind(data)
    elif named and named[1].lower() != b"local":
        return  # a file for each slice: ITK opens one after the other, and says which is short
    check_promise(path, promised, data.stat().st_size, packed=bool(PACKED.search(start)))


def _channels_first(image: sitk.Image) -> np.ndarray:
    """ITK image -> (C, X, Y, Z), a 2D one as a single slice, the fourth axis of a 4D one as channels."""
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        array = array[..., None]
    array = array.T  # (C, X, Y[, Z[, T]])
    if image.GetDimension() == 2:
        return array[..., None]
    if image.GetDimension() == 4:
        return np.moveaxis(array, -1, 0).reshape(-1, *array.shape[1:4])
    return array


def _affine(
    spacing: tuple[float, ...], direction: tuple[float, ...], origin: tuple[float, ...]
) -> np.ndarray:
    """4 x 4 voxel to RAS+ mm from ITK's LPS geometry of 2, 3 or 4 axes."""
    axes = min(len(spacing), 3)
    lps = np.eye(4)
    lps[:axes, :axes] = np.reshape(direction, (len(spacing),) * 2)[:axes, :axes] * np.asarray(spacing)[:axes]
    lps[:axes, 3] = origin[:axes]
    return LPS_TO_RAS @ lps


def _with_slice_distance(
    affine: np.ndarray, first: sitk.ImageFileReader, last: sitk.ImageFileReader, count: int
) -> np.ndarray:
    """A slice's affine with the third axis as long as the slice distance, as ITK's series reader has it."""
    span = np.linalg.norm(np.subtract(last.GetOrigin(), first.GetOrigin()))
    if span == 0:
        return affine
    stretched = affine.copy()
    stretched[:3, 2] *= span / (count - 1) / np.linalg.norm(affine[:3, 2])
    return stretched
