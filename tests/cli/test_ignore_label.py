"""Partly annotated scans from the command line: trained, pruned, checked and evaluated by what is known."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.cli.command import call
from tests.data.scans import disc

PRUNING = (
    "--steps", "8", "--set", "prune.rounds=1", "--target", "50%", "--validation", "25%",
    "--set", "prune.ready_dice=0", "--set", "train.missed_label=warn",
)  # fmt: skip
TINY = (*PRUNING, "--set", "network.width=4", "--set", "network.poolings=1", "--set", "train.augment=false")


def scribbles(folder: Path, ignored: int) -> Path:
    """Four volumes of which a third of the voxels is labelled."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i in range(4):
        image, mask = disc(rng, (16, 20, 12))
        label = np.where(rng.random(mask.shape) < 0.33, mask, ignored).astype(np.int16)
        for part, array in (("images", image.astype(np.float32)), ("labels", label)):
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / part / f"v{i}.nii.gz")
    return folder


@pytest.mark.parametrize("ignored", [-1, 9])
def test_check_says_how_much_is_left_out(ignored: int, tmp_path: Path) -> None:
    data = scribbles(tmp_path, ignored)
    found = json.loads(call("check", data, "--no-timing", "--json", "--ignore-label", ignored).stdout)
    assert found["labels"] == {"0": "background", "1": "foreground"}
    assert found["plan"]["ignored_value"] == ignored
    assert found["label_notes"][-1].startswith(f"ignore label {ignored}: 67.")


def test_masks_hold_no_ignored_value_and_are_measured_by_what_is_known(tmp_path: Path) -> None:
    data = scribbles(tmp_path / "data", 9)
    run, out = tmp_path / "run", tmp_path / "out"
    said = call("train", data, "-o", run, "--ignore-label", 9, *TINY).output
    assert "ignore label 9" in said and "are left out of every loss and Dice" in said
    call("predict", run, data / "images", "-o", out)
    assert set(np.unique(nib.load(out / "v0.nii.gz").dataobj)) <= {0, 1}
    result = json.loads(call("evaluate", out, data / "labels", "--ignore-label", 9, "--json").stdout)
    assert result["rows"][0]["reference_volume"] < 0.2
    call("prune", run, data, "-o", tmp_path / "pruned", "--ignore-label", 9, *PRUNING)


def test_another_value_than_declared_is_refused(tmp_path: Path) -> None:
    data = scribbles(tmp_path, 9)
    (data / "dataset.json").write_text('{"labels": {"background": 0, "organ": 1, "ignore": 9}}')
    said = call("check", data, "--no-timing", "--ignore-label", 8, code=2).output
    assert "--ignore-label 8: dataset.json declares 9 as ignore" in said


def test_predict_tells_of_a_scan_unlike_those_that_trained(tmp_path: Path) -> None:
    """Trained as CT; at prediction one scan was stored with an offset of 1024."""
    data = scribbles(tmp_path / "data", 9)
    call("train", data, "-o", tmp_path / "run", "--ignore-label", 9, "--set", "data.normalization=ct", *TINY)
    image = nib.load(data / "images" / "v0.nii.gz")
    odd = tmp_path / "plus1024.nii.gz"
    nib.Nifti1Image(np.asarray(image.dataobj) + 1024, image.affine).to_filename(odd)
    said = call("predict", tmp_path / "run", data / "images", odd, "-o", tmp_path / "out").output
    (line,) = (line for line in said.splitlines() if "unlike" in line)
    assert "plus1024.nii.gz: its image is unlike those the model was trained on: values of 1" in line
