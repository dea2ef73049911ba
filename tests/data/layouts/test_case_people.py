"""Whose folders of cases are, and what public data sets and habits add to a folder for each case."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.layouts.case_people import names_and_people
from stampseg.evaluation.folders import evaluate_folder
from tests.data.dicom_files import slices


def touch(*paths: Path) -> None:
    """Files that differ, and are not read."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))


def pair(folder: Path, image: str = "ct", label: str = "seg") -> None:
    touch(folder / f"{image}.nii.gz", folder / f"{label}.nii.gz")


def of_people(root: Path) -> dict[str, str]:
    return {case.id: case.group for case in find_dataset(root).cases}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ("p1/2019 p1/2020 p2/2019 p2/2021", "p1_2019:p1 p1_2020:p1 p2_2019:p2 p2_2021:p2"),
        ("p1/2019-02-03 p1/2020-01-01 p1/2021-01-01", "p1_2019-02-03:p1 p1_2020-01-01:p1 p1_2021-01-01:p1"),
        ("2019/p1 2020/p1 2020/p2", "2019_p1:p1 2020_p1:p1 p2:p2"),
        ("p1/p1_a p1/p1_b p1/p1_c p2/p2_a", "p1_a:p1 p1_b:p1 p1_c:p1 p2_a:p2"),
        ("p1/x p1/y p2/z p2/w p3/v", "p1_x:p1 p1_y:p1 p2_z:p2 p2_w:p2 p3_v:p3"),
        ("p1/v1 p1/v2 p1/v3 p2/v1", "p1_v1:p1 p1_v2:p1 p1_v3:p1 p2_v1:p2"),
        ("train/p1 train/p2 test/p1", "train_p1:p1 p2:p2 test_p1:p1"),
        ("HGG/a HGG/b HGG/c LGG/d", "a:a b:b c:c d:d"),
        ("A/a1/v1 A/a1/v2 A/a2/v1 B/b1/v1", "a1_v1:a1 a1_v2:a1 a2_v1:a2 b1_v1:b1"),
        ("p1 backup/p1", "p1:p1 backup_p1:p1"),
        ("20190101 20200101", "20190101:20190101 20200101:20200101"),
        ("normal_01 normal_02", "normal_01:normal_01 normal_02:normal_02"),
        ("train/test01 train/test02", "test01:test01 test02:test02"),
        (
            "patient1/patient1_1 patient1/patient1_2 patient2/patient2_1",
            "patient1_1:patient1 patient1_2:patient1 patient2_1:patient2",
        ),
        (
            "subj1/subject_v1 subj1/subject_v2 subj2/subject_v1",
            "subj1_subject_v1:subj1 subj1_subject_v2:subj1 subj2_subject_v1:subj2",
        ),
        (
            "A/patient1 A/patient2 A/patient3 B/patient4",
            "patient1:patient1 patient2:patient2 patient3:patient3 patient4:patient4",
        ),
    ],
)
def test_nobody_is_two_people(places: str, expected: str) -> None:
    found = names_and_people([tuple(place.split("/")) for place in places.split()])
    assert " ".join(f"{name}:{person}" for name, person in found) == expected


def test_visits_of_a_person_whose_dates_are_not_all_those_of_others(tmp_path: Path) -> None:
    for place in ("p1/2019", "p1/2020", "p2/2019", "p2/2021"):
        pair(tmp_path / place)
    assert of_people(tmp_path) == {"p1_2019": "p1", "p1_2020": "p1", "p2_2019": "p2", "p2_2021": "p2"}


def test_an_umlaut_in_two_ways_is_one_person(tmp_path: Path) -> None:
    for side, form in (("train", "NFC"), ("test", "NFD")):
        pair(tmp_path / side / unicodedata.normalize(form, "Müller"))
    assert of_people(tmp_path) == {"test_Müller": "Müller", "train_Müller": "Müller"}


