"""DICOM-SEG written and read back, by us and by highdicom, on the grid of the scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RTStructureSetStorage

from stampseg.core.errors import DataError, MissingPackageError
from stampseg.data.io import segmentations
from stampseg.data.io.formats import list_labels
from stampseg.data.io.frames import SEGMENTATIONS
from stampseg.data.io.placing import on_grid_of
from stampseg.data.io.readers import read_header, read_image, read_label, read_names
from stampseg.data.io.segmentations import is_segmentation, write_segmentation
from stampseg.data.io.volume import check_pair
from tests.data.dicom_files import AXIAL, SAGITTAL, enhanced, image, slices, values

highdicom = pytest.importorskip("highdicom")
NAMES = ("background", "liver", "tumour of the liver")
COS, SIN = float(np.cos(np.deg2rad(20))), float(np.sin(np.deg2rad(20)))
TILTED = {"orientation": (1, 0, 0, 0, COS, SIN), "step": (0, 0, 2)}
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
        TILTED,
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
    with pytest.raises(
        DataError, match=r"both\.dcm: segments [12] and [12] overlap; .*; correct their borders, or"
    ):
        read_label(tmp_path / "both.dcm")


def sparse(path: Path, classes: np.ndarray, series: Path, names: tuple[str, ...] = NAMES) -> Path:
    """A segmentation as other programs write it: frames of filled slices alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentations, "MOST_EMPTY", 0)
        write_segmentation(path, classes, series, names)
    return path


def few(*places: int) -> np.ndarray:
    """Classes in some slices alone."""
    classes = np.zeros_like(CLASSES)
    classes[1:4, 1:3, list(places)] = 1
    classes[2, 2, list(places)] = 2
    return classes


@pytest.mark.parametrize("how", [{}, {"orientation": SAGITTAL}, TILTED], ids=["axial", "sagittal", "tilted"])
@pytest.mark.parametrize("places", [(2, 3, 4), (1, 6), (0, 3, 6), (5,), (7, 2)])
def test_filled_slices_alone_are_put_where_they_lie(
    places: tuple[int, ...], how: dict, tmp_path: Path
) -> None:
    slices(tmp_path / "s", values(), **how)
    mask = sparse(tmp_path / "m.dcm", few(*places), tmp_path / "s")
    found = on_grid_of(read_label(mask), read_header([tmp_path / "s"]))
    np.testing.assert_array_equal(found.array, few(*places))


def test_slices_between_are_not_filled_where_the_file_does_not_say_that_they_are_empty(
    tmp_path: Path,
) -> None:
    slices(tmp_path / "s", values(), SliceThickness=4)  # twice their distance
    mask = sparse(tmp_path / "m.dcm", few(1, 3, 5), tmp_path / "s")
    source = pydicom.dcmread(mask)
    del source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    source.save_as(mask)
    with pytest.raises(DataError, match=r"m\.dcm: its slices lie 4 mm apart, those of its image .*s 2; exp"):
        on_grid_of(read_label(mask), read_header([tmp_path / "s"]))


def test_segments_in_another_order_of_slices_and_plane(tmp_path: Path) -> None:
    """A segmentation made on a copy of the image that was stored sagittal, for the axial one."""
    slices(tmp_path / "axial", values())
    last = (-30 + 5 * 0.8, 5.0, 100 + 7 * 2.0)  # sagittal slices run from left to right
    turned = values().transpose(1, 2, 0)[:, ::-1, ::-1]
    slices(tmp_path / "sagittal", turned, orientation=SAGITTAL, spacing=(0.9, 2.0, 0.8), origin=last)
    classes = np.ascontiguousarray(few(2, 3).transpose(1, 2, 0)[:, ::-1, ::-1])
    mask = sparse(tmp_path / "m.dcm", classes, tmp_path / "sagittal")
    found = on_grid_of(read_label(mask), read_header([tmp_path / "axial"]))
    np.testing.assert_array_equal(found.array, few(2, 3))


def test_segments_of_another_scan_are_refused(tmp_path: Path) -> None:
    slices(tmp_path / "s", values())
    slices(tmp_path / "t", values(), origin=(-30, 5, 106))
    mask = sparse(tmp_path / "m.dcm", few(2, 3, 6, 7), tmp_path / "t")
    with pytest.raises(
        DataError, match=r"m\.dcm: 50% of its segments' voxels lie beyond its image .*s; check"
    ):
        on_grid_of(read_label(mask), read_header([tmp_path / "s"]))


def _of_visits(folder: Path, *places: int) -> tuple[Path, Path]:
    """A scan, and segments in some slices of another visit of the same person at the same place."""
    slices(folder / "s", values(), FrameOfReferenceUID="1.2.3.5")
    slices(folder / "t", values(seed=1), FrameOfReferenceUID="1.2.3.6")
    return folder / "s", sparse(folder / "m.dcm", few(*places), folder / "t")


def test_segments_of_another_visit_are_refused(tmp_path: Path) -> None:
    series, mask = _of_visits(tmp_path, 2, 3)
    message = (
        r"m\.dcm: lies in another frame of reference .* 1\.2\.3\.6\) than its image .*s \(1\.2\.3\.5\), so"
    )
    with pytest.raises(DataError, match=message):
        on_grid_of(read_label(mask), read_header([series]))


