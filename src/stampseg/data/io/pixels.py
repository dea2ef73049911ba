"""Stored pixels of DICOM files -> intensities, through pydicom; what it cannot unpack, through SimpleITK."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError, StampsegError
from ...core.packages import require
from ...core.remarks import unheard
from .frames import Frame
from .volume import as_image


def intensities(frames: Sequence[Frame]) -> np.ndarray:
    """Values (frames, rows, columns, C) float32, each frame with its own slope and intercept.

    Raises:
        DataError: a file's pixels are cut short or packed in a way that nothing here unpacks; it is named.
    """
    columns, rows = frames[0].size
    values = np.empty((len(frames), rows, columns, frames[0].channels), np.float32)
    by_file: dict[Path, list[int]] = defaultdict(list)
    for place, frame in enumerate(frames):
        by_file[frame.file].append(place)
    for path, places in by_file.items():
        stored = pixels_of(path)
        for place in places:
            values[place] = _scaled(stored[frames[place].number], frames[place])
    return values


def _scaled(stored: np.ndarray, frame: Frame) -> np.ndarray:
    if stored.dtype.kind == "f":
        stored = as_image(stored, frame.file)
    if (frame.slope, frame.intercept) == (1.0, 0.0):
        return stored
    # float32 holds every number of 16 bits, and a product with one as exactly as it holds any
    wide: Any = stored.astype(np.float32 if stored.dtype.itemsize <= 2 else np.float64)
    return wide * frame.slope + frame.intercept


def pixels_of(path: Path) -> np.ndarray:
    """Stored values (frames, rows, columns, C) of a file.

    Raises:
        DataError: as `intensities`.
    """
    import pydicom

    try:
        with unheard():
            source = pydicom.dcmread(path, force=True)
            return _unpacked(path, source).reshape(
                int(source.get("NumberOfFrames") or 1), source.Rows, source.Columns, -1
            )
    except StampsegError:
        raise
    except Exception as error:  # any, of arbitrary bytes
        found = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{path}: its pixels cannot be read ({found[-1]}); copy it again") from None


def _unpacked(path: Path, source: Any) -> np.ndarray:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    if "TransferSyntaxUID" not in source.file_meta:  # a file without the part before its header
        implicit, _ = source.original_encoding
        source.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    syntax = source.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not get_decoder(syntax).is_available:
        return _unpacked_by_itk(path, source)
    if not syntax.is_encapsulated and (above := _bits_below(path, source)):
        return pixel_array(source, correct_unused_bits=False) >> above
    try:
        stored = pixel_array(source, correct_unused_bits=True)
    except Exception:  # as of 12 bits, which a decoder that is there may not know
        if not syntax.is_compressed:
            raise
        with suppress(Exception):
            return _unpacked_by_itk(path, source)
        raise
    if source.get("PhotometricInterpretation") == "PALETTE COLOR":
        return apply_color_lut(stored, source)
    if "ModalityLUTSequence" in source:
        return apply_modality_lut(stored, source)
    return stored


def _bits_below(path: Path, source: Any) -> int:
    """Bits of no meaning below those of a value, as old files have them that end at the highest bit."""
    if "HighBit" not in source or "BitsStored" not in source:
        return 0
    below = int(source.HighBit) + 1 - int(source.BitsStored)
    if below > 0 and int(source.HighBit) + 1 != int(source.BitsAllocated):
        raise DataError(
            f"{path}: its values lie in the bits {below} to {source.HighBit} of {source.BitsAllocated} "
            "(HighBit, BitsStored); expected the lowest or the highest ones; convert it"
        )
    return max(below, 0)


def _unpacked_by_itk(path: Path, source: Any) -> np.ndarray:
    """Stored values again from ITK's, which have slope and intercept applied."""
    name = source.file_meta.TransferSyntaxUID.name
    sitk = require("SimpleITK", f"{path}: unpacking {name}")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if "PerFrameFunctionalGroupsSequence" in source:
        raise DataError(f"{path}: packed as {name}, which pydicom has no decoder for; unpack it first")
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float64)
    slope, intercept = float(source.get("RescaleSlope") or 1), float(source.get("RescaleIntercept") or 0)
    return (values - intercept) / slope
