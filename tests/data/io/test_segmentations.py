"""DICOM-SEG written and read back, by us and by highdicom, on the grid of the scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from stampseg.core.errors import DataError, MissingPackageError
from stampseg.data.io import segmentations
from stampseg.data.io.readers import read_header, read_image, read_label
from stampseg.data.io.segmentations import is_segmentation, write_segmentation
from stampseg.data.io.volume import check_pair
from tests.data.dicom_files import AXIAL, SAGITTAL, enhanced, image, slices, values

highdicom = pytest.importorskip("highdicom")
NAMES = ("background", "liver", "tumour of the liver")
COS, SIN = float(np.cos(np.deg2rad(20))), float(np.sin(np.deg2rad(20)))
CLASSES = (values(seed=5) % 3).astype(np.uint8)


def written(folder: Path, classes: np.ndarray = CLASSES, **how: object) -> tuple[Path, Path]:
    """A series and its segmentation."""
    slices(folder / "s", values(classes.shape), **how)
    write_segmentation(folder / "mask.dcm", classes, folder / "s", NAMES)
    return folder / "s", folder / "mask.dcm"


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"orientation": SAGITTAL},
        {"orientation": (0.96, 0.28, 0, -0.28, 0.96, 0)},
        {"orientation": (1, 0, 0, 0, COS, SIN), "step": (0, 0, 2)},
    ],
    ids=["axial", "sagittal", "oblique", "tilted"],
)
def test_voxels_and_grid_are_the_scans(tmp_path: Path, how: dict) -> None:
    series, mask = written(tmp_path, **how)
    label = read_label(mask)
    np.testing.assert_array_equal(label.array, CLASSES)
    np.testing.assert_allclose(label.header.affine, read_header([series]).affine, atol=1e-3)
    check_pair(read_header([series]), read_header([mask]))


def test_highdicom_reads_the_same(tmp_path: Path) -> None:
    _, mask = written(tmp_path)
    volume = highdicom.seg.segread(mask).get_volume(combine_segments=True)
    corner = volume.affine @ [7, 0, 0, 1]  # its slices run from the top, in LPS
    np.testing.assert_array_equal(volume.array[::-1].T, CLASSES)
    np.testing.assert_allclose(corner[:3], (-30, 5, 100), atol=1e-3)
    source = pydicom.dcmread(mask)
    assert [segment.SegmentLabel for segment in source.SegmentSequence] == list(NAMES[1:])
    image = pydicom.dcmread(tmp_path / "s" / "00.dcm")
    assert (source.StudyInstanceUID, source.PatientID) == (image.StudyInstanceUID, image.PatientID)
    assert image.SeriesInstanceUID == source.ReferencedSeriesSequence[0].SeriesInstanceUID


def test_frames_of_one_file(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "e.dcm", [values()], [1.0], [3, 1, 2, 0, 7, 6, 5, 4])
    write_segmentation(tmp_path / "mask.dcm", CLASSES, path, NAMES)
    np.testing.assert_array_equal(read_label(tmp_path / "mask.dcm").array, CLASSES)


def test_slices_without_a_segment_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentations, "MOST_EMPTY", 0)
    classes = np.zeros_like(CLASSES)
    classes[1:3, 2, 2], classes[1, 1, 5] = 1, 2
    series, mask = written(tmp_path, classes)
    label = read_label(mask)
    np.testing.assert_array_equal(label.array, classes[:, :, 2:6])
    place = read_header([series]).affine @ [0, 0, 2, 1]
    np.testing.assert_allclose(label.header.affine[:3, 3], place[:3], atol=1e-3)
    assert label.header.spacing == pytest.approx((0.8, 0.9, 2.0))


def test_an_empty_mask(tmp_path: Path) -> None:
    _, mask = written(tmp_path, np.zeros_like(CLASSES))
    assert read_label(mask).array.shape == CLASSES.shape and not read_label(mask).array.any()


def test_segments_that_overlap_are_refused(tmp_path: Path) -> None:
    series, mask = written(tmp_path)
    made = highdicom.seg.segread(mask)
    both = np.ones((8, 5, 6, 2), np.uint8)
    sources = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    for source in sources:
        source.FrameOfReferenceUID = source.SeriesInstanceUID
        for keyword in segmentations.REQUIRED:
            source.setdefault(keyword, None)
    uids = [highdicom.UID() for _ in range(2)]
    segments = made.SegmentSequence
    other = highdicom.seg.Segmentation(
        sources, both, "BINARY", segments, uids[0], 1, uids[1], 1, "a", "b", "1", "0"
    )
    other.save_as(tmp_path / "both.dcm")
    with pytest.raises(DataError, match=r"both\.dcm: segments [12] and [12] overlap; expected one class per"):
        read_label(tmp_path / "both.dcm")


def test_what_is_no_segmentation(tmp_path: Path) -> None:
    series, mask = written(tmp_path)
    assert is_segmentation(mask) and not is_segmentation(series / "00.dcm") and not is_segmentation(series)
    with pytest.raises(DataError, match=r"00\.dcm: is a DICOM image; expected a label: a DICOM-SEG, or conv"):
        read_label(series / "00.dcm")
    with pytest.raises(DataError, match=r"mask\.dcm: no DICOM series found"):
        read_image([mask])


def test_a_picture_has_none(tmp_path: Path) -> None:
    path = image(tmp_path / "a.dcm", values((7, 9)), series="1", Modality="DX")
    with pytest.raises(DataError, match=r"a\.dcm: is a picture; DICOM-SEG needs slices that lie in space"):
        write_segmentation(tmp_path / "m.dcm", np.zeros((7, 9), np.uint8), path, NAMES)


def test_without_highdicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices(tmp_path / "s", values(), orientation=AXIAL)
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(MissingPackageError, match=r"writing DICOM-SEG needs highdicom, .*pip install highdi"):
        write_segmentation(tmp_path / "m.dcm", CLASSES, tmp_path / "s", NAMES)
    assert not (tmp_path / "m.dcm").exists()
