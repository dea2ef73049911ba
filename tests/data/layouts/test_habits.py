"""Names of the field pair; what fits twice is refused with both named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.layouts.habits import plain_name
from stampseg.data.layouts.pairing import labels_beside
from tests.cli.command import call
from tests.data.scans import write_volumes


def paired(folder: Path, images: list[str], labels: list[str], one: bool = False) -> dict[str, str]:
    """Label by image, of files with these names, which nothing is read from."""
    for part, names in (("images", images), ("images" if one else "masks", labels)):
        (folder / part).mkdir(exist_ok=True)
        for name in names:
            (folder / part / name).write_text(name)
    both = {"images": Path("images"), "masks": Path("images")} if one else {}
    found = find_dataset(folder, **both)
    assert found.warnings == () and not found.unlabelled
    return {case.images[0].name: case.label.name for case in found.cases if case.label is not None}


@pytest.mark.parametrize("image", ["{}.nii.gz", "{}.nrrd"])
@pytest.mark.parametrize(
    "label",
    [
        "{}.seg.nrrd", "{}-label.nrrd", "{}_seg.nii.gz", "{}-seg.nrrd", "{}_mask.nrrd", "{}_GT.nii.gz",
        "{} Segmentation.seg.nrrd", "{}_Segmentation.nrrd", "{}-labelmap.nrrd", "seg-{}.nrrd", "{}.nrrd",
    ],
)  # fmt: skip
def test_labels_of_slicer_and_others(image: str, label: str, tmp_path: Path) -> None:
    names = ["p1", "p2", "p2_1"]
    expected = {image.format(name): label.format(name) for name in names}
    assert paired(tmp_path, list(expected), list(expected.values())) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        {"p1_image.png": "p1_mask.png", "p2_image.png": "p2_mask.png"},
        {"p1_CT.nii.gz": "p1_seg.nii.gz", "p2_ct.nii.gz": "p2-label.nii.gz"},
        {"img_1.png": "mask_1.png", "img_2.png": "mask_2.png", "img_12.png": "mask_12.png"},
        {"image1.png": "label1.png", "image11.png": "label11.png"},
        {"volume-0.nii": "segmentation-0.nii", "volume-10.nii": "segmentation-10.nii"},
        {"p1_0000.nrrd": "p1.seg.nrrd", "p2_0000.nrrd": "p2.seg.nrrd"},
        {"p1.nii.gz": "p1.seg.nrrd", "p2.nii.gz": "p2-label.nrrd", "p3.nii.gz": "p3.nii.gz"},
        {"a.png": "a.png", "a_mask.png": "a_mask.png"},
    ],
)
def test_words_on_both_sides_and_several_endings(pairs: dict[str, str], tmp_path: Path) -> None:
    assert paired(tmp_path, list(pairs), list(pairs.values())) == pairs


@pytest.mark.parametrize(
    "pairs",
    [
        {"p1.nrrd": "p1.seg.nrrd", "p2.nrrd": "p2.seg.nrrd"},
        {"p1.nrrd": "p1.seg.nrrd", "p2.nrrd": "p2-label.nrrd"},
        {"p1_image.png": "p1_mask.png", "p2_image.png": "p2_mask.png"},
    ],
)
def test_both_in_one_folder(pairs: dict[str, str], tmp_path: Path) -> None:
    assert paired(tmp_path, list(pairs), list(pairs.values()), one=True) == pairs


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (["p1.nii.gz", "p2.nii.gz"], ["p1.nii.gz", "p1.seg.nrrd", "p2.nii.gz"], "p1.nii.gz, p1.seg.nrrd are"),
        (["p1.png"], ["p1_seg.png", "p1-label.png"], "ending in '-label' (1 file) or '_seg' (1 file)"),
        (
            ["p1.png", "p2.png", "p3.png", "p4.png"],
            ["p1_seg.png", "p2_seg.png", "p3_seg.png", "p4_mask.png", "p4.gt.png"],
            "p4.gt.png, p4_mask.png are all named as labels of p4",
        ),
        (["p1_CT.nii", "p1_MR.nii"], ["p1_seg.nii"], "p1_seg: fits two images by its name, p1_CT and p1_MR"),
        (["img_1.png"], ["mask_1.png", "label_1.png"], "label_1.png, mask_1.png are all named"),
    ],
)  # fmt: skip
def test_what_fits_twice_is_refused(images: list[str], labels: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        paired(tmp_path, images, labels)
    assert said in str(error.value) and "list the pairs in a CSV" in str(error.value)
    assert said in call("check", tmp_path, code=3).output


@pytest.mark.parametrize(
    ("stem", "name"),
    [("p1", "p1"), ("mask", "mask"), ("p1 Segmentation.seg", "p1"), ("maskara", "maskara"),
     ("p1_seg2", "p1_seg2"), ("Label_7", "7"), ("gt12", "12"), ("p_mask_1", "p_mask_1")],
)  # fmt: skip
def test_a_name_without_its_words(stem: str, name: str) -> None:
    assert plain_name(stem) == name


def test_volumes_with_labels_of_mixed_names_are_checked_as_pairs(tmp_path: Path) -> None:
    """What `check` counts; before, a label with another ending than most was left out."""
    data = write_volumes(tmp_path)
    for name, new in (("v0", "v0-label"), ("v1", "v1_seg"), ("v2", "v2_seg")):
        shutil.move(data / "labels" / f"{name}.nii.gz", data / "labels" / f"{new}.nii.gz")
    assert "5 labelled cases of 5 groups, 0 without a label" in call("check", data, "--no-timing").output


def test_many_files_in_a_folder_are_told_apart_by_their_names() -> None:
    """Each name is looked up, not held against every other: of 40,000 that would take hours."""
    scans = [Path(f"p{number:05d}_t1.png") for number in range(20_000)]
    drawn = [Path(f"p{number:05d}_t1_gmseg_manual.png") for number in range(20_000)]
    assert labels_beside([*scans, *drawn]) == drawn
