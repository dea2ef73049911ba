"""Frames of DICOM files: where each lies, and what its header says of it, read with pydicom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.remarks import unheard
from .limits import check_promise

SUFFIXES = (".dcm", ".dicom", ".ima")
# Images of these are slices, also where they do not say where they lie.
VOLUMETRIC = frozenset({"CT", "MR", "PT", "NM"})
# A frame of these is a shadow of all that lies behind it, wherever its plate stood.
PROJECTIONS = frozenset({"CR", "DX", "MG", "IO", "PX", "XA", "RF", "RG"})
# What may tell apart slices that lie at one place, in the order in which it is tried.
TRAITS = (
    *("StackID", "TemporalPositionIdentifier", "TemporalPositionIndex", "EchoNumbers", "EchoTime"),
    *("EffectiveEchoTime", "DiffusionBValue", "AcquisitionNumber", "TriggerTime", "ImageType", "FrameType"),
    *("ComplexImageComponent", "InversionTime", "FlipAngle", "ConvolutionKernel", "KVP", "SeriesDescription"),
    *("AcquisitionTime", "ContentTime"),
)
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_TAGS = [
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfFrames"),
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("PhotometricInterpretation", "PatientID", "FrameOfReferenceUID"),
    *("RescaleSlope", "RescaleIntercept", "SpacingBetweenSlices"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *_GEOMETRY, *TRAITS),
]
OTHER_IMAGES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"),
    *(".nii", ".nii.gz", ".mgz", ".nrrd", ".mha", ".mhd"),
)
# Endings of files that are not opened to see whether they are DICOM.
_OTHERS = (
    *(*OTHER_IMAGES, ".gz", ".raw", ".json", ".csv", ".txt", ".xml", ".html", ".pdf", ".zip", ".npy"),
    *(".yaml", ".safetensors"),
)
NO_VOXELS = (
    "expected DICOM images, or labels as DICOM-SEG; contours (RT Structure Set) are no voxels: convert them "
    "to DICOM-SEG or .nii.gz, for instance with 3D Slicer or plastimatch"
)
MARK = 128, b"DICM"  # the byte and the content there of a DICOM file
# Old files begin with the header itself: a tag of the first groups, and a type or a small length.
_HEADER = re.compile(rb"(?:\x02\0\0\0UL|\x08\0[\0-\x20]\0(?:[A-Z]{2}|[\x02-\x40]\0\0\0))")
_SAID = ("SeriesNumber", "SpacingBetweenSlices", "ReferencedSegmentNumber")  # told, and part no slices
SEGMENTATIONS = {  # storage classes of DICOM-SEG
    "1.2.840.10008.5.1.4.1.1.66.4",  # a frame for each segment and slice
    "1.2.840.10008.5.1.4.1.1.66.7",  # a frame for each slice, of segment numbers
}
_NO_IMAGES = ("Segmentation Storage", "RT Dose Storage", "Presentation State")
# The tags of pixels: whole numbers in either byte order, and floats.
_PIXELS = {b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10", b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00"}
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels.

    Attributes:
        file: that holds it.
        number: of the frame in its file, from 0.
        series: UID of its series.
        sop_class: UID of the kind of object.
        modality: such as CT.
        patient: PatientID; "" where the header has none.
        reference: UID of the frame of reference of its position; "" where the header has none.
        size: columns and rows.
        channels: 1 of grey, 3 of colour.
        position: of the centre of its first pixel, LPS in mm (3,); None where the header has none.
        orientation: directions of a row and of a column (2, 3); None where the header has none.
        pixel: distance of columns and of rows in mm (2,); None where the header has none.
        thickness: of the slice in mm, where it is said.
        slope: of stored values.
        intercept: of stored values.
        white: the stored value that is shown black, where small ones are shown bright (MONOCHROME1).
        traits: what else may tell it from others at its place, by DICOM keyword.
    """

    file: Path
    number: int
    series: str
    sop_class: str
    modality: str
    patient: str
    reference: str
    size: tuple[int, int]
    channels: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    pixel: np.ndarray | None
    thickness: float | None
    slope: float
    intercept: float
    white: float | None
    traits: Mapping[str, str]

    @property
    def placed(self) -> bool:
        """Whether the header says where the frame lies."""
        return self.position is not None and self.orientation is not None and self.pixel is not None

    @property
    def planar(self) -> bool:
        """Whether it is a picture, as an X-ray or a photograph, rather than a slice."""
        return self.modality in PROJECTIONS or not (self.placed or self.modality in VOLUMETRIC)

    @property
    def normal(self) -> np.ndarray:
        """Direction across the plane (3,), of length 1."""
        assert self.orientation is not None
        across = np.cross(*self.orientation)
        return across / np.linalg.norm(across)

    def is_of_kind(self, *words: str) -> bool:
        """Whether its ImageType has one of the words."""
        kind = self.traits.get("ImageType", "") + "\\" + self.traits.get("FrameType", "")
        return any(word in kind.upper() for word in words)