def test_parts_of_the_data_that_may_be_persons_are_told(tmp_path: Path) -> None:
    for site, number in (("Oslo", 0), ("Oslo", 1), ("Bergen", 20)):
        pair(tmp_path / site, f"Case{number:02d}", f"Case{number:02d}_segmentation")
    (warning,) = find_dataset(tmp_path).warnings
    assert "taken as one person's (Bergen: 1, Oslo: 2); if not, say who is who: `group_regex` '.+'" in warning
    assert len({case.group for case in find_dataset(tmp_path, group_regex=".+").cases}) == 3


class TestBids:
    def test_rawdata_and_previews(self, tmp_path: Path) -> None:
        for i in (4, 5):
            name = f"sub-verse{i:03d}"
            touch(tmp_path / "rawdata" / name / f"{name}_ct.nii.gz")
            pair(tmp_path / "derivatives" / name, f"{name}_ctd", f"{name}_seg-vert_msk")
            touch(tmp_path / "derivatives" / name / f"{name}_seg-vert_snp.png")
        found = find_dataset(tmp_path)
        assert [(case.id, case.label.name) for case in found.cases if case.label] == [
            (f"sub-verse{i:03d}", f"sub-verse{i:03d}_seg-vert_msk.nii.gz") for i in (4, 5)
        ]
        assert [case.id for case in find_inputs([tmp_path], 1)] == ["sub-verse004", "sub-verse005"]

    def test_a_label_by_the_entities_of_its_image(self, tmp_path: Path) -> None:
        for direction in ("ax", "sag"):
            touch(tmp_path / "sub-1" / f"sub-1_dir-{direction}_ct.nii.gz")
            touch(tmp_path / "derivatives" / "sub-1" / f"sub-1_dir-{direction}_seg-vert_msk.nii.gz")
        touch(
            tmp_path / "sub-2" / "sub-2_ct.nii.gz",
            tmp_path / "derivatives" / "sub-2" / "sub-2_seg-vert_msk.nii.gz",
        )
        assert of_people(tmp_path) == {
            "sub-1_dir-ax_ct": "sub-1", "sub-1_dir-sag_ct": "sub-1", "sub-2_ct": "sub-2",
        }  # fmt: skip
        assert len(find_inputs([tmp_path], 1)) == 3

    def test_labels_beside_the_images_in_folders_of_sites(self, tmp_path: Path) -> None:
        for site in ("R001", "R002"):
            for number in (1, 2):
                name = f"sub-{site.lower()}s{number:03d}_ses-1"
                place = tmp_path / "Training" / site / name[:13].removesuffix("_") / "ses-1" / "anat"
                pair(place, f"{name}_T1w", f"{name}_label-L_desc-T1lesion_mask")
        touch(tmp_path / "Testing" / "R003" / "sub-r003s001" / "sub-r003s001_ses-1_T1w.nii.gz")
        found = find_dataset(tmp_path)
        assert len(found.cases) == 4 and [case.id for case in found.unlabelled] == ["sub-r003s001_ses-1"]
        assert {case.group for case in found.cases} == {
            f"sub-r00{site}s00{number}" for site in (1, 2) for number in (1, 2)
        }

    def test_subjects_of_one_name_in_two_data_sets_are_one_person(self, tmp_path: Path) -> None:
        for site in ("a", "b"):
            pair(tmp_path / site / "sub-1", "sub-1_T1w", "sub-1_mask")
        assert of_people(tmp_path) == {"a_sub-1": "sub-1", "b_sub-1": "sub-1"}

    def test_two_kinds_of_derivatives_are_told_what_to_do(self, tmp_path: Path) -> None:
        touch(tmp_path / "sub-1" / "sub-1_T2w.nii.gz")
        for kind in ("labels", "softseg"):
            touch(tmp_path / "derivatives" / kind / "sub-1" / f"sub-1_T2w_label-{kind}_seg.nii.gz")
        with pytest.raises(DataError, match=r"; name the folder of one kind with `masks`;"):
            find_dataset(tmp_path)
        assert len(find_dataset(tmp_path, masks=Path("derivatives/labels")).cases) == 1

    def test_folders_called_as_subjects_alone(self, tmp_path: Path) -> None:
        for i in (1, 2):
            pair(tmp_path / f"sub-{i}")
        assert of_people(tmp_path) == {"sub-1": "sub-1", "sub-2": "sub-2"}


