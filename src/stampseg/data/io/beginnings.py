"""What a file is by its first bytes, where it is not what its name says."""

from __future__ import annotations

from pathlib import Path

# First bytes, what they are of, the endings of files that rightly begin so, and what to do with another.
BEGINNINGS: tuple[tuple[bytes, str, tuple[str, ...], str], ...] = (
    (b"\x1f\x8b", "packed by gzip", (".gz", ".mgz"), "name it .nii.gz if it is NIfTI, else unpack it"),
    (b"BZh", "packed by bzip2", (), "unpack it"),
    (b"PK\x03\x04", "a ZIP archive", (), "unpack it"),
    (b"\x5c\x01\0\0", "NIfTI that is not packed", (".nii", ".hdr"), "name it .nii"),
    (b"\0\0\x01\x5c", "NIfTI that is not packed", (".nii", ".hdr"), "name it .nii"),
    (b"\x1c\x02\0\0", "NIfTI-2 that is not packed", (".nii", ".hdr"), "name it .nii"),
    (b"\x89PNG", "a PNG picture", (".png",), "name it .png"),
    (b"\xff\xd8\xff", "a JPEG picture", (".jpg", ".jpeg"), "name it .jpg"),
    (b"II*\0", "a TIFF", (".tif", ".tiff"), "name it .tif"),
    (b"MM\0*", "a TIFF", (".tif", ".tiff"), "name it .tif"),
    (b"NRRD", "an NRRD", (".nrrd", ".nhdr"), "name it .nrrd"),
    (b"ObjectType", "a MetaImage", (".mha", ".mhd"), "name it .mha"),
    (b"\x93NUMPY", "an array of NumPy", (), "save it as NIfTI"),
    (b"\x89HDF", "an HDF5 file", (), "save it as NIfTI"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the data", (), "fetch it with git lfs pull"),
    (b"<", "a web page or XML, as a server sends for an error", (), "download the file again"),
)


def told_by_start(path: Path) -> str | None:
    """What a file begins as and what to do, in words; None where that fits its name, or is not known."""
    try:
        with path.open("rb") as stream:
            start = stream.read(32)
    except OSError:
        return None
    if not start:
        return "it is empty; copy it again"
    for mark, kind, endings, advice in BEGINNINGS:
        if start.startswith(mark) and not path.name.lower().endswith(endings):
            return f"it begins as {kind}; {advice}"
    return None
