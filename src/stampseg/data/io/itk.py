"""MetaImage, NRRD and DICOM, through SimpleITK. Its ZYX arrays and LPS axes become XYZ and RAS+ here."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import DataError
from .format import Format
from .limits import check_kind, check_promise
from .volume import Header, as_image, as_label, volume_header

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its documented short name)

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
POSITION = "0020|0032"  # DICOM's Image Position (Patient), three numbers parted by backslashes
# Names of the fields that say where the values are, and how they are packed.
DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)\s*(.+?)\s*$", re.I | re.M)
PACKED = re.compile(rb"^(?:CompressedData\s*=\s*T|encoding\s*:\s*(?:gz|bz))", re.I | re.M)
_HERE = {b"local", b"list"}
_VALUE_BYTES = {
    **{"UInt8": 1, "Int8": 1, "UInt16": 2, "Int16": 2, "UInt32": 4, "Int32": 4},
    **{"UInt64": 8, "Int64": 8, "Float32": 4, "Float64": 8},
}
UNEVEN_SLICES = 0.05  # share of the usual slice distance by which others may differ


def read_header(path: Path) -> Header:
    """Header of a MetaImage or NRRD file."""
    information = _information(path)
    header = _header_of(path, [information])
    promised = math.prod(header.shape) * header.channels * _value_bytes(information.GetPixelID())
    _check_data_present(path, promised)
    return header


def read_image(path: Path) -> np.ndarray:
    """Voxels (C, X, Y, Z) float32."""
    return as_image(_channels_first(_sitk().ReadImage(str(path))), path)


def read_label(path: Path) -> np.ndarray:
    """Label (X, Y, Z) of the file's own whole numbers."""
    channels = _channels_first(_sitk().ReadImage(str(path)))
    if len(channels) != 1:
        raise DataError(
            f"{path}: label with {len(channels)} channels; expected one class per voxel; merge them"
        )
    return as_label(channels[0], path)


def read_dicom_header(path: Path) -> Header:
    """Header of a DICOM file, or of a folder with one series."""
    if not path.is_dir():
        return _header_of(path, [_information(path)])
    files = series_files(path)
    return _header_of(path, [_information(files[0]), *map(_information, files[1:][-1:])], len(files))


def read_dicom_image(path: Path) -> np.ndarray:
    """Voxels (C, X, Y, Z) float32; rescale slope and intercept are applied."""
    image = _read_series(path) if path.is_dir() else _sitk().ReadImage(str(path))
    return as_image(_channels_first(image), path)


def write_label(path: Path, labels: np.ndarray, like: Header) -> None:
    """Write (X, Y, Z) unsigned labels with the spacing, origin and direction that the file of `like` has."""
    sitk = _sitk()
    source = _information(like.path)
    dimension = min(source.GetDimension(), 3)
    image = sitk.GetImageFromArray(labels.T if dimension == 3 else labels[:, :, 0].T)
    image.SetSpacing(source.GetSpacing()[:dimension])
    image.SetOrigin(source.GetOrigin()[:dimension])
    direction = np.reshape(source.GetDirection(), (source.GetDimension(),) * 2)
    image.SetDirection(direction[:dimension, :dimension].ravel().tolist())
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:  # a full disk among others, told in the last of many lines
        raise OSError(str(error).strip().splitlines()[-1]) from None


def series_files(folder: Path) -> list[Path]:
    """Files of the one DICOM series in `folder`, sorted along the slice axis.

    Raises:
        DataError: no series, or several.
    """
    sitk = _sitk()
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise DataError(
            f"{folder}: {len(series) or 'no'} DICOM series found; expected a folder with exactly one; "
            "put each series in a folder of its own"
        )
    return [Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])]


def _read_series(folder: Path) -> sitk.Image:
    reader = _sitk().ImageSeriesReader()
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


def _sitk() -> Any:
    import SimpleITK as sitk  # noqa: N813

    # ITK reports to stderr what is told here through warnings and errors.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _header_of(path: Path, slices: Sequence[sitk.ImageFileReader], count: int = 1) -> Header:
    """Header of a file, or of a series of `count` files from the first and the last of them."""
    first = slices[0]
    size, channels = first.GetSize(), first.GetNumberOfComponents()
    if len(size) == 4:
        channels *= size[3]
    shape = (*size, 1)[:3]
    affine = _affine(first.GetSpacing(), first.GetDirection(), first.GetOrigin())
    if count > 1:
        shape = (shape[0], shape[1], count)
        affine = _with_slice_distance(affine, first, slices[-1], count)
    return volume_header(path, shape, affine, channels, _sitk().GetPixelIDValueAsString(first.GetPixelID()))


def _value_bytes(pixel: int) -> int:
    """Bytes of a value of a pixel type; 1, the least, of one that is not known here."""
    sitk = _sitk()
    for kind, size in _VALUE_BYTES.items():
        if pixel in (getattr(sitk, f"sitk{kind}"), getattr(sitk, f"sitkVector{kind}")):
            return size
    return 1


def _information(path: Path) -> sitk.ImageFileReader:
    reader = _sitk().ImageFileReader()
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
    array = _sitk().GetArrayFromImage(image)
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


FORMATS = (
    Format(
        name="MetaImage",
        listed=".mha, .mhd",
        suffixes=(".mha", ".mhd"),
        package="SimpleITK",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        write_label=write_label,
        mask_suffix=".mha",
    ),
    Format(
        name="NRRD",
        listed=".nrrd",
        suffixes=(".nrrd", ".nhdr"),
        package="SimpleITK",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        write_label=write_label,
        mask_suffix=".nrrd",
    ),
    Format(
        name="DICOM",
        listed="DICOM (a folder with one series)",
        suffixes=(".dcm", ".dicom", ".ima"),
        package="SimpleITK",
        read_header=read_dicom_header,
        read_image=read_dicom_image,
        no_labels="a DICOM label is not read; expected one label file; convert it to .nii.gz",
        mask_suffix=".nii.gz",
        series_mark=(128, b"DICM"),
    ),
)