def test_a_label_in_front_in_capital_letters_is_of_its_image(tmp_path: Path) -> None:
    for i in (1, 2):
        pair(tmp_path / f"p{i}", "t1", "Seg_T1")
        touch(tmp_path / f"p{i}" / "t2.nii.gz")
    assert of_people(tmp_path) == {"p1_t1": "p1", "p2_t1": "p2"}


def test_files_of_one_name_but_for_capital_letters_are_told(tmp_path: Path) -> None:
    for i in (1, 2):
        pair(tmp_path / f"p{i}", "FLAIR")
        touch(tmp_path / f"p{i}" / "flair.nii", tmp_path / f"p{i}" / "t1.nii.gz")
    found = find_dataset(tmp_path)
    assert found.channel_names == ("FLAIR", "t1")
    assert "another has the same name (2): flair.nii, flair.nii" in found.warnings[0]


class TestScansToPredict:
    def test_a_picture_beside_folders_of_volumes_is_none(self, tmp_path: Path) -> None:
        for i in (1, 2):
            pair(tmp_path / f"p{i}")
        touch(tmp_path / "README.png", tmp_path / "__MACOSX" / "p1" / "._ct.nii.gz", tmp_path / ".DS_Store")
        assert [case.images[0].name for case in find_inputs([tmp_path], 1)] == ["ct.nii.gz"] * 2

    def test_no_study_is_left_out_where_another_has_a_label(self, tmp_path: Path) -> None:
        for i in (1, 2):
            slices(tmp_path / f"p{i}" / "DICOM", np.arange(64).reshape(4, 4, 4) + i)
        touch(tmp_path / "p2" / "seg.nii.gz")
        assert [case.id for case in find_inputs([tmp_path], 1)] == ["p1", "p2"]
        touch(tmp_path / "p2" / "preview.png")
        (tmp_path / "p2" / "seg.nii.gz").unlink()
        assert [case.id for case in find_inputs([tmp_path], 1)] == ["p1", "p2"]

    def test_labels_in_folders_called_so_are_none(self, tmp_path: Path) -> None:
        for name in ("a_0", "a_1"):
            touch(tmp_path / "CXR_png" / f"{name}.png")
            for side in ("leftMask", "rightMask"):
                touch(tmp_path / "ManualMask" / side / f"{name}.png")
        assert [case.id for case in find_inputs([tmp_path], 1)] == ["a_0", "a_1"]

    @pytest.mark.parametrize("folders", [("imagesTr", "labelsTs"), ("images", "1st_manual")])
    def test_folders_beside_those_of_images_are_no_cases(
        self, tmp_path: Path, folders: tuple[str, str]
    ) -> None:
        touch(*(tmp_path / folder / f"{name}.png" for folder in folders for name in "ab"))
        with pytest.raises(DataError, match=f"no image found; .*name one of its folders: .*{folders[0]}"):
            find_inputs([tmp_path], 1)

    def test_a_file_alone_beside_folders_of_images_is_refused(self, tmp_path: Path) -> None:
        for i in (60, 61):
            touch(*(tmp_path / f"{i}" / name for name in ("pre/FLAIR.nii.gz", "pre/T1.nii.gz", "wmh.nii.gz")))
        with pytest.raises(DataError, match=r"wmh.nii.gz: lies beside pre with more images, .*; name the"):
            find_inputs([tmp_path], 1)
        with pytest.raises(DataError, match=r"lies beside pre with more images: where it is the label"):
            find_dataset(tmp_path)

    def test_a_label_in_a_folder_of_its_own_is_none(self, tmp_path: Path) -> None:
        for i in (1, 2):
            touch(tmp_path / f"p{i}" / "t1" / "t1.nii.gz", tmp_path / f"p{i}" / "seg" / "seg.nii.gz")
        assert [case.id for case in find_inputs([tmp_path], 1)] == ["p1_t1", "p2_t1"]

    def test_channels_have_one_order_in_any_letters(self, tmp_path: Path) -> None:
        for i, names in ((1, ("FLAIR", "T1")), (2, ("T1", "flair"))):
            touch(*(tmp_path / f"p{i}" / f"{name}.nii.gz" for name in names))
        for case in find_inputs([tmp_path], 2):
            assert [path.name.lower() for path in case.images] == ["flair.nii.gz", "t1.nii.gz"]


