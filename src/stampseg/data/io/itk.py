"""MetaImage and NRRD, through SimpleITK. Its ZYX arrays and LPS axes become XYZ and RAS+ here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import DataError
from .format import Format
from .layers import merged, segments_in
from .limits import check_kind, check_promise
from .metaimage import check_packed
from .volume import LPS_TO_RAS, Covers, Header, as_image, as_label, volume_header

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its documented short name)

METAIMAGE = (".mha", ".mhd")
SLICER = (".seg.nrrd", ".seg.nhdr")  # segmentations that Slicer cuts to their segments
# Names of the fields that say where the values are, and how they are packed.
DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)\s*(.+?)\s*$", re.I | re.M)
UNITS = re.compile(rb"^space units:\s*(.+?)\s*$", re.I | re.M)  # of a NRRD; ITK takes all for mm
# Files of slices by a pattern: `s%03d.raw 1 20 1` is the first and the last number, and the step.
NUMBERED = re.compile(r"(.*%.*?)\s+(\d+)\s+(\d+)(?:\s+(-?\d+))?(?:\s+\d+)?")
REASON = "Reason: "  # before which a MetaImage's error says that the file cannot be read
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "???", "none")
DIRECTIONS = re.compile(rb"^space directions:\s*(.+?)\s*$", re.I | re.M)
SPACINGS = re.compile(rb"^spacings:\s*(.+?)\s*$", re.I | re.M)
RANGES = re.compile(rb"^axis ?(min|max)s:[^\n]*\d", re.I | re.M)  # between which the voxels of an axis lie
SPACE = re.compile(rb"^space:\s*(\S+)", re.I | re.M)  # of a NRRD: which way its axes run
TURNED = ("ras", "las", "lps", "right-anterior-superior", "left-anterior-superior", "left-posterior-superior")
# ITK takes these for LPS.
WITH_TIME = ("rast", "last", "right-anterior-superior-time", "left-anterior-superior-time")
SIZES = re.compile(rb"^Element(?:Spacing|Size)\s*=", re.I | re.M)  # of voxels of a MetaImage
TEXT = re.compile(rb"^(?:BinaryData\s*=\s*F|encoding\s*:\s*(?:ascii|te?xt))", re.I | re.M)
BZIP = re.compile(rb"^encoding\s*:\s*bz", re.I | re.M)
PACKED = re.compile(rb"^(?:CompressedData\s*=\s*T|encoding\s*:\s*(?:gz|bz))", re.I | re.M)
_VALUE_BYTES = {
    **{"UInt8": 1, "Int8": 1, "UInt16": 2, "Int16": 2, "UInt32": 4, "Int32": 4},
    **{"UInt64": 8, "Int64": 8, "Float32": 4, "Float64": 8},
}


def read_header(path: Path) -> Header:
    """Header of a MetaImage or NRRD file."""
    information = _information(path)
    header = _header_of(path, information)
    _check_nrrd(path, information.GetDimension())
    _check_data_present(path, _promised(information))
    return header


def read_image(path: Path) -> np.ndarray:
    """Voxels (C, X, Y, Z) float32."""
    return as_image(_channels_first(_read(path)), path)


def read_label(path: Path) -> np.ndarray:
    """Label (X, Y, Z) of the file's own whole numbers; the layers of Slicer's segments as one.

    Raises:
        DataError: several values a voxel.
    """
    channels = _channels_first(_read(path))
    if len(channels) == 1:
        return as_label(channels[0], path)
    segments = segments_in(_fields(path))
    if not segments:
        raise DataError(
            f"{path}: label with {len(channels)} channels; expected one class per voxel; merge them"
        )
    return merged([as_label(layer, path) for layer in channels], segments, path)


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


def _kind(path: Path) -> str:
    """ITK's reader, which it would choose by an ending in small letters alone."""
    return "MetaImageIO" if path.suffix.lower() in METAIMAGE else "NrrdImageIO"


def _read(path: Path) -> sitk.Image:
    if path.suffix.lower() in METAIMAGE and len(files := data_files(path)) <= 2:
        check_packed(path, files[-1], _promised(_information(path)))
    try:
        return _sitk().ReadImage(str(path), imageIO=_kind(path))
    except RuntimeError as error:
        if REASON not in str(error):
            raise
        # What the system said last, which may be of another file that was looked for.
        raise DataError(f"{path}: its values cannot be read; the file is damaged; copy it again") from None


def _sitk() -> Any:
    import SimpleITK as sitk  # noqa: N813

    # ITK reports to stderr what is told here through warnings and errors.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _header_of(path: Path, source: sitk.ImageFileReader) -> Header:
    size, channels = source.GetSize(), source.GetNumberOfComponents()
    if len(size) == 4:
        channels *= size[3]
    _check_spacing(path, source.GetSpacing()[:3])
    affine = _affine(source.GetSpacing(), source.GetDirection(), source.GetOrigin())
    dtype = _sitk().GetPixelIDValueAsString(source.GetPixelID())
    covers: Covers = "box" if path.name.lower().endswith(SLICER) else "all"
    notes, placed = _unsaid(path)
    return volume_header(
        path, (*size, 1)[:3], affine, channels, dtype, notes=notes, placed=placed, covers=covers
    )


def _check_spacing(path: Path, spacing: tuple[float, ...]) -> None:
    """ITK reads a negative size of voxels, and writes none."""
    if min(spacing) <= 0:
        raise DataError(
            f"{path}: its header has voxels of {' x '.join(f'{size:g}' for size in spacing)} mm; expected "
            "sizes above 0; write which way an axis runs into its direction (TransformMatrix, or space "
            "directions), and the size without a sign"
        )


