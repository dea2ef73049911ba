"""NIfTI, Analyze and FreeSurfer volumes, through nibabel."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.text import size_text
from .format import Format
from .limits import MOST_BEFORE_VOXELS, check_promise
from .volume import (
    GRID_TOLERANCE,
    Header,
    as_image,
    as_label,
    axis_codes,
    corner_distance,
    volume_header,
)

PAIR = (".hdr", ".img")  # header and voxels in files of their own
MILLIMETRES = {1: 1000.0, 3: 0.001}  # in the units that a header may have instead: metre, micrometre
ONE_SIZE = 0.01  # by which voxels of two statements may differ
MOST_AFTER_VOXELS = 2**24  # bytes that are unpacked for the checksum


def read_header(path: Path) -> Header:
    """Header of a NIfTI-1/2 (single or pair), Analyze or MGH file; no voxels are read."""
    source = _open(path)
    shape = _shape(source, path)
    dtype = source.get_data_dtype()
    channels = (shape[3] if len(shape) > 3 else 1) * (3 if dtype.names else 1)
    affine, placed = _place(source)
    kind = "rgb" if dtype.names else dtype.name
    qform = _qform(source)
    notes = () if qform is None else _two_forms(path, qform, affine)
    header = volume_header(path, shape[:3], affine, channels, kind, notes, placed)
    _check_data_present(source, path)
    if qform is not None and corner_distance(header.shape, affine, qform) > GRID_TOLERANCE:
        return replace(header, other_affine=qform)
    return header


def _qform(source: Any) -> np.ndarray | None:
    """Voxel to RAS+ mm by its qform, where it has a sform as well, which is taken; else None."""
    import nibabel as nib

    if not isinstance(source.header, nib.Nifti1Header):
        return None
    forms = source.header.get_qform(coded=True)[0], source.header.get_sform(coded=True)[0]
    return None if any(form is None for form in forms) else _in_mm(source.header, forms[0])


def _two_forms(path: Path, qform: np.ndarray, sform: np.ndarray) -> tuple[str, ...]:
    """A word where both have voxels of other sizes or directions: programs take the one or the other."""
    theirs, ours = (np.linalg.norm(form[:3, :3], axis=0) for form in (qform, sform))
    if not np.allclose(theirs, ours, rtol=ONE_SIZE, atol=0):
        return (
            f"{path}: voxels of {size_text(theirs, 4)} by its qform, of {size_text(ours, 4)} by its sform, "
            "which is taken; programs that take the other see another size: correct the header",
        )
    if (other := axis_codes(qform)) != (own := axis_codes(sform)):
        return (
            f"{path}: axes run to {other} by its qform, to {own} by its sform, which is taken; programs that "
            "take the other (ITK's, by some codes) see another side: correct the header",
        )
    return ()


def _in_mm(header: Any, affine: np.ndarray) -> np.ndarray:
    """An affine in mm, whatever unit the file has."""
    unit = MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return np.diag([unit, unit, unit, 1.0]) @ affine


def _place(source: Any) -> tuple[np.ndarray, bool]:
    """Voxel to RAS+ mm, whatever unit the file has, and whether the file says where that is."""
    import nibabel as nib

    header = source.header
    if not isinstance(header, nib.Nifti1Header):
        return source.affine, _is_placed(source)
    return _in_mm(header, source.affine), bool(header["qform_code"] or header["sform_code"])


def _is_placed(source: Any) -> bool:
    """Whether an Analyze file says where it lies, which of its kinds SPM's do, in the header or beside it."""
    import nibabel as nib

    if not isinstance(source, nib.AnalyzeImage):
        return True
    header, beside = source.header, getattr(source.file_map.get("mat"), "filename", None)
    said = "origin" in header.keys() and bool(np.any(header["origin"]))  # noqa: SIM118, no mapping
    return said or (beside is not None and Path(beside).exists())


def read_image(path: Path) -> np.ndarray:
    """Voxels (C, X, Y, Z) float32 with slope and intercept applied; the last axis of a 4D file is C."""
    with _opened(path) as source:
        return _image_of(source, path)


