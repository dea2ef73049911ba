"""A folder for each case or person, as BraTS, KiTS, ACDC, TotalSegmentator and BIDS have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from zlib import crc32

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.core.errors import DataError
from stampseg.data.cases import find_dataset
from stampseg.data.inputs import find_inputs
from stampseg.data.plan import PLAN
from stampseg.data.splits.record import read_splits
from tests.cli.command import call
from tests.run.options import SMALL

SHORT = (
    "--steps", "4", "--set", "prune.rounds=1", "--target", "50%", *SMALL,
    "--set", "train.augment=false", "--set", "prune.ready_dice=0", "--set",
    "train.missed_label=warn",
)  # fmt: skip
MODALITIES = ("flair", "t1", "t2")


def write(path: Path, level: int = 20, seed: int = 0, box: int = 0) -> Path:
    """A volume of noise about a level, with a box that is brighter, or is the label, or a picture of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(crc32(str(path).encode()))  # no two files are copies
    array = noise.integers(0, 9, (24, 28, 12)).astype(np.uint8) + np.uint8(level)
    array[4 + seed : 14 + seed, 6:18, 2:9] += np.uint8(60)
    if box:
        array = ((array >= level + 60) * box).astype(np.uint8)
    if path.suffix == ".png":
        Image.fromarray(array[..., 5]).save(path)
    else:
        nib.save(nib.Nifti1Image(array, np.diag([1, 1, 2, 1.0])), path)
    return path


def brats(root: Path, count: int = 5, *, labels: bool = True) -> Path:
    """Cases of three modalities each, with a label."""
    for i in range(count):
        name = f"BraTS2021_{i:05d}"
        for place, modality in enumerate(MODALITIES):
            write(root / name / f"{name}_{modality}.nii.gz", 20 + 40 * place, i)
        if labels:
            write(root / name / f"{name}_seg.nii.gz", 20, i, box=1)
    return root


def test_images_of_a_folder_are_channels_by_their_names(tmp_path: Path) -> None:
    found = find_dataset(brats(tmp_path))
    assert found.layout == "cases" and found.channel_names == MODALITIES and not found.warnings
    first = found.cases[0]
    assert (first.id, first.group, first.channels) == ("BraTS2021_00000", "BraTS2021_00000", MODALITIES)
    assert [path.name[16:] for path in first.files] == [
        *(f"{name}.nii.gz" for name in MODALITIES), "seg.nii.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "files", [("imaging", "segmentation"), ("{}", "GT"), ("CT_{}", "seg_{}"), ("x", "x_msk")]
)
def test_one_image_and_its_label(tmp_path: Path, files: tuple[str, str]) -> None:
    for i in range(3):
        name = f"case_{i:05d}"
        write(tmp_path / name / f"{files[0].format(name)}.nii.gz", seed=i)
        if i:
            write(tmp_path / name / f"{files[1].format(name)}.nii.gz", seed=i, box=1)
    found = find_dataset(tmp_path)
    assert len(found.cases) == 2 and len(found.unlabelled) == 1 and not found.channel_names
    assert [case.group for case in found.cases] == ["case_00001", "case_00002"]
    masks = [case.mask_name for case in find_inputs([tmp_path], 1)]
    assert masks == [f"{case.id}.nii.gz" for case in (*found.unlabelled, *found.cases)] and len({*masks}) == 3


def test_a_person_with_several_cases(tmp_path: Path) -> None:
    for i, frames in ((1, (1, 12)), (2, (1, 9))):
        name = f"patient{i:03d}"
        write(tmp_path / name / f"{name}_4d.nii.gz", seed=i)
        (tmp_path / name / "Info.cfg").write_text("ED: 1")
        for frame in frames:
            write(tmp_path / name / f"{name}_frame{frame:02d}.nii.gz", seed=i)
            if (i, frame) != (2, 9):
                write(tmp_path / name / f"{name}_frame{frame:02d}_gt.nii.gz", seed=i, box=1)
    found = find_dataset(tmp_path)
    assert [(case.id, case.group) for case in found.cases] == [
        ("patient001_frame01", "patient001"), ("patient001_frame12", "patient001"),
        ("patient002_frame01", "patient002"),
    ]  # fmt: skip
    assert [case.id for case in found.unlabelled] == ["patient002_frame09"]
    assert found.warnings == (
        "images left out, as none that is called so has a label (2): "
        "patient001_4d.nii.gz, patient002_4d.nii.gz",
    )
    assert len(find_inputs([tmp_path], 1)) == 4


