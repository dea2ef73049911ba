"""Sliding windows: against one pass over the whole image, on flipped files, with the modes left alone."""

import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stampseg.channels.modes import evaluating
from stampseg.core.errors import DataError
from stampseg.data.cases import Case
from stampseg.data.io.readers import read_image
from stampseg.data.plan import Plan
from stampseg.runtime.sliding import slide
from stampseg.runtime.torch_scorer import predict_case, scoring

DATA = Path(os.environ.get("STAMPSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def plan(dims, patch, **changes):
    values = {
        "spatial_dims": dims,
        "in_channels": 1,
        "label_values": (0, 1, 2),
        "label_names": ("background", "one", "two"),
        "orientation": "RAS" if dims == 3 else None,
        "spacing": (1.0,) * dims,
        "crop": "none",
        "patch_size": patch,
        "normalization": "zscore",
        "ct": None,
        "strides": ((2,) * dims,),
    }
    return Plan(**{**values, **changes})


def predict_scores(network, image, plan, device, *, batch_size=1):
    """Class scores (K, *S) of a prepared image (C, *S), all in memory."""
    with scoring(network, device) as scorer:
        return np.concatenate(list(slide(image, plan, scorer, 0, batch_size=batch_size)), axis=1)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Pointwise(nn.Module):
    """Logits from each voxel alone: windows cannot matter. Records what it was given."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append((x, self.training))
        return torch.cat([x, -x, torch.zeros_like(x)], dim=1)


@pytest.mark.parametrize(
    ("shape", "patch"),
    [
        ((20, 20), (16, 16)),
        ((7, 40), (16, 16)),
        ((16, 16), (16, 16)),
        ((5, 6, 7), (8, 8, 8)),
        ((9, 20, 11), (8, 8, 8)),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_windows_of_a_pointwise_network_add_up_to_one_pass(shape, patch, batch_size):
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    network = Pointwise()
    scores = predict_scores(network, image.numpy(), plan(len(shape), patch), "cpu", batch_size=batch_size)
    assert scores.shape == (3, *shape)
    assert scores.dtype == np.float32
    assert np.allclose(scores, torch.softmax(network(image[None]), 1)[0], atol=1e-5)
    assert np.allclose(scores.sum(0), 1, atol=1e-5)


def test_network_sees_the_training_patch_padded_as_in_training():
    network = Pointwise()
    predict_scores(network, np.ones((1, 5, 20), np.float32), plan(2, (16, 16)), "cpu")
    for window, training in network.calls:
        assert window.shape[2:] == (16, 16)
        assert window[0, 0, 5:10].all() and not window[0, 0, :5].any() and not window[0, 0, 10:].any()
        assert not training
    assert len(network.calls) > 1


@pytest.mark.parametrize("dims", [2, 3])
def test_windows_are_channels_last(dims):
    network = Pointwise()
    predict_scores(network, noise(2, *(16,) * dims), plan(dims, (8,) * dims, in_channels=2), "cpu")
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    assert all(window.is_contiguous(memory_format=layout) for window, _ in network.calls)


def test_far_from_its_border_a_window_knows_as_much_as_the_whole_image():
    torch.manual_seed(0)
    network = nn.Conv2d(1, 3, 3, padding=1)
    image = noise(1, 64, 64)
    scores = predict_scores(network, image, plan(2, (32, 32)), "cpu")
    oracle = network(torch.from_numpy(image)[None])[0].argmax(0).numpy()
    assert (scores.argmax(0) == oracle).mean() > 0.99


def test_modes_are_put_back_even_after_an_error():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Conv2d(1, 2, 1))
    network.train()
    network[0].eval()  # frozen statistics stay frozen
    before = network[0].running_mean.clone()
    predict_scores(network, noise(1, 16, 16), plan(2, (8, 8)), "cpu")
    assert [module.training for module in network] == [False, True, True]
    assert network.training
    assert torch.equal(network[0].running_mean, before)
    with pytest.raises(RuntimeError), evaluating(network):
        raise RuntimeError
    assert [module.training for module in network] == [False, True, True]


def test_dropout_does_not_act():
    network = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 2, 1)).train()
    image = noise(1, 16, 16)
    first, second = (predict_scores(network, image, plan(2, (8, 8)), "cpu") for _ in range(2))
    assert np.array_equal(first, second)


# --- whole cases ---


def case_of(*files):
    return Case("case", "case", tuple(files), None)


@pytest.mark.parametrize("codes", ["LPS", "PSR", "SAL"])
def test_a_file_stored_along_other_axes_gives_the_same_mask(tmp_path, codes):
    array = np.random.default_rng(0).normal(size=(12, 17, 21)).astype(np.float32)
    straight = nib.Nifti1Image(array, np.diag([1, 1.5, 2, 1]))
    change = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    turned = straight.as_reoriented(change)
    settings = plan(3, (8, 8, 8), spacing=(1.0, 1.0, 1.0))
    masks = []
    torch.manual_seed(0)
    network = nn.Conv3d(1, 3, 3, padding=1)
    for name, scan in (("a", straight), ("b", turned)):
        nib.save(scan, tmp_path / f"{name}.nii.gz")
        mask = predict_case(network, case_of(tmp_path / f"{name}.nii.gz"), settings, "cpu", batch_size=4)
        assert mask.shape == scan.shape
        assert mask.dtype == np.uint8
        masks.append(nib.Nifti1Image(mask, scan.affine))
    assert len(np.unique(masks[0].dataobj)) == 3
    assert np.array_equal(masks[0].dataobj, nib.as_closest_canonical(masks[1]).dataobj)


def test_a_picture_of_another_size(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 53), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    mask = predict_case(
        Pointwise(), case_of(tmp_path / "a.png"), plan(2, (16, 16), spacing=(2.0, 2.0)), "cpu"
    )
    assert mask.shape == (37, 53)
    assert set(np.unique(mask)) <= {0, 1, 2}


def test_an_input_of_the_wrong_kind(tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: 2 spatial axes \(20, 20\), expected 3"):
        predict_case(Pointwise(), case_of(tmp_path / "a.png"), plan(3, (8, 8, 8)), "cpu")


@pytest.mark.parametrize(
    "name",
    [
        "hippocampus_mri/imagesTr/hippocampus_052.nii.gz",
        "spinal_cord_mri/t2/t2.nii.gz",
        "odd_headers/monai/anatomical.nii",
        "odd_hippocampus/dicom_crop_series",
        "cardiac_mri/images/SC-HF-I-01-IM-0001-0048.png",
    ],
)
def test_real_files_give_a_mask_of_their_own_shape(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not found at {path}; set STAMPSEG_DATA")
    header = read_image([path]).header
    dims = len(header.shape)
    settings = plan(dims, (48, 64, 48)[:dims], spacing=(1.25,) * dims)
    mask = predict_case(Pointwise(), replace(case_of(path), label=path), settings, "cpu")
    assert mask.shape == header.shape
    assert len(np.unique(mask)) >= 2