def reference_of(frames: Iterable[Frame]) -> str:
    """UID of their frame of reference; "" where they have none, or, made up, one each."""
    found = {frame.reference for frame in frames if frame.reference}
    return found.pop() if len(found) == 1 else ""


def is_dicom(path: Path) -> bool:
    """Whether a file is named as DICOM or begins as one, and may hold an image or a label."""
    name = path.name.lower()
    if name == "dicomdir":  # the list of what is on a CD
        return False
    return name.endswith(SUFFIXES) or (not name.endswith(_OTHERS) and is_marked(path))


def is_marked(path: Path) -> bool:
    """Whether a file begins as DICOM does: with its mark, or at once with its header, as old ones do."""
    place, mark = MARK
    try:
        with path.open("rb") as stream:
            start = stream.read(place + len(mark))
    except OSError:
        return False
    return start[place:] == mark or _HEADER.match(start) is not None


def kind_of(path: Path) -> str:
    """What object a DICOM file is, such as RT Structure Set."""
    import pydicom

    try:
        with unheard():  # pydicom warns of every value that breaks the standard, which most files have
            source = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
            return source.SOPClassUID.name.removesuffix(" Storage")
    except Exception:  # any, of arbitrary bytes
        return "not readable"


def frames_of(path: Path) -> tuple[Frame, ...]:
    """The frames of a file; none of a file that is not DICOM or holds no image.

    Raises:
        DataError: the file is named or marked as DICOM and is broken, named in the message.
    """
    status = path.stat()
    return _frames_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1 << 14)
def _frames_of(path: Path, size: int, _: int) -> tuple[Frame, ...]:
    if not is_dicom(path):
        return ()
    if size == 0:
        raise DataError(f"{path}: is empty; copy it again")
    try:
        with unheard():
            source = _header(path)
            return frames_in(path, source) if source is not None else ()
    except DataError:
        raise
    except Exception as error:  # any, of arbitrary bytes
        raise _broken(path, str(error).strip() or type(error).__name__) from None


def _broken(path: Path, found: str) -> DataError:
    return DataError(f"{path}: broken DICOM file ({found}); copy it again, or remove it if it is none")


def patient_of(image: Path) -> str:
    """The PatientID of an image, by its first DICOM file; "" where it is none, or cannot be read."""
    place = image if image.exists() else image.parent  # one of several in a folder
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    with suppress(DataError, OSError, ImportError):
        return next((frame.patient for file in files if is_dicom(file) for frame in frames_of(file)), "")
    return ""


