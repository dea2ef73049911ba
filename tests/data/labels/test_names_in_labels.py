"""Names that label files themselves have: Slicer's segments and DICOM-SEG, which number them as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.readers import read_names
from stampseg.data.io.segmentations import write_segmentation
from stampseg.data.labels.label_table import label_table
from tests.data.dicom_files import slices, values

SHAPE = (6, 5, 8)


def slicer(path: Path, *names: str, numbers: tuple[int, ...] = (1, 2)) -> Case:
    """A label of 3D Slicer's with two segments."""
    classes = np.zeros(SHAPE, np.uint8)
    classes[1:3, 1:3, 2:5], classes[3:5, 1:3, 2:5] = numbers
    volume = sitk.GetImageFromArray(classes.T.copy())
    for place, name in enumerate(names):
        volume.SetMetaData(f"Segment{place}_LabelValue", str(numbers[place]))
        volume.SetMetaData(f"Segment{place}_Name", name)
        volume.SetMetaData(f"Segment{place}_ID", f"Segment_{place + 1}")
    sitk.WriteImage(volume, str(path))
    return Case(path.stem, path.stem, (path,), path)


def dicom(folder: Path, name: str, *names: str) -> Case:
    slices(folder / name, values(SHAPE))
    classes = np.zeros(SHAPE, np.uint8)
    classes[1:3, 1:3, 2:5], classes[3:5, 1:3, 2:5] = 1, 2
    path = folder / f"{name}.dcm"
    write_segmentation(path, classes, folder / name, ("background", *names))
    return Case(name, name, (folder / name,), path)


def test_names_of_slicers_segments_are_taken(tmp_path: Path) -> None:
    case = slicer(tmp_path / "a.seg.nrrd", "left kidney", "Cyst", numbers=(3, 7))
    assert read_names(tmp_path / "a.seg.nrrd") == {3: "left kidney", 7: "Cyst"}
    table = label_table([case], {})
    assert (table.values, table.names) == ((0, 3, 7), ("background", "left kidney", "Cyst"))


def test_names_of_dicom_segments_are_taken(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    table = label_table(
        [dicom(tmp_path, "p0", "liver", "tumour"), dicom(tmp_path, "p1", "Liver", "tumour")], {}
    )
    assert table.names == ("background", "liver", "tumour")


def test_numbers_that_change_their_meaning_are_refused(tmp_path: Path) -> None:
    """Each person's segments in the order in which they were drawn."""
    cases = [
        slicer(tmp_path / "a.seg.nrrd", "liver", "spleen"),
        slicer(tmp_path / "b.seg.nrrd", "spleen", "liver"),
    ]
    said = (
        r"b\.seg\.nrrd: 1 is called spleen in it, and liver in .*a\.seg\.nrrd; .* number the segments alike"
    )
    with pytest.raises(DataError, match=said):
        label_table(cases, {})


def test_names_that_say_nothing_are_none(tmp_path: Path) -> None:
    cases = [
        slicer(tmp_path / "a.seg.nrrd", "Segment_1", "Segment 2"),
        slicer(tmp_path / "b.seg.nrrd", "liver", ""),
        slicer(tmp_path / "c.seg.nrrd"),
    ]
    assert label_table(cases, {}).names == ("background", "liver", "label_2")


def test_a_declared_name_comes_first(tmp_path: Path) -> None:
    case = slicer(tmp_path / "a.seg.nrrd", "Leber", "Milz")
    assert label_table([case], {1: "liver"}).names == ("background", "liver", "Milz")


def test_a_segment_without_a_voxel_has_no_say(tmp_path: Path) -> None:
    case = slicer(tmp_path / "a.seg.nrrd", "liver", "spleen", numbers=(1, 1))
    volume = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    volume.SetMetaData("Segment1_LabelValue", "2")
    sitk.WriteImage(volume, str(tmp_path / "a.seg.nrrd"))
    other = slicer(tmp_path / "b.seg.nrrd", "liver", "kidney")
    assert label_table([case, other], {}).names == ("background", "liver", "kidney")
