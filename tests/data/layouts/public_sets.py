"""Small made-up twins of the folders in which public data sets come: names, noise with a bright box."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

import nibabel as nib
import numpy as np
from PIL import Image

from tests.data.dicom_files import slices
from tests.data.header_files import meta, raw

SHAPE = (24, 28, 8)


def scan(path: Path, number: int = 0, times: int = 0) -> None:
    """An image of a case: a volume, a picture, or a film of `times` volumes."""
    noise = np.random.default_rng(crc32(str(path).encode()))  # no two files are copies
    array = noise.integers(20, 40, SHAPE).astype(np.uint8)
    array[_box(number)] += np.uint8(60)
    _write(path, np.stack([array] * times, -1) if times else array)


def mask(path: Path, number: int = 0, value: int = 1, part: int = 0, values: Sequence[int] = ()) -> None:
    """A label of a case: its box, the first (1) or second (2) half of it, nothing of it (3), or bands."""
    array = np.zeros(SHAPE, np.uint8)
    rows, columns, depth = _box(number)
    halves = (rows, slice(rows.start, rows.start + 5), slice(rows.start + 5, rows.stop), slice(0, 0))
    array[halves[part], columns, depth] = value
    for place, each in enumerate(values):
        array[rows.start + 2 * place : rows.start + 2 * place + 2, columns, depth] = each
    _write(path, array)


def _box(number: int) -> tuple[slice, slice, slice]:
    return slice(4 + number, 14 + number), slice(6, 18), slice(2, 6)


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mhd":
        meta(path, array, raw(array), data=f"{path.stem}.raw")
    elif path.suffix == ".mha":
        meta(path, array, raw(array))
    elif path.suffix in (".png", ".jpg", ".tif", ".gif", ".bmp", ".ppm"):
        Image.fromarray(array[..., 4].repeat(2, 0).repeat(2, 1)).save(path)
    else:
        nib.save(nib.Nifti1Image(array, np.diag([1, 1, 2, 1.0])), path)


def series(folder: Path, number: int) -> None:
    """A scan as DICOM files."""
    noise = np.random.default_rng(crc32(str(folder).encode()))
    array = noise.integers(20, 40, SHAPE).astype(np.int16)
    array[_box(number)] += 60
    slices(folder, array, name="IMG-0004-{:05d}.dcm", PatientID=str(number))


def slice_masks(folder: Path, number: int, values: Sequence[int], name: str) -> None:
    """Its label as a picture for each slice."""
    folder.mkdir(parents=True)
    rows, columns, depth = _box(number)
    for k in range(SHAPE[2]):
        array = np.zeros(SHAPE[:2], np.uint8)
        if depth.start <= k < depth.stop:
            for place, each in enumerate(values):
                array[rows.start + 2 * place : rows.start + 2 * place + 2, columns] = each
        Image.fromarray(array.T).save(folder / name.format(k))


def two_trees(root: Path) -> None:
    for i in range(4):
        scan(root / "images" / f"case{i}" / "ct.nii.gz", i)
        mask(root / "labels" / f"case{i}" / "liver.nii.gz", i)


def wmh(root: Path) -> None:
    places = ("Utrecht/0", "Utrecht/2", "Utrecht/4", "Singapore/50", "Singapore/51", "Amsterdam/GE3T/100")
    for i, place in enumerate(places):
        for name in ("3DT1", "FLAIR", "T1"):
            scan(root / place / "orig" / f"{name}.nii.gz", i)
            scan(root / place / "pre" / f"{name}.nii.gz", i)
        mask(root / place / "orig" / "3DT1_mask.nii.gz", i)
        mask(root / place / "wmh.nii.gz", i, values=(1, 1, 2))


def msseg(root: Path, raters: int = 7) -> None:
    for i, place in enumerate(("01/Patient_01", "01/Patient_02", "07/Patient_01", "07/Patient_02")):
        case = root / f"Center_{place}"
        for name in ("3DFLAIR", "3DT1", "T2"):
            scan(case / "Raw_Data" / f"{name}.nii.gz", i)
        for name in ("FLAIR", "T1", "T2"):
            scan(case / "Preprocessed_Data" / f"{name}_preprocessed.nii.gz", i)
        names = ["Consensus", "Brain_Mask", *(f"ManualSegmentation_{n}" for n in range(1, raters + 1))]
        for name in names if raters else names[:1]:
            mask(case / "Masks" / f"{name}.nii.gz", i)


def brats(
    root: Path, case: str = "BraTS2021_{:05d}", mark: str = "_", names: str = "flair t1 t1ce t2"
) -> None:
    for i in range(4):
        name = case.format(i)
        for each in names.split():
            scan(root / name / f"{name}{mark}{each}.nii.gz", i)
        mask(root / name / f"{name}{mark}seg.nii.gz", i, values=(1, 2, 4))


def brats_2023(root: Path) -> None:
    brats(root, "BraTS-GLI-{:05d}-000", "-", "t1c t1n t2f t2w")


def brats_2015(root: Path) -> None:
    number = 35500
    for i, place in enumerate(
        (
            "HGG/brats_2013_pat0001_1",
            "HGG/brats_tcia_pat105_0283",
            "HGG/brats_tcia_pat105_0339",
            "LGG/brats_2013_pat0002_1",
        )
    ):
        for name in ("MR_Flair", "MR_T1", "MR_T1c", "MR_T2"):
            number += 1
            stem = f"VSD.Brain.XX.O.{name}.{number}"
            scan(root / place / stem / f"{stem}.mha", i)
        stem = f"VSD.Brain_3more.XX.XX.OT.{number + 100}"
        mask(root / place / stem / f"{stem}.mha", i, values=(1, 2, 3, 4))


def chaos_mr(root: Path) -> None:
    for i in (1, 2, 3, 5):
        series(root / "MR" / str(i) / "T2SPIR" / "DICOM_anon", i)
        slice_masks(root / "MR" / str(i) / "T2SPIR" / "Ground", i, (63, 126, 189, 252), "IMG-0004-{:05d}.png")


def chaos_ct(root: Path) -> None:
    for i in (1, 2, 3, 5):
        series(root / "CT" / str(i) / "DICOM_anon", i)
        slice_masks(root / "CT" / str(i) / "Ground", i, (255,), "liver_GT_{:03d}.png")


def data_science_bowl(root: Path) -> None:
    for i in range(4):
        name = f"{crc32(str(i).encode()):08x}" * 4
        scan(root / name / "images" / f"{name}.png", i)
        for part in (1, 2):
            mask(root / name / "masks" / f"{crc32(f'{i}{part}'.encode()):08x}.png", i, 255, part)


def isic(root: Path) -> None:
    for i in range(4):
        scan(root / "ISIC2018_Task1-2_Training_Input" / f"ISIC_{i:07d}.jpg", i)
        mask(root / "ISIC2018_Task1_Training_GroundTruth" / f"ISIC_{i:07d}_segmentation.png", i, 255)


def ham10000(root: Path) -> None:
    for i in range(4):
        scan(root / f"HAM10000_images_part_{1 + i // 2}" / f"ISIC_{i:07d}.jpg", i)
        mask(root / "HAM10000_segmentations_lesion_tschandl" / f"ISIC_{i:07d}_segmentation.png", i, 255)


def kvasir(root: Path) -> None:
    for i in range(4):
        scan(root / "images" / f"cju{i}.jpg", i)
        mask(root / "masks" / f"cju{i}.jpg", i, 255)


def cvc(root: Path) -> None:
    for i in range(1, 5):
        scan(root / "Original" / f"{i}.tif", i)
        mask(root / "Ground Truth" / f"{i}.tif", i, 255)


def drive(root: Path) -> None:
    for part, numbers in (("training", (21, 22, 23)), ("test", (1, 2, 3))):
        for n in numbers:
            scan(root / part / "images" / f"{n:02d}_{part}.tif", n % 10)
            mask(root / part / "1st_manual" / f"{n:02d}_manual1.gif", n % 10, 255)
            mask(root / part / "mask" / f"{n:02d}_{part}_mask.gif", n % 10, 255)
            if part == "test":
                mask(root / part / "2nd_manual" / f"{n:02d}_manual2.gif", n % 10, 255)


def drive_training(root: Path) -> None:
    drive(root / "whole")
    (root / "whole" / "training").rename(root / "training")
    for part in ("images", "1st_manual", "mask"):
        (root / "training" / part).rename(root / part)
    shutil.rmtree(root / "whole")
    (root / "training").rmdir()


def chase(root: Path) -> None:
    for i in (1, 2, 3):
        for side in "LR":
            scan(root / f"Image_{i:02d}{side}.jpg", i)
            mask(root / f"Image_{i:02d}{side}_1stHO.png", i, 255)
            mask(root / f"Image_{i:02d}{side}_2ndHO.png", i, 255)


def stare(root: Path) -> None:
    for i in range(1, 5):
        scan(root / "stare-images" / f"im{i:04d}.ppm", i)
        mask(root / "labels-ah" / f"im{i:04d}.ah.ppm", i, 255)
        mask(root / "labels-vk" / f"im{i:04d}.vk.ppm", i, 255)


def decathlon(root: Path) -> None:
    for i in range(4):
        scan(root / "imagesTr" / f"liver_{i}.nii.gz", i)
        mask(root / "labelsTr" / f"liver_{i}.nii.gz", i)
        scan(root / "imagesTs" / f"liver_{i + 10}.nii.gz", i)
    said = {
        "labels": {"0": "background", "1": "liver"},
        "modality": {"0": "CT"},
        "training": [
            {"image": f"./imagesTr/liver_{i}.nii.gz", "label": f"./labelsTr/liver_{i}.nii.gz"}
            for i in range(4)
        ],
        "test": [f"./imagesTs/liver_{i + 10}.nii.gz" for i in range(4)],
    }
    (root / "dataset.json").write_text(json.dumps(said))


def nnunet(root: Path) -> None:
    for i in range(4):
        for c in range(2):
            scan(root / "imagesTr" / f"case_{i:03d}_{c:04d}.nii.gz", i)
            scan(root / "imagesTs" / f"case_{i + 10:03d}_{c:04d}.nii.gz", i)
        mask(root / "labelsTr" / f"case_{i:03d}.nii.gz", i)


def acdc(root: Path) -> None:
    for i in range(1, 5):
        name = f"patient{i:03d}"
        scan(root / "training" / name / f"{name}_4d.nii.gz", i, 3)
        (root / "training" / name / "Info.cfg").write_text("ED: 1\nES: 12\n")
        (root / "training" / name / "MANDATORY_CITATION.md").write_text("cite")
        for frame in (1, 8 + i):
            scan(root / "training" / name / f"{name}_frame{frame:02d}.nii.gz", i)
            mask(root / "training" / name / f"{name}_frame{frame:02d}_gt.nii.gz", i, values=(1, 2, 3))


def lits(root: Path) -> None:
    for i in range(4):
        scan(root / f"volume-{i}.nii", i)
        mask(root / f"segmentation-{i}.nii", i, values=(1, 2))


def lits_batches(root: Path) -> None:
    for i in range(4):
        scan(root / f"Training Batch {1 + i // 2}" / f"volume-{i}.nii", i)
        mask(root / f"Training Batch {1 + i // 2}" / f"segmentation-{i}.nii", i, values=(1, 2))


def kits(root: Path) -> None:
    for i in range(4):
        scan(root / f"case_{i:05d}" / "imaging.nii.gz", i)
        mask(root / f"case_{i:05d}" / "segmentation.nii.gz", i, values=(1, 2))


def kits_2023(root: Path) -> None:
    kits(root)
    for i in range(4):
        for kind in ("kidney_instance-1", "tumor_instance-1"):
            for rater in (1, 2, 3):
                mask(root / f"case_{i:05d}" / "instances" / f"{kind}_annotation-{rater}.nii.gz", i)


def kits_2023_inner(root: Path) -> None:
    kits_2023(root / "dataset")


def totalsegmentator(root: Path) -> None:
    for i in range(4):
        scan(root / f"s{i:04d}" / "ct.nii.gz", i)
        mask(root / f"s{i:04d}" / "segmentations" / "liver.nii.gz", i, part=1)
        mask(root / f"s{i:04d}" / "segmentations" / "spleen.nii.gz", i, part=2)
    (root / "meta.csv").write_text("image_id;age;split\ns0000;50;train\n")


def promise(root: Path) -> None:
    for i in range(4):
        scan(root / f"Case{i:02d}.mhd", i)
        mask(root / f"Case{i:02d}_segmentation.mhd", i)


def sliver(root: Path) -> None:
    for i in range(1, 5):
        scan(root / "scan" / f"liver-orig{i:03d}.mhd", i)
        mask(root / "label" / f"liver-seg{i:03d}.mhd", i)


def sliver_one_folder(root: Path) -> None:
    for i in range(1, 5):
        scan(root / f"liver-orig{i:03d}.mhd", i)
        mask(root / f"liver-seg{i:03d}.mhd", i)


def bids(root: Path) -> None:
    for i in range(1, 5):
        name = f"sub-{i:02d}"
        scan(root / name / "anat" / f"{name}_T1w.nii.gz", i)
        scan(root / name / "anat" / f"{name}_FLAIR.nii.gz", i)
        mask(root / "derivatives" / "manual_masks" / name / "anat" / f"{name}_label-lesion_mask.nii.gz", i)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.6.0"}')


def mslub(root: Path) -> None:
    for i in range(1, 5):
        case = root / f"patient{i:02d}"
        for kind in ("T1W", "T2W", "FLAIR"):
            scan(case / f"patient{i:02d}_{kind}.nii.gz", i)
        mask(case / f"patient{i:02d}_brainmask.nii.gz", i)
        mask(case / f"patient{i:02d}_consensus_gt.nii.gz", i)


def camus(root: Path) -> None:
    for i in range(1, 4):
        name = f"patient{i:04d}"
        for view in ("2CH", "4CH"):
            for phase in ("ED", "ES"):
                scan(root / name / f"{name}_{view}_{phase}.nii.gz", i)
                mask(root / name / f"{name}_{view}_{phase}_gt.nii.gz", i, values=(1, 2, 3))
            scan(root / name / f"{name}_{view}_half_sequence.nii.gz", i, 3)
            mask(root / name / f"{name}_{view}_half_sequence_gt.nii.gz", i, values=(1, 2, 3))
            (root / name / f"Info_{view}.cfg").write_text("ED: 1")


def busi(root: Path) -> None:
    for kind in ("benign", "malignant", "normal"):
        for i in range(1, 5):
            scan(root / kind / f"{kind} ({i}).png", i)
            mask(root / kind / f"{kind} ({i})_mask.png", i, 255, 3 if kind == "normal" else int(i == 1))
    mask(root / "benign" / "benign (1)_mask_1.png", 1, 255, 2)


def montgomery(root: Path) -> None:
    for i in range(1, 5):
        name = f"MCUCXR_{i:04d}_{i % 2}.png"
        scan(root / "CXR_png" / name, i)
        mask(root / "ManualMask" / "leftMask" / name, i, 255, 1)
        mask(root / "ManualMask" / "rightMask" / name, i, 255, 2)


def jsrt(root: Path) -> None:
    for i in range(1, 5):
        scan(root / "images" / f"JPCLN{i:03d}.png", i)
        for fold in (1, 2):
            for part, organ in enumerate(("left lung", "right lung"), 1):
                if i % 2 == fold - 1:
                    mask(root / f"fold{fold}" / "masks" / organ / f"JPCLN{i:03d}.gif", i, 255, part)


def jsrt_organs(root: Path) -> None:
    for i in range(1, 5):
        scan(root / "images" / f"JPCLN{i:03d}.png", i)
        for part, organ in enumerate(("left lung", "right lung"), 1):
            mask(root / "masks" / organ / f"JPCLN{i:03d}.gif", i, 255, part)


SETS: dict[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (
        two_trees, wmh, msseg, brats, brats_2023, brats_2015, chaos_mr, chaos_ct, data_science_bowl, isic,
        ham10000, kvasir, cvc, drive, drive_training, chase, stare, decathlon, nnunet, acdc, lits,
        lits_batches, kits, kits_2023, kits_2023_inner, totalsegmentator, promise, sliver,
        sliver_one_folder, bids, mslub, camus, busi, montgomery, jsrt, jsrt_organs,
    )
}  # fmt: skip
