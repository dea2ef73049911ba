"""Label numbers of any size come back in the masks, or are refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from stampseg.data.io.readers import read_label
from tests.cli.command import QUICK, call
from tests.data.scans import disc


def pictures(root: Path, suffix: str, value: int) -> Path:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(3):
        image, mask = disc(np.random.default_rng(number), (32, 40))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / f"p{number}{suffix}")
        tifffile.imwrite(root / "masks" / f"p{number}.tif", mask.astype(np.uint32) * value)
    return root


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_what_no_mask_can_hold_is_refused_before_training(suffix: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "d", suffix, 312782)
    said = "its masks are PNG files, which hold labels to 65535, and not 312782; number the structures anew"
    assert said in " ".join(call("check", data, "--no-timing", code=3).output.split())
    assert said in " ".join(call("train", data, "-o", tmp_path / "run", *QUICK, code=3).output.split())
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("value", [312782, 614454277, 2**31 + 7])
def test_masks_hold_the_number_itself(value: int, tmp_path: Path) -> None:
    for number in range(3):
        image, mask = disc(np.random.default_rng(number), (16, 18, 12))
        for part, array in (
            ("images", image.astype(np.float32)),
            ("labels", mask.astype(np.uint32) * np.uint32(value)),
        ):
            (tmp_path / "d" / part).mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "d" / part / f"{number}.nii.gz")
    call("train", tmp_path / "d", "-o", tmp_path / "run", *QUICK, "--validation", "none")
    call("predict", tmp_path / "run", tmp_path / "d" / "images", "-o", tmp_path / "out")
    held = {int(v) for n in range(3) for v in np.unique(read_label(tmp_path / "out" / f"{n}.nii.gz").array)}
    assert held <= {0, value}
