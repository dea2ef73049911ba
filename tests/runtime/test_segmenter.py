"""Arrays in, masks out: the same as `predict` writes, and clear words for arrays that do not fit."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import stampseg
from stampseg.core.errors import DataError
from tests.cli.command import QUICK, call
from tests.data.scans import write_pictures, write_volumes


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    data = write_volumes(tmp_path_factory.mktemp("volumes"))
    run = tmp_path_factory.mktemp("runs") / "run"
    call("train", data, "-o", run, "--validation", "none", *QUICK)
    return data, run


def test_an_array_gives_the_mask_that_predict_writes(volumes: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = volumes
    scan = min((data / "images").iterdir())
    call("predict", run, scan, "-o", tmp_path, "--probabilities")
    written = nib.load(tmp_path / scan.name)
    image = nib.load(scan)
    segmenter = stampseg.Segmenter(run)
    by_array = segmenter.segment(np.asarray(image.dataobj), affine=image.affine)
    by_path = segmenter.segment(scan, confidence=False)
    for found in (by_array, by_path):
        assert np.array_equal(found.mask, np.asarray(written.dataobj))
        assert np.allclose(found.affine, written.affine)
    assert by_array.expected.keys() == by_array.certainty.keys() == segmenter.labels.keys()
    assert by_array.uncertainty.shape == by_array.mask.shape
    assert 0 <= by_array.uncertainty.min() <= by_array.uncertainty.max() <= 1
    assert by_path.uncertainty is None and by_path.expected == {} and by_path.probabilities is None
    shares = nib.load(tmp_path / scan.name.replace(".nii.gz", "_probabilities.nii.gz")).get_fdata()
    for confidence in (True, False):
        found = segmenter.segment(scan, confidence=confidence, probabilities=True)
        np.testing.assert_allclose(np.moveaxis(found.probabilities, 0, -1), shares, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4), {}, r"an array of shape \(4, 4\); expected 3 axes"),
        ((8, 8, 8), {}, "needs an affine .* or a spacing"),
        ((8, 8, 8), {"affine": np.eye(4), "spacing": (1, 1, 1)}, "one of them"),
        ((8, 8, 8), {"affine": np.eye(3)}, r"an affine of shape \(3, 3\); expected 4 x 4"),
        ((8, 8, 8), {"affine": np.zeros((4, 4))}, "does not place voxels in space"),
        ((8, 8, 8), {"spacing": (1, 1)}, r"a spacing of \[1, 1\]; expected three sizes above 0"),
        ((2, 8, 8, 8), {"spacing": (1, 1, 1)}, "the array: .*channel"),
    ],
)
def test_arrays_that_do_not_fit(
    volumes: tuple[Path, Path], shape: tuple[int, ...], options: dict, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        stampseg.Segmenter(volumes[1]).segment(np.zeros(shape), **options)


def test_a_picture_needs_no_geometry(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, ["a", "b", "c", "d"])
    call("train", data, "-o", tmp_path / "run", "--validation", "none", *QUICK)
    call("export", tmp_path / "run", "-o", tmp_path / "model.onnx")
    path = min((data / "images").iterdir())
    array = np.asarray(Image.open(path))
    own, exported = (stampseg.Segmenter(tmp_path / m) for m in ("run", "model.onnx"))
    found, same = own.segment(array), exported.segment(path)
    assert found.affine is None and found.mask.shape == array.shape
    assert (found.mask == same.mask).mean() > 0.999
    assert found.certainty == pytest.approx(same.certainty, abs=1e-3)
    grey = own.segment(np.stack([array] * 3), confidence=False)  # a viewer's colours, as of a file
    assert np.array_equal(grey.mask, found.mask)
    message = (
        r"shape \(40, 48, 3\): has 40 channels, as channels come first; expected 1; .*np.moveaxis\(array, -1"
    )
    with pytest.raises(DataError, match=message):
        own.segment(np.stack([array] * 3, axis=-1))
    with pytest.raises(DataError, match=r"the array: 3 channel\(s\), but 1 expected"):
        own.segment(np.stack([array, array, array.T[::-1, ::-1].T]))


def test_values_that_are_no_numbers_are_as_in_a_file(volumes: tuple[Path, Path]) -> None:
    data, run = volumes
    image = nib.load(min((data / "images").iterdir()))
    clean = np.asarray(image.dataobj).astype(np.float32)
    clean[:, 0] = 0
    broken = clean.copy()
    broken[:, 0] = np.nan
    segmenter = stampseg.Segmenter(run)
    first, second = (segmenter.segment(a, affine=image.affine, confidence=False) for a in (clean, broken))
    assert np.array_equal(first.mask, second.mask)