def test_slices_of_a_person(tmp_path: Path) -> None:
    for person in ("TCGA_CS_4941", "TCGA_CS_4942"):
        for number in (1, 2):
            write(tmp_path / person / f"{person}_{number}.png", seed=number)
            write(tmp_path / person / f"{person}_{number}_mask.png", seed=number, box=255)
    found = find_dataset(tmp_path)
    assert len(found.cases) == 4 and {case.group for case in found.cases} == {"TCGA_CS_4941", "TCGA_CS_4942"}


def test_masks_of_organs_in_a_folder_of_each_case(tmp_path: Path) -> None:
    for i in range(2):
        write(tmp_path / f"s{i:04d}" / "ct.nii.gz", seed=i)
        for organ in ("spleen", "liver"):
            write(tmp_path / f"s{i:04d}" / "segmentations" / f"{organ}.nii.gz", seed=i, box=1)
    found = find_dataset(tmp_path)
    assert dict(found.label_names) == {1: "liver", 2: "spleen"}
    assert [name for name, _ in found.cases[0].organs] == ["liver", "spleen"]
    (tmp_path / "s0001" / "segmentations" / "liver.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"s0001: liver not drawn both in it and in .*s0000; .*add empty masks"
    ):
        find_dataset(tmp_path)


def test_grades_and_visits(tmp_path: Path) -> None:
    brats(tmp_path / "HGG", 2)
    shutil.move(tmp_path / "HGG" / "BraTS2021_00001", tmp_path / "LGG" / "BraTS2021_00001")
    assert [case.group for case in find_dataset(tmp_path).cases] == ["BraTS2021_00000", "BraTS2021_00001"]
    for person in ("p1", "p2"):
        for visit in ("v1", "v2"):
            write(tmp_path / "visits" / person / visit / "ct.nii.gz", seed=1)
            write(tmp_path / "visits" / person / visit / "mask.nii.gz", seed=1, box=1)
    cases = find_dataset(tmp_path / "visits").cases
    assert [(case.id, case.group) for case in cases] == [
        (f"{person}_{visit}", person) for person in ("p1", "p2") for visit in ("v1", "v2")
    ]


def bids(root: Path, suffix: str = "T2w_seg", session: str = "") -> Path:
    for i in range(3):
        name = f"sub-{i:02d}{session}"
        place = Path(f"sub-{i:02d}", *([session[1:]] if session else []), "anat")
        for contrast, level in (("T1w", 20), ("T2w", 60)):
            write(root / place / f"{name}_{contrast}.nii.gz", level, i)
        write(root / "derivatives" / "labels" / place / f"{name}_{suffix}.nii.gz", seed=i, box=1)
    return root


@pytest.mark.parametrize("suffix", ["T2w_seg", "T2w_label-SC_seg", "T2w_dseg", "T2w_seg-manual"])
def test_bids_labels_of_one_contrast(tmp_path: Path, suffix: str) -> None:
    found = find_dataset(bids(tmp_path, suffix))
    assert [case.id for case in found.cases] == [
        f"sub-{i:02d}_T2w" for i in range(3)
    ] and not found.unlabelled
    assert [case.group for case in found.cases] == ["sub-00", "sub-01", "sub-02"]
    assert "T1w" in found.warnings[0]


def test_bids_sessions_and_labels_of_all_contrasts(tmp_path: Path) -> None:
    found = find_dataset(bids(tmp_path, "msk", "_ses-0001"))
    assert found.channel_names == ("T1w", "T2w") and found.cases[0].id == "sub-00_ses-0001"
    assert found.cases[0].group == "sub-00"


def test_bids_labels_of_a_named_folder(tmp_path: Path) -> None:
    bids(tmp_path)
    other = tmp_path / "derivatives" / "auto" / "sub-00" / "anat" / "sub-00_T2w_label-SC_seg.nii.gz"
    write(other, seed=1, box=1)
    with pytest.raises(DataError, match=r"are both called as labels of one image; .*list the files in a CSV"):
        find_dataset(tmp_path)
    found = find_dataset(tmp_path, masks=Path("derivatives/labels"))
    assert found.cases[0].label == tmp_path / "derivatives/labels/sub-00/anat/sub-00_T2w_seg.nii.gz"


def test_a_folder_called_as_its_image_among_others(tmp_path: Path) -> None:
    for folder, image in (("t1", "t1w"), ("t2", "t2")):
        write(tmp_path / folder / f"{image}.nii.gz")
        write(tmp_path / folder / f"{image}_seg-manual.nii.gz", box=1)
    found = find_dataset(tmp_path)
    assert [(case.id, case.label.name) for case in found.cases if case.label] == [
        ("t1w", "t1w_seg-manual.nii.gz"), ("t2", "t2_seg-manual.nii.gz"),
    ]  # fmt: skip
    assert "called in 2 ways" in found.warnings[0]


