"""Images and labels whose names say that they were taken differently."""

from __future__ import annotations

from pathlib import Path

import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.layouts.modalities import differ, modalities
from tests.data.layouts.trees import pairs, tree


@pytest.mark.parametrize(
    ("image", "label", "ours", "theirs"),
    [
        ("t1_{}.nii", "t2_seg_{}.nii", "t1", "t2"),
        ("ct_{}.nii", "mri_mask_{}.nii", "ct", "mri"),
        ("scan_us_{}.nii", "ct_mask_{}.nii", "us", "ct"),
        ("photo{}.jpg", "us{}_mask.png", "photo", "us"),
        ("p{}_CT.nii", "p{}_PET_seg.nii", "ct", "pet"),
        ("MR_T1_{}.nii", "MR_T2_{}_seg.nii", "t1", "t2"),
        ("p{}_T1w.nii", "p{}_T2Mask.nii", "t1w", "t2"),
        ("p{}_t1.nii", "p{}_t1ce_seg.nii", "t1", "t1ce"),
    ],
)
@pytest.mark.parametrize("folders", [("images/", "masks/"), ("", "")])
def test_labels_of_another_modality_are_refused(
    tmp_path: Path, image: str, label: str, ours: str, theirs: str, folders: tuple[str, str]
) -> None:
    names = folders[0] + image, folders[1] + label
    said = f"fits .* by its name but for {theirs}, where that of the image says {ours} .4 such pairs.; exp"
    where = {} if folders[0] else {"images": Path(), "masks": Path()}
    with pytest.raises(DataError, match=said):
        find_dataset(tree(tmp_path, *names), **where)
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["image,label", *(",".join(names).replace("{}", str(n)) for n in (1, 2, 3))]))
    assert len(find_dataset(table).cases) == 3


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("t1_{}", "t1w_seg_{}"),
        ("t1_{}", "mr_seg_{}"),
        ("MR_T1_{}", "mr_seg_{}"),
        ("T1_{}", "MR_T1_{}_seg"),
        ("p{}_T1", "p{}_mri_seg"),
        ("p{}_mr", "p{}_MRI_seg"),
        ("p{}_adc", "p{}_dwi_seg"),
        ("t2_flair_{}", "flair_seg_{}"),
        ("p{}_pet_ct", "p{}_ct_seg"),
        ("us_{}", "tumour_seg_{}"),
        ("t2_{}", "seg_{}"),
        ("t1_{}", "t1_{}_t2_seg"),
        ("{}", "{}_ct_seg"),
    ],
)
def test_labels_that_may_be_of_their_images_are_taken(tmp_path: Path, image: str, label: str) -> None:
    found = find_dataset(tree(tmp_path, f"images/{image}.nii", f"masks/{label}.nii"))
    assert len(found.cases) == 4 and not found.warnings and not found.unlabelled


@pytest.mark.parametrize(
    ("image", "label"), [("p{0}/t1", "p{0}/flair_seg"), ("images/p{}/ct", "labels/p{}/mr_seg")]
)
def test_labels_in_the_folder_of_a_case_are_told(tmp_path: Path, image: str, label: str) -> None:
    found = find_dataset(tree(tmp_path, f"{image}.nii", f"{label}.nii"))
    assert len(found.cases) == 4
    said = "labels that are called as of another modality than their image (4): "
    assert found.warnings[0].startswith(f"{said}{Path(label).name}.nii of {Path(image).name}.nii, ")


@pytest.mark.parametrize("label", ["seg", "adc_mask", "brain_mask"])
def test_cases_of_several_channels_are_as_before(tmp_path: Path, label: str) -> None:
    found = find_dataset(
        tree(tmp_path, "p{0}/p{0}_t1.nii", "p{0}/p{0}_flair.nii", f"p{{0}}/p{{0}}_{label}.nii")
    )
    assert found.channel_names == ("flair", "t1") and not found.warnings


def test_a_label_of_one_of_several_images(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, "p{}/t1.nii", "p{}/flair.nii", "p{}/flair_seg.nii"))
    assert pairs(found)["p1/flair.nii"] == ["p1/flair_seg.nii"]


def test_folders_that_are_called_so_are_told(tmp_path: Path) -> None:
    found = find_dataset(tree(tmp_path, "CT/p{}.nii", "MR_labels/p{}.nii"))
    assert len(found.cases) == 4 and "CT and MR_labels are called as of two modalities" in found.warnings[0]
    assert not find_dataset(tmp_path, images=Path("CT"), masks=Path("MR_labels")).warnings


@pytest.mark.parametrize("labels", ["masks/p{}_ct.nii", "masks/p{}_ct.nii masks/p{}_mr.nii"])
def test_images_of_two_modalities_are_told(tmp_path: Path, labels: str) -> None:
    found = find_dataset(tree(tmp_path, "images/p{}_ct.nii", "images/p{}_mr.nii", *labels.split()))
    assert "several modalities (ct: 4, mr: 4), which are learnt as one kind; if" in found.warnings[-1]


@pytest.mark.parametrize(
    ("name", "words"),
    [("T1w_07", "t1w"), ("us7", "us"), ("CTMask", "ct"), ("t1Mask", "t1"), ("bus_photo", "photo"),
     ("t12", ""), ("direct", ""), ("p1_T2-FLAIR", "flair t2")],
)  # fmt: skip
def test_words_of_names(name: str, words: str) -> None:
    assert modalities(name) == set(words.split())


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("t1", "t2", True), ("t1", "mr", False), ("t1", "t1 flair", False), ("us t1", "us flair", True),
     ("ct", "", False)],
)  # fmt: skip
def test_what_differs(one: str, other: str, apart: bool) -> None:
    assert differ(set(one.split()), set(other.split())) is apart is differ({*other.split()}, {*one.split()})