def _header(path: Path) -> Any | None:
    """All but the pixels; None where the file is no image."""
    import pydicom

    with path.open("rb") as stream:
        source = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        rest, held = stream.read(4), path.stat().st_size - stream.tell() - 4  # less the length's own bytes
    meta = getattr(source, "file_meta", {})
    kind = source.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
    if not kind:
        raise _broken(path, "it ends within its header, or is not DICOM")
    name = kind.name
    if str(kind) in SEGMENTATIONS or any(word in name for word in _NO_IMAGES):
        return None
    if not (source.get("Rows") and source.get("Columns")):
        if "Image Storage" in name:
            raise _broken(path, f"a {name.removesuffix(' Storage')} without rows and columns")
        return None
    syntax = meta.get("TransferSyntaxUID")
    if rest not in _PIXELS and syntax != _DEFLATED:
        raise _broken(path, "it ends before its pixels")
    if syntax is None or not (syntax.is_compressed or syntax == _DEFLATED):
        values = source.Rows * source.Columns * int(source.get("NumberOfFrames") or 1)
        values *= int(source.get("SamplesPerPixel") or 1)
        if "422" not in str(source.get("PhotometricInterpretation", "")):
            check_promise(path, values * int(source.BitsAllocated) // 8, held, packed=False)
    return source


def frames_in(path: Path, source: Any) -> tuple[Frame, ...]:
    """The frames of a file that is open in pydicom."""
    count = int(source.get("NumberOfFrames") or 1)
    own = {element.keyword: element.value for element in source if element.VR != "SQ"}
    shared = _values_of(source.get("SharedFunctionalGroupsSequence"), 0)
    each = source.get("PerFrameFunctionalGroupsSequence") or ()
    return tuple(
        _frame(path, number, {**own, **shared, **_values_of(each, number)}) for number in range(count)
    )


def _values_of(groups: Any, number: int) -> dict[str, Any]:
    """Values of a frame's functional groups by keyword."""
    if not groups or number >= len(groups):
        return {}
    return {
        element.keyword: element.value
        for group in groups[number]
        if group.VR == "SQ" and len(group.value)
        for element in group.value[0]
        if element.VR != "SQ"
    }


def _frame(path: Path, number: int, values: Mapping[str, Any]) -> Frame:
    position, orientation = _numbers(values, _GEOMETRY[0], 3), _numbers(values, _GEOMETRY[1], 6)
    pixel = _numbers(values, _GEOMETRY[2], 2)
    if orientation is not None:
        orientation = orientation.reshape(2, 3)
        lengths = np.linalg.norm(orientation, axis=1, keepdims=True)
        if lengths.min() > 0.5 and np.linalg.norm(np.cross(*orientation / lengths)) > 0.5:
            orientation = orientation / lengths
        else:
            orientation = None  # zeros, or both directions the same
    if pixel is not None:
        pixel = pixel[::-1] if (pixel > 0).all() else None
    thickness = _numbers(values, "SliceThickness", 1)
    if thickness is None or thickness[0] <= 0:
        thickness = _numbers(values, "SpacingBetweenSlices", 1)
    slope, intercept = (
        _rescaling(path, values, *of) for of in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if slope == 0:
        raise _broken(path, "RescaleSlope is 0, which makes every value the same")
    traits = {name: _text(values[name]) for name in TRAITS if values.get(name) not in (None, "")}
    for place, index in enumerate(_text(values.get("DimensionIndexValues", "")).split("\\")):
        traits[f"dimension{place + 1}"] = index
    return Frame(
        file=path,
        number=number,
        series=str(values.get("SeriesInstanceUID", "")),
        sop_class=str(values.get("SOPClassUID", "")),
        modality=str(values.get("Modality", "")),
        patient=_text(values.get("PatientID") or ""),
        reference=str(values.get("FrameOfReferenceUID") or ""),
        size=(int(values["Columns"]), int(values["Rows"])),
        channels=_channels(values),
        position=position,
        orientation=orientation,
        pixel=pixel,
        thickness=None if thickness is None else abs(float(thickness[0])),
        slope=slope,
        intercept=intercept,
        white=_white(values),
        traits={**traits, **{name: _text(values.get(name) or "") for name in _SAID}},
    )


def _rescaling(path: Path, values: Mapping[str, Any], keyword: str, default: float) -> float:
    """Slope or intercept; `default` only where there is none, as CT without it would be 1024 HU off.

    Raises:
        DataError: something that is no number.
    """
    numbers = _numbers(values, keyword, 1)
    if numbers is not None:
        return float(numbers[0])
    found = _text(values.get(keyword) or "").strip()
    if found:
        raise DataError(
            f"{path}: {keyword} is {found[:60]!r}; expected one number, such as -1024.5, or the values would "
            "be wrong; correct the tag, or export the series again"
        )
    return float(default)


def _white(values: Mapping[str, Any]) -> float | None:
    if values.get("PhotometricInterpretation") != "MONOCHROME1":
        return None
    signed = int(values.get("PixelRepresentation") or 0)
    return float(2 ** (int(values.get("BitsStored") or values["BitsAllocated"]) - signed) - 1)


def _channels(values: Mapping[str, Any]) -> int:
    coloured = values.get("PhotometricInterpretation") == "PALETTE COLOR"
    return 3 if coloured else int(values.get("SamplesPerPixel") or 1)


def _numbers(values: Mapping[str, Any], keyword: str, count: int) -> np.ndarray | None:
    """Finite numbers of an element; None where it has not as many."""
    value = values.get(keyword)
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64)) if value not in (None, "") else None
    except (TypeError, ValueError):
        return None
    return (
        numbers if numbers is not None and numbers.shape == (count,) and np.isfinite(numbers).all() else None
    )


def _text(value: Any) -> str:
    return (
        "\\".join(map(str, value)) if isinstance(value, list | tuple) or _is_multiple(value) else str(value)
    )


def _is_multiple(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)