def _unsaid(path: Path) -> tuple[tuple[str, ...], bool]:
    """What its header leaves to be assumed, and whether it says which way the axes run."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    nrrd = start.startswith(b"NRRD")
    header = start.partition(b"\n\n")[0] if nrrd else start
    sized = (_sizes_said(header) is not None) if nrrd else SIZES.search(header)
    notes = () if sized else (f"{path}: does not say how large its voxels are; 1 mm is assumed",)
    if not nrrd:
        return notes, True
    space = found[1].decode("latin-1").lower() if (found := SPACE.search(header)) else ""
    if space in WITH_TIME:
        raise DataError(
            f"{path}: space {space}, of which sides would be exchanged; expected left-posterior-superior or "
            "right-anterior-superior, without time; write it anew as that"
        )
    return notes, space in (*TURNED, "lpst", "left-posterior-superior-time")


def _promised(source: sitk.ImageFileReader) -> int:
    """Bytes of all values that a header tells of."""
    return math.prod(source.GetSize()) * source.GetNumberOfComponents() * _value_bytes(source.GetPixelID())


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
    reader.SetImageIO(_kind(path))
    reader.ReadImageInformation()
    if not 2 <= reader.GetDimension() <= 4:
        raise DataError(f"{path}: {reader.GetDimension()} axes; expected three, or four with channels last")
    return reader


def read_names(path: Path) -> dict[int, str]:
    """Names of the segments of a file from Slicer, by their values in the label that is read."""
    return {segment.number: segment.name for segment in segments_in(_fields(path)) if segment.name}


def _fields(path: Path) -> dict[str, str]:
    source = _information(path)
    return {key: source.GetMetaData(key) for key in source.GetMetaDataKeys()}


def data_files(path: Path) -> list[Path]:
    """The file, and those that it names as holding the values."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    return [path, *(path.parent / name for name in _named_data(start))]


def _named_data(start: bytes) -> list[str]:
    """Names of the files with the values, from the beginning of a header; none where they follow it."""
    named = DATA_FILE.search(start)
    place = named[1].decode("utf-8", "surrogateescape") if named else "local"
    if named is None or place.lower() == "local":
        return []
    if place.lower().split()[0] == "list":  # a file for each slice, named in the lines that follow
        lines = start[named.end() :].decode("utf-8", "surrogateescape").splitlines()
        return [line.strip() for line in lines if line.strip()]
    if numbered := NUMBERED.fullmatch(place):
        first, last, step = (int(number) for number in numbered.groups(default="1")[1:])
        return [numbered[1] % number for number in range(first, last + (1 if step >= 0 else -1), step or 1)]
    return [place]


def _check_nrrd(path: Path, dimension: int) -> None:
    """Refuse what ITK takes for something else, or cannot read."""
    with path.open("rb") as stream:
        header, _, _ = stream.read(1 << 16).partition(b"\n\n")
    if not header.startswith(b"NRRD"):
        return
    found = UNITS.search(header)
    units = found[1].decode("utf-8", "replace").replace('"', "") if found else ""
    others = [unit for unit in units.split() if unit.lower() not in MILLIMETRES]
    if others:
        raise DataError(
            f"{path}: its space units are {others[0]}; expected mm; write it anew with its spacing in mm"
        )
    if BZIP.search(header):
        raise DataError(
            f"{path}: its values are packed as bzip2, which ITK does not unpack; expected gzip, or values "
            "as they are; save it anew with encoding gzip"
        )
    sizes = _sizes_said(header)
    if sizes is None and len(set(map(bytes.lower, RANGES.findall(header)))) == 2:
        raise DataError(
            f"{path}: its header says how large its voxels are by axis mins and axis maxs alone, which ITK "
            "does not read; write it anew with spacings or space directions"
        )
    if sizes is not None and sizes < min(dimension, 3):
        raise DataError(
            f"{path}: its header says the size of a voxel along {sizes} of {min(dimension, 3)} axes (none or "
            "nan for the rest); expected a size in mm for each; correct the header"
        )


def _sizes_said(header: bytes) -> int | None:
    """Along how many axes a NRRD says how large its voxels are; None where it says nothing of it."""
    if found := DIRECTIONS.search(header):
        return found[1].count(b"(")
    found = SPACINGS.search(header)
    return sum(size.lower() != b"nan" for size in found[1].split()) if found else None


def _check_data_present(path: Path, promised: int) -> None:
    """Compare the header's claim with the size of the file that holds the values, one or several."""
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    names = _named_data(start)
    if len(names) > 1:
        return  # a file for each slice: ITK opens one after the other, and says which is short
    data = path.parent / names[0] if names else path
    if names and not data.exists():
        raise DataError(
            f"{path}: its data file {data.name} is missing in {data.parent}; put it there, or correct its "
            "name in the header (capital and small letters count)"
        )
    check_kind(data)
    if not TEXT.search(start):
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


FORMATS = (
    Format(
        name="MetaImage",
        listed=".mha, .mhd",
        suffixes=METAIMAGE,
        package="SimpleITK",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        write_label=write_label,
        mask_suffix=".mha",
        data_files=data_files,
    ),
    Format(
        name="NRRD",
        listed=".nrrd",
        suffixes=(".nrrd", ".nhdr"),
        package="SimpleITK",
        read_header=read_header,
        read_image=read_image,
        read_label=read_label,
        read_names=read_names,
        write_label=write_label,
        mask_suffix=".nrrd",
        data_files=data_files,
    ),
)