def test_segments_of_another_visit_with_the_voxels_of_this_one_are_told(tmp_path: Path) -> None:
    series, mask = _of_visits(tmp_path, *range(8))
    found = on_grid_of(read_label(mask), read_header([series]))
    np.testing.assert_array_equal(found.array, few(*range(8)))
    (note,) = found.header.notes
    assert "m.dcm: lies in another frame of reference" in note and "check that it was drawn on it" in note


def test_segmentations_of_two_visits_are_not_read_together(tmp_path: Path) -> None:
    series, mask = _of_visits(tmp_path, 2, 3)
    mask.parent.joinpath("both").mkdir()
    mask.rename(tmp_path / "both" / "t.dcm")
    sparse(tmp_path / "both" / "s.dcm", few(5), series)
    with pytest.raises(DataError, match=r"both: s\.dcm and t\.dcm lie in different frames of reference \(Fr"):
        read_label(tmp_path / "both")


def _renumbered(path: Path, number: int) -> None:
    source = pydicom.dcmread(path)
    source.SegmentSequence[0].SegmentNumber = number
    for frame in (*source.SharedFunctionalGroupsSequence, *source.PerFrameFunctionalGroupsSequence):
        for identified in frame.get("SegmentIdentificationSequence", ()):
            identified.ReferencedSegmentNumber = number
    source.save_as(path)


def test_segmentations_of_one_study_are_read_together(tmp_path: Path) -> None:
    slices(tmp_path / "s", values())
    folder = tmp_path / "labels" / "p0"
    liver = (few(2, 3) == 1).astype(np.uint8)
    sparse(folder / "study" / "a" / "1.dcm", liver, tmp_path / "s", NAMES[:2])
    tumour = np.zeros_like(liver)
    tumour[4, 4, 5:7] = 1
    second = sparse(folder / "study" / "b" / "1.dcm", tumour, tmp_path / "s", ("background", "tumour"))
    with pytest.raises(
        DataError, match=r"p0: segment 1 is liver in 1\.dcm and tumour in 1\.dcm; expected a n"
    ):
        read_label(folder)
    _renumbered(second, 2)
    found = on_grid_of(read_label(folder), read_header([tmp_path / "s"]))
    np.testing.assert_array_equal(found.array, liver + 2 * tumour)
    assert read_names(folder) == {1: "liver", 2: "tumour"}
    assert [path.name for path in list_labels(tmp_path / "labels")] == ["p0"]


def test_segmentations_on_different_grids_are_refused(tmp_path: Path) -> None:
    slices(tmp_path / "s", values())
    slices(tmp_path / "t", values((7, 5, 8)))
    sparse(tmp_path / "m" / "a.dcm", few(2), tmp_path / "s")
    sparse(tmp_path / "m" / "b.dcm", (values((7, 5, 8)) % 3).astype(np.uint8), tmp_path / "t")
    with pytest.raises(
        DataError, match=r"m: a\.dcm and b\.dcm hold segments of different planes, sizes or pix"
    ):
        read_label(tmp_path / "m")


def test_segmentations_beside_each_other_are_refused(tmp_path: Path) -> None:
    slices(tmp_path / "s", values(), FrameOfReferenceUID="1.2.3.5")
    slices(tmp_path / "t", values(), origin=(-30.0, 6.8, 100.0), FrameOfReferenceUID="1.2.3.5")
    sparse(tmp_path / "m" / "a.dcm", few(1, 2), tmp_path / "s")
    sparse(tmp_path / "m" / "b.dcm", few(4, 5), tmp_path / "t")
    with pytest.raises(
        DataError, match=r"m: slices of segments do not lie on an even grid \(0\.\d+ voxels off\)"
    ):
        read_label(tmp_path / "m")


def test_contours_are_named(tmp_path: Path) -> None:
    image(
        tmp_path / "labels" / "p0" / "rs.dcm", values((7, 9)), series="1", sop_class=RTStructureSetStorage,
        Rows=None, Columns=None, PixelData=None, Modality="RTSTRUCT",
    )  # fmt: skip
    said = r"p0.*: no DICOM.* found \(rs\.dcm: RT Structure Set\); .*contours .* convert them to DICOM-SEG or"
    for path in (tmp_path / "labels" / "p0", tmp_path / "labels" / "p0" / "rs.dcm"):
        with pytest.raises(DataError, match=said):
            read_label(path)
        with pytest.raises(DataError, match=said):
            read_image([path])
    assert [path.name for path in list_labels(tmp_path / "labels")] == ["p0"]


def test_what_is_no_segmentation(tmp_path: Path) -> None:
    series, mask = written(tmp_path)
    assert is_segmentation(mask) and not is_segmentation(series / "00.dcm") and not is_segmentation(series)
    with pytest.raises(DataError, match=r"00\.dcm: is a DICOM image; expected a label: a DICOM-SEG, or conv"):
        read_label(series / "00.dcm")
    with pytest.raises(DataError, match=r"mask\.dcm: no DICOM series found"):
        read_image([mask])


@pytest.mark.parametrize("sop_class", sorted(SEGMENTATIONS))
def test_labels_beside_the_slices_are_no_slices(sop_class: str, tmp_path: Path) -> None:
    series, mask = written(tmp_path)
    source = pydicom.dcmread(mask)
    source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = sop_class
    source.save_as(series / "mask.dcm")
    np.testing.assert_array_equal(read_image([series]).array[0], values())


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
