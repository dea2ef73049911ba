"""Public data sets as they come, small and made up: who is who, which file is what, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import Dataset, find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.io.readers import read_header
from stampseg.data.labels.organs import read_label_files
from stampseg.evaluation.folders import evaluate_folder
from tests.cli.command import call
from tests.data.layouts import public_sets
from tests.data.layouts.public_sets import mask, scan

SHORT = (
    "--steps", "4", "--set", "prune.rounds=1", "--target", "50%", "--set", "network.width=4", "--set",
    "network.poolings=1", "--set", "train.augment=false", "--set", "prune.ready_dice=0", "--set",
    "train.missed_label=warn", "--validation", "none",
)  # fmt: skip


def people(found: Dataset) -> set[str]:
    return {case.group for case in found.cases}


def test_findings_and_parts_of_the_data_are_no_persons(tmp_path: Path) -> None:
    public_sets.busi(tmp_path / "busi")
    found = find_dataset(tmp_path / "busi")
    assert len(found.cases) == len(people(found)) == 12
    public_sets.lits_batches(tmp_path / "batches")
    found = find_dataset(tmp_path / "batches")
    assert len(found.cases) == len(people(found)) == 4 and not found.warnings


def test_a_mask_of_each_lesion_is_a_piece_of_one_label(tmp_path: Path) -> None:
    data, run, masks = (tmp_path / name for name in ("data", "run", "predicted"))
    public_sets.busi(data)
    found = find_dataset(data)
    first = found.cases[0]
    assert first.id == "benign (1)" and [path.stem for path in first.files[1:]] == [
        "benign (1)_mask", "benign (1)_mask_1",
    ]  # fmt: skip
    assert first.label_files is not None
    whole = read_label_files(first.label_files).array
    assert set(whole.ravel().tolist()) == {0, 255} and (whole > 0).sum() == 4 * 10 * 12
    assert found.warnings == ("several masks taken as pieces of one label (1): benign (1)",)
    call("check", data, "--no-timing")
    call("train", data, "-o", run, *SHORT)
    call("predict", run, data, "-o", masks)
    assert len(list(masks.iterdir())) == 12
    assert len(evaluate_folder(masks, data).rows) >= 12


def test_metrics_are_over_all_pieces(tmp_path: Path) -> None:
    data = tmp_path / "data"
    public_sets.busi(data)
    mask(tmp_path / "masks" / "benign (1).png", 1, 255)
    assert evaluate_folder(tmp_path / "masks", data).rows[0].dice == 1


def test_two_observers_are_no_pieces(tmp_path: Path) -> None:
    public_sets.busi(tmp_path)
    mask(tmp_path / "benign" / "benign (1)_mask_1.png", 1, 255, 1)
    said = call("check", tmp_path, "--no-timing", code=3).output
    assert "also in others of its case" in said and "leave one in for each image" in said


def test_a_consensus_goes_before_other_masks(tmp_path: Path) -> None:
    public_sets.mslub(tmp_path)
    found = find_dataset(tmp_path)
    assert found.channel_names == ("FLAIR", "T1W", "T2W") and len(people(found)) == 4
    assert {case.label.name[10:] for case in found.cases if case.label} == {"consensus_gt.nii.gz"}
    assert "beside that of a consensus (4): patient01_brainmask.nii.gz" in found.warnings[0]


@pytest.mark.parametrize(
    ("make", "pairs"),
    [
        (public_sets.isic, {"ISIC_0000000.jpg": "ISIC_0000000_segmentation.png"}),
        (public_sets.ham10000, {f"ISIC_000000{i}.jpg": f"ISIC_000000{i}_segmentation.png" for i in (0, 3)}),
        (public_sets.cvc, {"1.tif": "1.tif"}),
        (public_sets.kvasir, {"cju0.jpg": "cju0.jpg"}),
        (public_sets.lits, {"volume-0.nii": "segmentation-0.nii"}),
        (public_sets.promise, {"Case00.mhd": "Case00_segmentation.mhd"}),
        (public_sets.sliver, {"liver-orig001.mhd": "liver-seg001.mhd"}),
        (public_sets.sliver_one_folder, {"liver-orig004.mhd": "liver-seg004.mhd"}),
    ],
)
def test_images_and_labels_of_folders(
    make: Callable[[Path], None], pairs: dict[str, str], tmp_path: Path
) -> None:
    make(tmp_path)
    found = find_dataset(tmp_path)
    assert len(found.cases) == len(people(found)) == 4 and not found.unlabelled and not found.warnings
    names = {case.images[0].name: case.label.name for case in found.cases if case.label}
    assert pairs.items() <= names.items()
    call("check", tmp_path, "--no-timing")


@pytest.mark.parametrize(
    ("make", "organs"),
    [
        (public_sets.montgomery, ["leftMask", "rightMask"]),
        (public_sets.jsrt_organs, ["left lung", "right lung"]),
    ],
)
def test_masks_of_organs(make: Callable[[Path], None], organs: list[str], tmp_path: Path) -> None:
    make(tmp_path)
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4 and list(found.label_names.values()) == organs and not found.warnings


class TestAdvice:
    """What a refusal says to do works."""

    def test_parts_of_the_data_and_the_field_of_view(self, tmp_path: Path) -> None:
        public_sets.drive(tmp_path)
        with pytest.raises(DataError, match=f"give {tmp_path / 'training'} as DATA"):
            find_dataset(tmp_path)
        with pytest.raises(DataError, match=r"mask and 1st_manual could all be meant; name one with `masks`"):
            find_dataset(tmp_path / "training")
        found = find_dataset(tmp_path / "training", masks=Path("1st_manual"))
        assert [(case.id, case.label.name) for case in found.cases if case.label] == [
            (f"{n}_training", f"{n}_manual1.gif") for n in (21, 22, 23)
        ]
        call("check", tmp_path / "training", "--masks", "1st_manual", "--no-timing")

    def test_parts_of_the_data_in_two_trees(self, tmp_path: Path) -> None:
        for part, numbers in (("test", (0, 1)), ("train", (2, 3)), ("more", (4, 5))):
            for i in numbers:
                scan(tmp_path / "images" / part / f"{i}.png", i)
                mask(tmp_path / "masks" / part / f"{i}.png", i, 255)
        with pytest.raises(
            DataError, match=r"; name images/train with `images` and masks/train with `masks`"
        ):
            find_dataset(tmp_path)
        found = find_dataset(tmp_path, images=Path("images/train"), masks=Path("masks/train"))
        assert [case.id for case in found.cases] == ["2", "3"]

    def test_two_observers_in_two_folders(self, tmp_path: Path) -> None:
        public_sets.stare(tmp_path)
        with pytest.raises(DataError, match=r"labels-ah and labels-vk could all be meant; name one with"):
            find_dataset(tmp_path)
        found = find_dataset(tmp_path, masks=Path("labels-ah"))
        assert len(found.cases) == 4 and not found.warnings
        call("check", tmp_path, "--masks", "labels-ah", "--no-timing")

    def test_two_observers_in_the_folder_of_the_images(self, tmp_path: Path) -> None:
        public_sets.chase(tmp_path)
        with pytest.raises(
            DataError, match="list them in a CSV"
        ):  # two of each image: no pairs by themselves
            find_dataset(tmp_path)
        with pytest.raises(DataError, match=r"'_1stHO' \(6 files\) or '_2ndHO' .*put each kind in a folder"):
            find_dataset(tmp_path, images=Path(), masks=Path())
        for observer in ("1stHO", "2ndHO"):
            (tmp_path / observer).mkdir()
            for path in tmp_path.glob(f"*_{observer}.png"):
                path.rename(tmp_path / observer / path.name)
        found = find_dataset(tmp_path, images=Path(), masks=Path("1stHO"))
        assert len(found.cases) == 6 and not found.warnings and not found.unlabelled
        said = call("check", tmp_path, "--images", ".", "--masks", "1stHO", "--no-timing").output
        assert "left and right of one person" in " ".join(said.split())
        sides = find_dataset(tmp_path, images=Path(), masks=Path("1stHO"), group_regex=r"^(.+)[lrLR]$")
        assert len(people(sides)) == 3

    def test_a_label_beside_two_folders_of_images(self, tmp_path: Path) -> None:
        data, asked = tmp_path / "data", ("--images", "pre", "--ignore-label", "2")
        public_sets.wmh(data)
        with pytest.raises(DataError, match=r"wmh.nii.gz lies beside orig, pre .* with `images`"):
            find_dataset(data)
        found = find_dataset(data, images=Path("pre"))
        assert found.channel_names == ("3DT1", "FLAIR", "T1") and len(found.cases) == len(people(found)) == 6
        assert {case.label.name for case in found.cases if case.label} == {"wmh.nii.gz"}
        assert {path.parent.name for case in found.cases for path in case.images} == {"pre"}
        assert "6 labelled cases of 6 groups" in call("check", data, *asked, "--no-timing").output
        call("train", data, *asked, "-o", tmp_path / "run", *SHORT)

    def test_several_folders_of_images_and_many_observers(self, tmp_path: Path) -> None:
        public_sets.msseg(tmp_path)
        with pytest.raises(DataError, match=r"Preprocessed_Data, Raw_Data all hold images .* with `images`"):
            find_dataset(tmp_path)
        found = find_dataset(tmp_path, images=Path("Preprocessed_Data"))
        assert [(case.id, case.group) for case in found.cases][1:3] == [
            ("Center_01_Patient_02", "Patient_02"), ("Center_07_Patient_01", "Patient_01"),
        ]  # fmt: skip
        assert {case.label.name for case in found.cases if case.label} == {"Consensus.nii.gz"}
        assert "beside that of a consensus (32)" in found.warnings[0]
        call("check", tmp_path, "--images", "Preprocessed_Data", "--no-timing")

    def test_observers_without_a_consensus(self, tmp_path: Path) -> None:
        public_sets.msseg(tmp_path)
        for name in ("Consensus", "Brain_Mask"):
            for path in tmp_path.rglob(f"{name}.nii.gz"):
                path.unlink()
        asked = ("--images", "Preprocessed_Data", "--no-timing")
        said = call("check", tmp_path, *asked, code=3).output
        assert "where each is drawn by another observer, leave one in for each image" in said
        for path in tmp_path.rglob("ManualSegmentation_*.nii.gz"):
            if not path.name.startswith("ManualSegmentation_1"):
                path.unlink()
        call("check", tmp_path, *asked)

    @pytest.mark.parametrize("make", [public_sets.chaos_ct, public_sets.chaos_mr])
    def test_slices_of_a_label(self, make: Callable[[Path], None], tmp_path: Path) -> None:
        make(tmp_path)
        with pytest.raises(
            DataError, match=r"Ground: 8 pictures as the label of .*DICOM_anon, .*join the sl"
        ):
            find_dataset(tmp_path)
        for folder in list(tmp_path.rglob("Ground")):
            slices = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
            header = read_header([folder.parent / "DICOM_anon"])
            assert header.affine is not None
            shutil.rmtree(folder)
            folder.mkdir()
            label = np.stack(slices, -1).swapaxes(0, 1)
            nib.save(nib.Nifti1Image(label, header.affine), folder / "label.nii.gz")
        found = find_dataset(tmp_path)
        assert len(found.cases) == len(people(found)) == 4
        call("check", tmp_path, "--no-timing")


def test_two_trees_of_cases(tmp_path: Path) -> None:
    public_sets.two_trees(tmp_path)
    found = find_dataset(tmp_path)
    assert [(case.id, case.group) for case in found.cases] == [(f"case{i}", f"case{i}") for i in range(4)]
    call("check", tmp_path, "--no-timing")
    (tmp_path / "labels" / "case3" / "liver.nii.gz").unlink()
    assert [case.id for case in find_dataset(tmp_path).unlabelled] == ["case3"]


def test_two_trees_of_channels_and_organs(tmp_path: Path) -> None:
    public_sets.two_trees(tmp_path)
    for i in range(4):
        scan(tmp_path / "images" / f"case{i}" / "mr.nii.gz", i)
    assert find_dataset(tmp_path).channel_names == ("ct", "mr")
    for i in range(4):
        (tmp_path / "images" / f"case{i}" / "mr.nii.gz").unlink()
        mask(tmp_path / "labels" / f"case{i}" / "spleen.nii.gz", i, part=3)
    assert find_dataset(tmp_path).label_names == {1: "liver", 2: "spleen"}


def test_two_trees_of_slices_of_persons(tmp_path: Path) -> None:
    for person in ("p1", "p2", "p3"):
        for number in range(3):
            scan(tmp_path / "images" / person / f"{number:03d}.png", number)
            mask(tmp_path / "masks" / person / f"{number:03d}.png", number, 255)
    found = find_dataset(tmp_path)
    assert len(found.cases) == 9 and people(found) == {"p1", "p2", "p3"}
    assert all(case.label and case.label.name == case.images[0].name for case in found.cases)


def test_a_mask_of_each_object(tmp_path: Path) -> None:
    data, run, masks = (tmp_path / name for name in ("data", "run", "predicted"))
    public_sets.data_science_bowl(data)
    found = find_dataset(data)
    assert len(found.cases) == 4 and all(len(case.files) == 3 for case in found.cases)
    assert found.warnings[0].startswith("several masks taken as pieces of one label (4): ")
    call("train", data, "-o", run, *SHORT)
    call("predict", run, data, "-o", masks)
    for case in found.cases:
        assert case.label_files is not None
        whole = read_label_files(case.label_files).array
        assert (whole > 0).sum() == 4 * 10 * 12
        Image.fromarray(whole.astype(np.uint8)).save(masks / case.mask_name)
    assert [row.dice for row in evaluate_folder(masks, data).rows] == [1.0] * 4


def test_organs_that_some_cases_lack_are_no_pieces(tmp_path: Path) -> None:
    public_sets.two_trees(tmp_path)
    mask(tmp_path / "labels" / "case2" / "spleen.nii.gz", 2, part=2)
    with pytest.raises(DataError, match=r"spleen not drawn both in it and in .*add empty masks"):
        find_dataset(tmp_path)


def test_a_folder_for_each_channel_and_one_for_the_label(tmp_path: Path) -> None:
    public_sets.brats_2015(tmp_path)
    found = find_dataset(tmp_path)
    assert [name[-4:] for name in found.channel_names] == ["lair", "R_T1", "_T1c", "R_T2"]
    assert len(found.cases) == len(people(found)) == 4 and not found.warnings
    assert all(case.label and "OT" in case.label.name for case in found.cases)
    call("check", tmp_path, "--no-timing")


def test_a_film_beside_labelled_frames_is_left_out(tmp_path: Path) -> None:
    public_sets.camus(tmp_path)
    found = find_dataset(tmp_path)
    assert len(found.cases) == 12 and len(people(found)) == 3
    assert not any("sequence" in path.name for case in found.cases for path in case.files)
    assert len(find_inputs([tmp_path], 1)) == 12
    assert found.warnings[0].startswith("films left out, beside labelled images that are none (6): ")


@pytest.mark.parametrize("place", ["images/S1", "DICOM"])
def test_a_series_and_a_folder_of_its_label(place: str, tmp_path: Path) -> None:
    for i in (1, 2):
        public_sets.series(tmp_path / f"p{i}" / place, i)
        mask(tmp_path / f"p{i}" / "masks" / "seg.nii.gz", i)
    found = find_dataset(tmp_path)
    assert [(case.id, case.label.name) for case in found.cases if case.label] == [
        ("p1", "seg.nii.gz"), ("p2", "seg.nii.gz"),
    ]  # fmt: skip
    assert [case.mask_name for case in find_inputs([tmp_path], 1)] == ["p1.nii.gz", "p2.nii.gz"]