@pytest.mark.parametrize("name", ["TumorMask", "patient_brainmask", "tumorSeg"])
def test_a_mask_beside_the_label_is_no_channel(tmp_path: Path, name: str) -> None:
    for i in (1, 2):
        pair(tmp_path / f"p{i}")
        touch(tmp_path / f"p{i}" / f"{name}.nii.gz")
    with pytest.raises(DataError, match=f"({name}.nii.gz and seg|seg.nii.gz and {name}).* both called as"):
        find_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["predictions", "results"])
def test_masks_called_as_the_cases_are_no_scans(tmp_path: Path, folder: str) -> None:
    for i in (1, 2):
        pair(tmp_path / f"p{i}")
    touch(tmp_path / folder / "p1.nii.gz")
    assert not find_dataset(tmp_path).unlabelled
    assert [case.id for case in find_inputs([tmp_path], 1)] == ["p1", "p2"]


def test_a_label_beside_several_series_is_refused(tmp_path: Path) -> None:
    for series in ("s1", "s2"):
        slices(tmp_path / "p1" / "DICOM" / series, np.arange(64).reshape(4, 4, 4))
    touch(tmp_path / "p1" / "seg.nii.gz")
    pair(tmp_path / "p2")
    for find in (find_dataset, lambda path: find_inputs([path], 1)):
        with pytest.raises(DataError, match=r"DICOM: holds 2 series, s1, s2; expected one"):
            find(tmp_path)


def test_two_places_of_labels_are_refused(tmp_path: Path) -> None:
    for name in ("21", "22"):
        touch(tmp_path / "images" / f"{name}_training.tif", tmp_path / "mask" / f"{name}_training_mask.tif")
        touch(tmp_path / "1st_manual" / f"{name}_manual1.gif")
    with pytest.raises(DataError, match=r"mask and 1st_manual could all be meant; name one with `masks`"):
        find_dataset(tmp_path)


def test_images_and_labels_in_the_folder_itself(tmp_path: Path) -> None:
    touch(*(tmp_path / f"{kind}-{i}.nii" for kind in ("volume", "segmentation") for i in range(2)))
    assert len(find_dataset(tmp_path).cases) == 2
    assert len(find_dataset(tmp_path, images=Path(), masks=Path()).cases) == 2
    touch(tmp_path / "labels" / "volume-0.nii")
    with pytest.raises(DataError, match=r"its own files are images and labels, give \. as `images` and"):
        find_dataset(tmp_path)


def test_images_and_labels_that_names_do_not_tell_apart_are_listed_in_a_csv(tmp_path: Path) -> None:
    """Who was told to name the folder for both, as above, was then told that nothing pairs."""
    touch(*(tmp_path / f"{kind}_half.nii" for kind in ("ct", "liver")))
    advice = r"list them in a CSV and give that as DATA: a line image,label and below it"
    for named in (None, Path()):
        with pytest.raises(DataError, match=advice) as caught:
            find_dataset(tmp_path, images=named, masks=named)
        assert "give . as" not in str(caught.value)
    table = tmp_path / "cases.csv"
    table.write_text("image,label\nct_half.nii,liver_half.nii\n")
    assert [case.id for case in find_dataset(table).cases] == ["ct_half"]


