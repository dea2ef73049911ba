"""DICOM through the command line: trained on, checked, predicted as NIfTI and DICOM-SEG, evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from stampseg.data.io.readers import read_header, read_label
from tests.cli.command import QUICK, call
from tests.data.dicom_files import affine_of, image, slices
from tests.data.scans import disc

SHAPE = (20, 24, 16)
COS, SIN = float(np.cos(np.deg2rad(15))), float(np.sin(np.deg2rad(15)))
TILTED = {"orientation": (1, 0, 0, 0, COS, SIN), "step": (0.0, 0.0, 1.5)}


def write_series(root: Path, count: int = 5) -> Path:
    """Series of five people, one with a tilted gantry, and their labels as NIfTI."""
    rng = np.random.default_rng(2)
    (root / "labels").mkdir(parents=True)
    for number in range(count):
        scan, mask = disc(rng, SHAPE)
        how = {"spacing": (1.0, 1.0, 1.5), **(TILTED if number == count - 1 else {})}
        slices(root / "images" / f"p{number}", scan.round().astype(np.int16), **how)
        label = nib.Nifti1Image(mask.astype(np.uint8), affine_of(**how))
        nib.save(label, root / "labels" / f"p{number}.nii.gz")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    call("train", data, "-o", folder, *QUICK)
    return folder


def test_check_tells_of_the_tilt(data: Path) -> None:
    told = call("check", data, "--no-timing", "--json").output
    assert "p4: the slices are tilted by 15 degrees against their stack" in told


def test_check_names_a_broken_slice(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "d")
    (tmp_path / "d" / "images" / "p1" / "03.dcm").write_bytes(b"")
    assert "03.dcm: is empty" in call("check", tmp_path / "d", "--no-timing", code=3).output


def test_masks_lie_on_the_series(data: Path, run: Path, tmp_path: Path) -> None:
    told = call("predict", run, data / "images", "-o", tmp_path / "out").output
    assert told.count("p4: the slices are tilted") == 1 and "p4: the slices are tilted by 15 degrees" in told
    for number in range(5):
        mask = nib.load(tmp_path / "out" / f"p{number}.nii.gz")
        truth = nib.load(data / "labels" / f"p{number}.nii.gz")
        assert mask.shape == truth.shape
        np.testing.assert_allclose(mask.affine, truth.affine, atol=1e-3)
    result = json.loads(call("evaluate", tmp_path / "out", data / "labels", "--json").output)
    assert result["cases"] == 5 and not result["warnings"]


def test_masks_as_dicom_seg_hold_the_same(data: Path, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    call("predict", run, data / "images", "-o", tmp_path / "nifti")
    call("predict", run, data / "images", "-o", tmp_path / "seg", "--dicom-seg")
    assert sorted(path.name for path in (tmp_path / "seg").iterdir()) == [f"p{n}.dcm" for n in range(5)]
    for number in range(5):
        seg, mask = tmp_path / "seg" / f"p{number}.dcm", tmp_path / "nifti" / f"p{number}.nii.gz"
        np.testing.assert_array_equal(read_label(seg).array, read_label(mask).array)
        np.testing.assert_allclose(read_header([seg]).affine, read_header([mask]).affine, atol=1e-3)
    shutil.copytree(data / "images", tmp_path / "again" / "images")
    shutil.copytree(tmp_path / "seg", tmp_path / "again" / "labels")
    call("check", tmp_path / "again", "--no-timing")


def test_dicom_seg_of_another_image_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    label = data / "labels" / "p0.nii.gz"
    told = call("predict", run, label, "-o", tmp_path / "o", "--dicom-seg", code=3).output
    assert "p0.nii.gz: is no DICOM image; --dicom-seg needs them; leave it out" in told


def test_scans_of_one_folder_get_a_mask_each(data: Path, run: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(data / "images" / "p0", both)
    for path in (data / "images" / "p1").iterdir():
        shutil.copy(path, both / f"x{path.name}")
    call("predict", run, both, "-o", tmp_path / "out")
    masks = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert masks == ["both_series3.nii.gz", "both_series3_2.nii.gz"]


def test_training_goes_on_only_with_the_same_slices(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "d")
    call("train", tmp_path / "d", "-o", tmp_path / "run", *QUICK)
    digests = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert all(entry["digest"] for entry in digests["training"])
    slices(tmp_path / "d" / "images" / "p0", np.zeros(SHAPE, np.int16), spacing=(1, 1, 1.5))
    (tmp_path / "run" / "result.json").unlink()
    told = call("train", "--resume", tmp_path / "run", code=3).output
    assert "the cases, or what is in their files, changed since the run began" in told


def test_x_rays_with_pictures_as_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for number in range(5):
        scan, mask = disc(rng, (40, 48))
        path = tmp_path / "images" / f"p{number}.dcm"
        image(path, scan.clip(0).astype(np.uint16), series=f"1.{number}", Modality="DX")
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"p{number}.png")
    call("train", tmp_path, "-o", tmp_path / "run", *QUICK)
    call("predict", tmp_path / "run", tmp_path / "images", "-o", tmp_path / "out")
    mask = np.asarray(Image.open(tmp_path / "out" / "p0.png"))
    assert mask.shape == (40, 48) and set(np.unique(mask)) <= {0, 255}


@pytest.mark.parametrize("kind", ["pair", "mhd"])
def test_pairs_are_told_apart_by_their_voxels(tmp_path: Path, kind: str) -> None:
    import SimpleITK as sitk  # noqa: N813

    rng = np.random.default_rng(3)
    for number in range(5):
        scan, mask = disc(rng, SHAPE)
        for part, array in (("images", scan.astype(np.float32)), ("labels", mask.astype(np.uint8))):
            (tmp_path / part).mkdir(exist_ok=True)
            path = tmp_path / part / f"p{number}"
            if kind == "pair":
                nib.save(nib.Nifti1Pair(array, np.eye(4)), path.with_suffix(".img"))
            else:
                (tmp_path / part / f"p{number}.raw").write_bytes(array.T.tobytes())
                header = "NDims = 3\nDimSize = 20 24 16\nElementSpacing = 1 1 1\nElementType = {}\n"
                name = "MET_FLOAT" if part == "images" else "MET_UCHAR"
                text = header.format(name) + f"ElementDataFile = p{number}.raw\n"
                path.with_suffix(".mhd").write_text(text)
                assert sitk.ReadImage(str(path.with_suffix(".mhd"))).GetSize() == SHAPE
    told = call("check", tmp_path, "--no-timing").output
    assert "4 cases train, 1 validate" in told and "same image" not in told