class TestRefused:
    def test_folders_of_other_images(self, tmp_path: Path) -> None:
        brats(tmp_path)
        (tmp_path / "BraTS2021_00003" / "BraTS2021_00003_t1.nii.gz").unlink()
        with pytest.raises(
            DataError, match=r"00003: holds flair, t2, and .*00000 flair, t1, t2; expected the same"
        ):
            find_dataset(tmp_path)
        (tmp_path / "BraTS2021_00003" / "BraTS2021_00003_seg.nii.gz").unlink()
        found = find_dataset(tmp_path)
        assert len(found.cases) == 4 and "left out" in found.warnings[0] and "00003" in found.warnings[0]

    def test_two_labels(self, tmp_path: Path) -> None:
        brats(tmp_path)
        write(tmp_path / "BraTS2021_00001" / "BraTS2021_00001_brain_mask.nii.gz", box=1)
        with pytest.raises(DataError, match=r"brain_mask.nii.gz and .*_seg.nii.gz are both called as labels"):
            find_dataset(tmp_path)

    def test_a_label_alone(self, tmp_path: Path) -> None:
        write(tmp_path / "a" / "seg.nii.gz", box=1)
        with pytest.raises(DataError, match=r"seg.nii.gz: is a label, and its folder holds no image"):
            find_dataset(tmp_path)

    def test_a_preview_is_no_channel(self, tmp_path: Path) -> None:
        write(brats(tmp_path) / "BraTS2021_00001" / "preview.png")
        assert find_dataset(tmp_path).channel_names == MODALITIES

    def test_labels_of_images_called_otherwise_are_told(self, tmp_path: Path) -> None:
        for i, contrast in enumerate(("t1", "t2")):
            write(tmp_path / f"p{i}" / f"{contrast}.nii.gz", seed=i)
            write(tmp_path / f"p{i}" / f"{contrast}_seg.nii.gz", seed=i, box=1)
        (tmp_path / "p1" / "t2.nii.gz").rename(tmp_path / "p1" / "flair.nii.gz")
        (tmp_path / "p1" / "t2_seg.nii.gz").rename(tmp_path / "p1" / "flair_seg.nii.gz")
        (warning,) = find_dataset(tmp_path).warnings
        assert "called in 2 ways (flair, t1), which are learnt as one kind" in warning

    def test_several_images_for_a_network_of_one(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match=r"holds flair, t1, t2, and the network reads 1 channel; expected files"
        ):
            find_inputs([brats(tmp_path, labels=False)], 1)


def test_scans_without_labels_have_the_channels_of_the_labelled_ones(tmp_path: Path) -> None:
    data, more = brats(tmp_path / "data"), brats(tmp_path / "more", labels=False)
    asked = ("train", data, "--unlabelled", more, "--validation", "none", *SHORT)
    call(*asked, "-o", tmp_path / "run")
    splits = read_splits(tmp_path / "run")
    assert splits is not None and len(splits.unlabelled) == 5
    for entry in splits.unlabelled:
        assert [path.name.split("_")[2] for path in entry.images] == [f"{name}.nii.gz" for name in MODALITIES]
    for path in list(more.glob("*/*_t2.nii.gz")):
        path.rename(path.with_name(path.name.replace("_t2", "_adc")))
    said = call(*asked, "-o", tmp_path / "other", code=3).output
    assert "channels adc, flair, t1" in said and "flair, t1, t2; expected the same names" in said


def test_from_training_to_metrics(tmp_path: Path) -> None:
    data, run = brats(tmp_path / "data"), tmp_path / "run"
    (data / "BraTS2021_00004" / "BraTS2021_00004_seg.nii.gz").unlink()
    call("train", data, "-o", run, "--validation", "none", *SHORT)
    assert PLAN.read(run).channel_names == MODALITIES
    new = brats(tmp_path / "new", 3, labels=False)
    for i in range(3):  # of more images those that the network knows are taken
        write(new / f"BraTS2021_{i:05d}" / f"BraTS2021_{i:05d}_adc.nii.gz")
    call("predict", run, new, "-o", tmp_path / "masks")
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == [f"BraTS2021_{i:05d}.nii.gz" for i in range(3)]
    call("predict", run, new / "BraTS2021_00001", "-o", tmp_path / "one")
    one, other = (nib.load(tmp_path / place / names[1]).get_fdata() for place in ("one", "masks"))
    assert (one == other).all()
    assert "1 of 4 labels without a prediction" in call("evaluate", tmp_path / "masks", data).output
    call("suggest", run, new, "-n", "2", "-o", tmp_path / "todo")
    assert len(list((tmp_path / "todo" / "drafts").glob("BraTS*[0-9].nii.gz"))) == 2