def test_masks_of_organs_among_the_images_are_told_what_to_do(tmp_path: Path) -> None:
    touch(*(tmp_path / "p1" / f"{name}.nii.gz" for name in ("ct", "liver_seg", "spleen_seg")))
    with pytest.raises(DataError, match=r"of another organ put all into a folder segmentations/ of the case"):
        find_dataset(tmp_path)


def test_a_mask_belongs_to_the_person_it_is_called_as(tmp_path: Path) -> None:
    for i in (1, 2):
        mask = np.zeros((8, 8, 4), np.uint8)
        mask[i : i + 4, 2:6, 1:3] = 1
        touch(tmp_path / "data" / f"p{i}" / "t1.nii.gz")
        nib.save(nib.Nifti1Image(mask, np.eye(4)), tmp_path / "data" / f"p{i}" / "t1_seg.nii.gz")
    (tmp_path / "masks").mkdir()
    shutil.copy(tmp_path / "data" / "p1" / "t1_seg.nii.gz", tmp_path / "masks" / "p1_t1.nii.gz")
    found = evaluate_folder(tmp_path / "masks", tmp_path / "data")
    assert [row.dice for row in found.rows] == [1.0]


def test_predictions_are_no_labels(tmp_path: Path) -> None:
    for i in range(3):
        touch(tmp_path / "flat" / f"{i}.png", tmp_path / "flat" / f"{i}_pred.png")
        for folder in ("pred_masks", "predicted_masks", "mask_overlays"):
            touch(tmp_path / folder / "images" / f"{i}.png", tmp_path / folder / folder / f"{i}.png")
        for kind in ("images", "predicted_masks"):
            touch(tmp_path / "cases" / f"p{i}" / kind / "a.nii.gz")
        for kind in ("images", "masks", "predicted_masks"):
            touch(tmp_path / "both" / f"p{i}" / kind / "a.nii.gz")
    for folder in ("flat", "pred_masks", "predicted_masks", "mask_overlays", "cases"):
        with pytest.raises(DataError, match=r"no folder of (images|masks) found"):
            find_dataset(tmp_path / folder)
    labels = {case.label.parent.name for case in find_dataset(tmp_path / "both").cases if case.label}
    assert labels == {"masks"}


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_files_of_one_name_in_folders_of_their_kind_are_told(tmp_path: Path, kind: str) -> None:
    for i in (1, 2):
        touch(tmp_path / "images" / f"p{i}" / "ct.nii.gz", tmp_path / "labels" / f"p{i}" / "ct.nii.gz")
    touch(tmp_path / kind / "p1" / "ct.mha")
    found = find_dataset(tmp_path)
    assert len(found.cases) == 2 and "another has the same name (1): ct." in found.warnings[0]


def test_labels_that_are_not_called_as_one_of_several_frames_are_refused(tmp_path: Path) -> None:
    for i in (1, 2):
        touch(*(tmp_path / "images" / f"p{i}" / f"frame{n}.nii.gz" for n in (1, 2)))
        touch(*(tmp_path / "labels" / f"p{i}" / f"drawn{n}.nii.gz" for n in (3, 4)))
    with pytest.raises(DataError, match=r"drawn3.nii.gz: fits no image by its name \(frame1, frame2\)"):
        find_dataset(tmp_path)


def test_data_sets_beside_each_other_are_not_learnt_as_one(tmp_path: Path) -> None:
    for name in ("liver", "spleen"):
        for kind in ("images", "masks"):
            touch(*(tmp_path / name / kind / f"c{number}.png" for number in range(3)))
    with pytest.raises(DataError, match=f"give {tmp_path / 'liver'} as DATA"):
        find_dataset(tmp_path)
    assert len(find_dataset(tmp_path / "liver").cases) == 3
    for number, name in enumerate(("liver", "spleen"), 1):
        (tmp_path / name).rename(tmp_path / f"p{number}")
    assert {case.group for case in find_dataset(tmp_path).cases} == {"p1", "p2"}
