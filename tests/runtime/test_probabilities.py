"""`predict --probabilities`: right values on the scan's own grid, in a file that other programs read."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from stampseg.core.errors import ConfigError, DataError
from stampseg.data.calibration import MEASURE, Calibration, LabelCalibration
from stampseg.data.inverse import Shares, tempered
from stampseg.data.io.probabilities import write_probabilities
from stampseg.data.io.volume import Header
from stampseg.data.plan import Plan
from stampseg.data.preprocess import Geometry
from stampseg.evaluation.folders import evaluate_folder
from stampseg.runtime import segmentation
from stampseg.runtime.model import OpenModel
from stampseg.runtime.segment_options import SegmentOptions
from stampseg.runtime.sliding import softmax
from tests.cli.command import FINDING, QUICK, call
from tests.data.scans import write_pictures

CURVE = LabelCalibration(certainty=(0.0, 1.0), dice=(0.0, 0.8), margin=0.1, people=9)


def plan(dims: int, **changes: object) -> Plan:
    values: dict = {
        "spatial_dims": dims, "in_channels": 1, "label_values": (0, 3, 7), "crop": "none",
        "label_names": ("background", "liver", "gall"), "orientation": "RAS" if dims == 3 else None,
        "spacing": (1.0,) * dims, "patch_size": (8,) * dims, "normalization": "min-max", "ct": None,
        "strides": ((2,) * dims,),
    }  # fmt: skip
    return Plan(**{**values, **changes})


def logits_of(windows: np.ndarray) -> np.ndarray:
    """Of three classes, by the value alone, so that windows agree on every voxel."""
    return np.concatenate([1 - 2 * windows, 3 * windows - 1, windows], axis=1).astype(np.float32)


def predict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Plan, **options: object
) -> tuple[list[str], list[Path]]:
    opened = OpenModel(settings, lambda: nullcontext(logits_of))
    monkeypatch.setattr(segmentation, "open_segmenter", lambda *a, **k: opened)
    said: list[str] = []
    asked = SegmentOptions(probabilities=True, **options)  # type: ignore[arg-type]
    found = segmentation.segment(folder / "m", [folder / "in"], folder / "out", asked, echo=said.append)
    found.check()
    return said, [mask.path for mask in found.masks]


def normalised(array: np.ndarray) -> np.ndarray:
    return (array - array.min()) / np.ptp(array)


@pytest.mark.parametrize("temperature", [None, 2.0])
@pytest.mark.parametrize("confidence", [False, True])
def test_a_volume_lies_as_its_scan_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float | None, confidence: bool
) -> None:
    """Oracle: the softmax of the logits at every voxel, in the file's own axes."""
    array = np.random.default_rng(0).random((9, 12, 10)).astype(np.float32)
    affine = np.array([[0, -1.0, 0, 4], [0, 0, 1, 5], [-1, 0, 0, 6], [0, 0, 0, 1]])
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "in" / "scan.nii.gz")
    known = None
    if temperature is not None:
        known = Calibration(
            labels=(None, CURVE, CURVE), source="folds", temperature=temperature, measure=MEASURE
        )
    said, _ = predict(tmp_path, monkeypatch, plan(3, calibration=known), confidence=confidence)
    found = nib.load(tmp_path / "out" / "scan_probabilities.nii.gz")
    np.testing.assert_allclose(found.affine, affine)
    expected = softmax(logits_of(normalised(array)[None, None]) / (temperature or 1.0))[0]
    np.testing.assert_allclose(found.get_fdata(), np.moveaxis(expected, 0, -1), atol=2e-4)
    assert found.get_data_dtype() == np.uint16
    assert bytes(found.header["descrip"].item()).startswith(b"background;liver;gall")
    other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(tmp_path / "out" / "scan_probabilities.nii.gz"))
    np.testing.assert_allclose(other, found.get_fdata().transpose(), atol=1e-6)  # axes the other way round
    mask = nib.load(tmp_path / "out" / "scan.nii.gz").get_fdata()
    assert (np.array([0, 3, 7])[found.get_fdata().argmax(-1)] == mask).mean() > 0.99
    words = "at a temperature of 2.00, of people who were left out" if known else "as the network gives them"
    (line,) = (line for line in said if line.startswith("probabilities of background, liver, gall in NAME"))
    assert words in line