def _image_of(source: Any, path: Path) -> np.ndarray:
    shape = _shape(source, path)
    stored = source.get_data_dtype()
    if stored.names:
        coded = np.asanyarray(source.dataobj).reshape(shape[:3])
        return as_image(np.stack([coded[name] for name in stored.names[:3]]), path)
    # Complex values stay as they are, to be refused rather than lose their phase.
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and 0 in the end
        voxels = np.asarray(source.dataobj, dtype=None if stored.kind == "c" else np.float32).reshape(shape)
    return as_image(np.moveaxis(voxels, 3, 0) if len(shape) == 4 else voxels[None], path)


def read_label(path: Path) -> np.ndarray:
    """Label (X, Y, Z) of the file's own whole numbers."""
    with _opened(path) as source:
        return _label_of(source, path)


def _label_of(source: Any, path: Path) -> np.ndarray:
    shape = _shape(source, path)
    if len(shape) == 4:
        raise DataError(
            f"{path}: label of shape {tuple(map(int, source.shape))}; expected three axes, one class per "
            "voxel; merge the channels into one label map"
        )
    return as_label(np.asanyarray(source.dataobj).reshape(shape), path)


def write_label(path: Path, labels: np.ndarray, like: Header) -> None:
    """Write (X, Y, Z) unsigned labels on the grid of `like`; of a NIfTI also its class, qform and sform."""
    import nibabel as nib

    if not NIFTI.names(like.path):
        _write_affine(path, labels, like)
        return
    source = _open(like.path)
    labels = labels.reshape(source.shape if len(source.shape) < 3 else source.shape[:3])
    if isinstance(source, nib.Nifti1Pair):  # the base of single files, pairs and NIfTI-2 alike
        nib.save(type(source)(labels, source.affine, _label_header(source, labels.dtype)), path)
    else:  # Analyze stores neither unsigned 16 bits nor an affine; the NIfTI pair has the same two files
        nib.save(nib.Nifti1Pair(labels, source.affine), path)


def write_mgh_label(path: Path, labels: np.ndarray, like: Header) -> None:
    """Write (X, Y, Z) unsigned labels with the header of the MGH file of `like`."""
    import nibabel as nib

    source = _open(like.path)
    stored = np.uint8 if labels.dtype == np.uint8 else np.int32  # MGH has no unsigned 16 bits
    header = source.header.copy()
    header.set_data_dtype(stored)
    nib.save(nib.MGHImage(labels.astype(stored), source.affine, header), path)


