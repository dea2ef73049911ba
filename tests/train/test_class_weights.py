"""Weights of classes in the loss: what auto is, what a list does, and with voxels left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss

from stampseg.core.errors import ConfigError
from stampseg.core.train_options import TrainOptions
from stampseg.train.loss import class_weights, make_loss
from tests.cli.command import QUICK, call


def test_auto_is_the_root_of_rarity_with_a_limit_and_a_mean_of_one() -> None:
    weights = class_weights(TrainOptions(class_weights="auto"), [9000, 900, 100])
    assert weights is not None and sum(weights) == pytest.approx(3)
    assert weights[1] / weights[0] == pytest.approx(10**0.5)
    assert weights[2] / weights[0] == pytest.approx(90**0.5)
    limited = class_weights(TrainOptions(class_weights="auto"), [10**8, 10, 0])
    assert limited is not None and limited[1] / limited[0] == limited[2] / limited[0] == pytest.approx(10)


def test_none_and_lists() -> None:
    assert class_weights(TrainOptions(), [1, 2]) is None
    assert class_weights(TrainOptions(class_weights=(1, 3)), [1, 2]) == (1, 3)
    with pytest.raises(ConfigError, match=r"`train.class_weights` \[1.0, 3.0\]: 2 numbers for 3 classes"):
        class_weights(TrainOptions(class_weights=(1, 3)), [1, 2, 3])


@pytest.mark.parametrize("loss", ["dice-ce", "dice"])
def test_equal_weights_change_nothing_and_others_do(loss: str) -> None:
    options = TrainOptions(loss=loss)
    scores = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    plain = make_loss(options)(scores, label)
    assert make_loss(options, weights=(1, 1, 1))(scores, label) == pytest.approx(float(plain))
    heavy = make_loss(options, weights=(0.5, 0.5, 2))
    better = scores.clone()
    better[:, 2] += 2.0 * (label[:, 0] == 2)
    gain = [float(rate(scores, label) - rate(better, label)) for rate in (heavy, make_loss(options))]
    assert gain[0] > gain[1] > 0


def test_where_voxels_are_left_out_the_loss_is_the_same_as_without_them() -> None:
    """All known: the loss for partly known labels is MONAI's, weights and all."""
    scores = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    weights = (0.5, 1.0, 1.5)
    usual = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, weight=torch.tensor(weights))
    partly = make_loss(TrainOptions(), weights=weights)(scores, label)
    assert float(partly) == pytest.approx(float(usual(scores, label)), rel=1e-5)


def test_from_the_command_line(pictures: Path, tmp_path: Path) -> None:
    options = (*QUICK, "--validation", "25%", "--method", "dense", "--set")
    said = call("train", pictures, "-o", tmp_path / "run", *options, "train.class_weights=auto").output
    assert "class weights: background 0." in said
    said = call(
        "train", pictures, "-o", tmp_path / "no", *options, "train.class_weights=[1,2,3]", code=2
    ).output
    assert "train.class_weights [1.0, 2.0, 3.0]: 3 numbers for 2 classes; expected one each" in said
    said = call("train", pictures, "-o", tmp_path / "no", *options, "train.class_weights=x", code=2).output
    assert "train.class_weights" in said and "'x'" in said


def test_classes_of_the_network_that_the_masks_lack_are_counted_in_their_place(
    volumes: Path, tmp_path: Path
) -> None:
    """The second class, which is there, has its own voxels; the first, which is not, none."""
    call("train", volumes, "-o", tmp_path / "both", *QUICK, "--method", "dense", "--validation", "none")
    data = shutil.copytree(volumes, tmp_path / "data")
    for path in (data / "labels").iterdir():
        mask = nib.load(path)
        voxels = np.asarray(mask.dataobj)
        nib.Nifti1Image(np.where(voxels == 1, 0, voxels).astype(np.uint8), mask.affine).to_filename(path)
    options = ("--steps", 4, "--validation", "none", "--target", "90%", "--set", "prune.rounds=1")
    said = call(
        "prune", tmp_path / "both", data, "-o", tmp_path / "run", *options, *QUICK[8:],
        "--set", "train.class_weights=auto",
    ).output  # fmt: skip
    assert "class weights: background 0." in said
    record = json.loads((tmp_path / "run" / "fingerprint.json").read_text())
    background, first, second = record["class_voxels"]
    assert background > second > first == 0