def test_a_picture_is_a_slice_by_column_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(1).integers(0, 255, (14, 9), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(array).save(tmp_path / "in" / "photo.png")
    predict(tmp_path, monkeypatch, plan(2))
    found = nib.load(tmp_path / "out" / "photo_probabilities.nii.gz")
    assert found.shape == (9, 14, 1, 3)
    expected = softmax(logits_of(normalised(array.astype(np.float32))[None, None]))[0]
    np.testing.assert_allclose(found.get_fdata()[:, :, 0], expected.transpose(2, 1, 0), atol=2e-4)


def test_outside_of_the_crop_it_is_background_and_all_add_up_to_one() -> None:
    geometry = Geometry.working((6, 8))
    shares = Shares(geometry, 2)
    assert (shares.shares[0] == 65535).all() and not shares.shares[1].any()
    part = np.full((2, 6, 8), 0.5, np.float32)
    part[1, 2] = 0.25
    part[0, 2] = 0.75
    shares.add(part[:, :3])
    shares.add(part[:, 3:])
    assert shares.shares.sum(axis=0).min() >= 65534
    assert shares.shares[1, 2, 0] == round(0.25 * 65535)


def test_a_temperature_divides_logits() -> None:
    logits = np.random.default_rng(2).normal(size=(1, 4, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(tempered(softmax(logits)[0], 3.0), softmax(logits / 3)[0], atol=1e-6)
    assert tempered(logits[0], 1.0) is not None


def test_nothing_is_replaced_and_ensembles_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "in" / "photo.png")
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "photo_probabilities.nii.gz"
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"photo_probabilities.nii.gz: exists already"):
        predict(tmp_path, monkeypatch, plan(2))
    assert mine.read_text() == "mine" and not (tmp_path / "out" / "photo.png").exists()
    several = OpenModel(plan(2), lambda: nullcontext(logits_of), models=(Path("a"), Path("b")))
    monkeypatch.setattr(segmentation, "open_segmenter", lambda *a, **k: several)
    with pytest.raises(ConfigError, match="`probabilities` are of one network, and an ensemble has several"):
        segmentation.segment(
            tmp_path / "m", [tmp_path / "in"], tmp_path / "new", SegmentOptions(probabilities=True)
        )


def test_another_shape_than_the_image_is_an_error(tmp_path: Path) -> None:
    header = Header((4, 4), (1.0, 1.0), None, 1, "uint8", Path("a.png"), True)
    with pytest.raises(DataError, match=r"x.nii.gz: probabilities of shape \(4, 5\); expected \(4, 4\)"):
        write_probabilities(tmp_path / "x.nii.gz", np.zeros((2, 4, 5), np.uint16), header, ["a", "b"])


def test_through_the_command_line(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, [f"{n:02}" for n in range(10)])
    call("train", data, "-o", tmp_path / "run", "--validation", "50%", *QUICK, *FINDING)
    out = tmp_path / "out"
    said = call("predict", tmp_path / "run", data / "images", "-o", out, "--probabilities", "--json").stdout
    masks = json.loads(said)["masks"]
    assert len(masks) == 10 and all(Path(mask["probabilities"]).is_file() for mask in masks)
    plan_now = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan_now["label_names"][0] == "background"
    assert "at a temperature of " in call(
        "predict", tmp_path / "run", data / "images" / "00.png", "-o", tmp_path / "one", "--probabilities"
    ).output  # fmt: skip
    assert len({row.case for row in evaluate_folder(out, data / "masks").rows}) == 10