def _write_affine(path: Path, labels: np.ndarray, like: Header) -> None:
    """NIfTI in scanner coordinates, for an image of another format."""
    import nibabel as nib

    image = nib.Nifti1Image(labels, np.eye(4) if like.affine is None else like.affine)
    image.set_qform(_upright(image.affine), code="scanner")
    image.set_sform(image.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _upright(affine: np.ndarray) -> np.ndarray:
    """An affine, 4 x 4, with its third axis turned to a right angle with the plane of the others.

    A qform knows right angles only. Of a tilted scan it says what ITK makes of its DICOM files, which refuses
    to open a NIfTI without it; the sform says what is right.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    across = np.cross(affine[:3, 0], affine[:3, 1])
    across *= np.sign(across @ affine[:3, 2]) * lengths[2] / np.linalg.norm(across)
    return np.column_stack([affine[:, :2], np.append(across, 0.0), affine[:, 3]])


def _label_header(source: Any, dtype: np.dtype) -> Any:
    """The source's header, so that qform, sform and their codes stay as they are, fit for labels."""
    header = source.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header.set_data_offset(0)
    header.set_intent("none")
    header["cal_min"] = header["cal_max"] = 0
    header.extensions.clear()  # may hold the patient's DICOM header
    return header


def data_files(path: Path) -> list[Path]:
    """The file, or header and voxels of a pair."""
    if path.suffix.lower() not in PAIR:
        return [path]
    files = _open(path).file_map
    return list(dict.fromkeys(Path(files[name].filename) for name in ("header", "image")))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The image, to read its voxels from; afterwards the rest of a gzip file is read for its checksum."""
    source = _open(path)
    if not path.name.lower().endswith((".nii.gz", ".mgz")):
        yield source
        return
    holder = {name: type(part)(part.filename) for name, part in source.file_map.items()}
    with gzip.open(path) as stream:
        holder["image"].fileobj = stream
        yield type(source).from_file_map(holder, mmap=False)
        left = MOST_AFTER_VOXELS
        while left > 0 and (read := len(stream.read(1 << 16))):  # its end raises what is wrong
            left -= read


def _open(path: Path) -> Any:
    import nibabel as nib  # only here and where files are written: pictures need none of it

    header = path.with_suffix(".hdr")
    if path.name.lower().endswith(".img") and not (header.exists() or path.with_suffix(".HDR").exists()):
        raise DataError(f"{path}: its header {header.name} is missing; put it beside the data")
    _check_start(path)
    try:
        source: Any = nib.load(path, mmap=False)  # a mapped file could change under the array
    except FileNotFoundError:
        if not path.exists():
            raise
        ending = next(
            end for end in (*NIFTI.suffixes, *FREESURFER.suffixes) if path.name.lower().endswith(end)
        )
        raise DataError(  # which it looks for in small letters
            f"{path}: its ending mixes capital and small letters, which nibabel does not read; rename the "
            f"file to {path.name[: -len(ending)]}{ending}"
        ) from None
    if source.affine is None:
        raise DataError(f"{path}: has no affine; expected a header that places voxels in space")
    return source


def _check_start(path: Path) -> None:
    """Look at the header before nibabel, which reads all that precedes the voxels and mends sizes of 0."""
    import nibabel as nib
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as stream:
        start = stream.read(540)
    sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        length = kind.sizeof_hdr
        if length in sizes and len(start) >= length:
            _check_header(kind(start[:length], check=False), path)


def _check_header(header: Any, path: Path) -> None:
    offset = float(header["vox_offset"])
    if not offset <= MOST_BEFORE_VOXELS:
        raise DataError(
            f"{path}: the header says that voxels begin at byte {offset:.0f}; expected at most "
            f"{MOST_BEFORE_VOXELS:,}; the header is broken; save the image again"
        )
    nifti = bytes(header["magic"])[:2] in (b"n+", b"ni")
    if nifti and offset < header.sizeof_hdr and not path.name.lower().endswith(PAIR):
        raise DataError(  # nibabel takes 0 for right, and reads the header as the first voxels
            f"{path}: the header says that voxels begin at byte {offset:.0f}, which is within the header; "
            f"expected byte {header.single_vox_offset} or later; the header is broken; save the image again"
        )
    sizes = header["pixdim"][1 : 1 + min(3, max(0, int(header["dim"][0])))]
    if nifti and header["sform_code"] == 0 and not (sizes != 0).all():
        raise DataError(
            f"{path}: the header has voxels of size {size_text(sizes)}; expected "
            "the millimetres of each axis; correct the header"
        )


def _shape(source: Any, path: Path) -> tuple[int, ...]:
    """(X, Y, Z) or (X, Y, Z, C): missing axes filled with 1, axes of length 1 beyond the third dropped."""
    stored = tuple(int(size) for size in source.shape)
    shape = (*stored, 1, 1, 1)[: max(3, len(stored))]
    shape = (*shape[:3], *(size for size in shape[3:] if size != 1))
    if len(shape) > 4:
        raise DataError(f"{path}: shape {stored}; expected three axes, or four with channels last; split it")
    return shape


def _check_data_present(source: Any, path: Path) -> None:
    """Compare the header's claim with the size of the file, before anything is allocated."""
    data = Path(source.file_map["image"].filename or path)
    if not data.exists():
        raise DataError(f"{path}: its data file {data.name} is missing; put it beside the header")
    claimed = math.prod(map(int, source.shape)) * source.get_data_dtype().itemsize
    packed = data.suffix.lower() in (".gz", ".mgz", ".bz2", ".zst")
    check_promise(path, claimed, data.stat().st_size, packed=packed)


NIFTI = Format(
    name="NIfTI",
    listed="NIfTI (.nii, .nii.gz, .hdr/.img)",
    suffixes=(".nii.gz", ".nii", ".hdr", ".img"),
    package="nibabel",
    read_header=read_header,
    read_image=read_image,
    read_label=read_label,
    write_label=write_label,
    pair=PAIR,
    data_files=data_files,
)
FREESURFER = Format(
    name="FreeSurfer",
    listed=".mgz",
    suffixes=(".mgz", ".mgh"),
    package="nibabel",
    read_header=read_header,
    read_image=read_image,
    read_label=read_label,
    write_label=write_mgh_label,
    highest_label=2**31 - 1,
)
FORMATS = (NIFTI, FREESURFER)
