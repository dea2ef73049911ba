"""Labels with voxels of their own: brought to the image in training, and told; parts of organs together."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.io.placing import is_on_lattice, on_grid_of
from stampseg.data.io.readers import read_header, read_label
from stampseg.data.labels.organs import read_label_files, read_label_header
from stampseg.data.own_grids import own_grids
from tests.cli.command import QUICK, call
from tests.data.scans import disc

SHAPE, SPACING = (16, 18, 14), (1.0, 2.0, 3.0)


def save(
    path: Path, array: np.ndarray, first: tuple[float, ...] = (0, 0, 0), spacing: tuple[float, ...] = SPACING
) -> Path:
    """Voxels of which the first lies at voxel `first` of the image."""
    path.parent.mkdir(exist_ok=True, parents=True)
    volume = sitk.GetImageFromArray(array.T.copy())
    volume.SetSpacing(spacing)
    volume.SetOrigin([n * size for n, size in zip(first, SPACING, strict=True)])
    sitk.WriteImage(volume, str(path))
    return path


def scans(folder: Path, finer: int) -> Path:
    """Five cases with labels cut to a box, of which the first `finer` have voxels of half the size."""
    rng = np.random.default_rng(0)
    for number in range(5):
        image, mask = disc(rng, SHAPE)
        save(folder / "images" / f"p{number}.nrrd", image.astype(np.float32))
        part = mask[1:-1, 1:-1, 1:-1].astype(np.uint8)
        if number < finer:
            fine, half = part.repeat(2, 0).repeat(2, 1).repeat(2, 2), tuple(size / 2 for size in SPACING)
            save(folder / "labels" / f"p{number}.seg.nrrd", fine, (0.75,) * 3, half)
        else:
            save(folder / "labels" / f"p{number}.seg.nrrd", part, (1, 1, 1))
    return folder


def test_check_names_labels_that_are_resampled(tmp_path: Path) -> None:
    data = scans(tmp_path, finer=2)
    findings = json.loads(call("check", data, "--json", "--no-timing").stdout)["findings"]
    (found,) = [one for one in findings if one["code"] == "grid"]
    assert found["severity"] == "warning"
    assert found["files"] == [str(data / "labels" / f"p{number}.seg.nrrd") for number in range(2)]
    assert found["found"] == (
        f"{data}/labels/p0.seg.nrrd: 28 x 32 x 24 voxels of 0.5 x 1 x 1.5 mm, the first at (-0.75, -1.5, "
        f"2.25), but its image {data}/images/p0.nrrd has 16 x 18 x 14 voxels of 1 x 2 x 3 mm, the first at "
        "(0, 0, 0); each voxel of the image takes the label nearest to its middle, as of 1 other label"
    )


def test_labels_that_are_only_cut_are_no_finding(tmp_path: Path) -> None:
    data = scans(tmp_path, finer=0)
    assert own_grids(find_dataset(data).cases) is None
    findings = json.loads(call("check", data, "--json", "--no-timing").stdout)["findings"]
    assert not [one for one in findings if one["code"] == "grid"]


def test_training_says_so(tmp_path: Path) -> None:
    data = scans(tmp_path / "data", finer=1)
    call("train", data, "-o", tmp_path / "run", "--method", "dense", *QUICK, "--steps", "2")
    notes = [json.loads(line) for line in (tmp_path / "run" / "notes.jsonl").read_text().splitlines()]
    (found,) = [note for note in notes if "p0.seg.nrrd: 28 x 32 x 24 voxels" in note["text"]]
    assert found["level"] == "warning" and "thin structures may be lost" in found["text"]


@pytest.mark.parametrize(
    ("first", "spacing", "same"),
    [((3, 2, 1), SPACING, True), ((-4, 0, 9), SPACING, True), ((0.5, 0, 0), SPACING, False),
     ((0, 0, 0), (1, 2, 1.5), False), ((0, 0, 0), (1, 2, 6), False), ((0.01, 0, 0), SPACING, True)],
)  # fmt: skip
def test_the_lattice_is_that_of_whole_voxels(
    first: tuple[float, ...], spacing: tuple[float, ...], same: bool, tmp_path: Path
) -> None:
    image = save(tmp_path / "i.nrrd", np.zeros(SHAPE, np.float32))
    label = save(tmp_path / "l.seg.nrrd", np.ones((5, 4, 3), np.uint8), first, spacing)
    assert is_on_lattice(read_header([label]), read_header([image])) is same


def test_a_part_of_an_image_without_a_place_is_refused(tmp_path: Path) -> None:
    """Programs differ in where such an image lies, and the label was put at a place of our choice."""
    bare = nib.Nifti1Image(np.zeros(SHAPE, np.float32), None)
    bare.header["qform_code"] = bare.header["sform_code"] = 0
    bare.to_filename(tmp_path / "i.nii.gz")
    label = read_label(save(tmp_path / "l.seg.nrrd", np.ones((5, 4, 3), np.uint8), (3, 2, 1), (1, 1, 1)))
    with pytest.raises(DataError, match=r"l\.seg\.nrrd: 5 x 4 x 3 voxels, a part of its image .*i\.nii\.gz"):
        on_grid_of(label, read_header([tmp_path / "i.nii.gz"]))


def test_organs_cut_to_boxes_are_one_label(tmp_path: Path) -> None:
    """The second was cut to the box of the first."""
    whole = np.zeros(SHAPE, np.uint8)
    whole[3:6, 4:7, 5:8], whole[8:12, 9:15, 2:5] = 1, 2
    image = save(tmp_path / "i.nrrd", whole.astype(np.float32))
    first = save(tmp_path / "a" / "p.seg.nrrd", (whole == 1)[3:6, 4:7, 5:8].astype(np.uint8), (3, 4, 5))
    second = save(tmp_path / "b" / "p.seg.nrrd", (whole == 2)[8:12, 9:15, 2:5].astype(np.uint8), (8, 9, 2))
    label = read_label_files((first, second))
    assert label.header.shape == read_label_header((first, second)).shape == (9, 11, 6)
    np.testing.assert_array_equal(on_grid_of(label, read_header([image])).array, whole)
    other = save(tmp_path / "c" / "p.seg.nrrd", np.ones((4, 4, 4), np.uint8), (3.5, 4, 5))
    with pytest.raises(DataError, match=r"c/p.seg.nrrd: 4 x 4 x 4 .* its neighbour .* expected one grid"):
        read_label_files((first, other))


def test_a_box_full_of_its_segment_has_background_around_it(tmp_path: Path) -> None:
    """Where no box held a 0, the segment was taken for the background, or 0 for a stray value."""
    data = scans(tmp_path, finer=0)
    for number in range(5):
        save(data / "labels" / f"p{number}.seg.nrrd", np.ones((6, 7, 5), np.uint8), (4, 5, 3))
    found = json.loads(call("check", data, "--json", "--no-timing").stdout)
    assert found["labels"] == {"0": "background", "1": "foreground"} and not found["errors"]
