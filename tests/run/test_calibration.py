"""A run that leaves people out knows what its masks of others are worth; so do exported files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stampseg.networks.model_file import read_description
from tests.cli.command import FINDING, QUICK, call
from tests.data.scans import write_pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"{n:02}" for n in range(10)]
    return write_pictures(tmp_path_factory.mktemp("people"), names)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    call("train", data, "-o", folder, "--validation", "50%", *QUICK, *FINDING)
    return folder


def expected(folder: Path) -> dict[str, float]:
    scans = json.loads((folder / "confidence.json").read_text())["scans"]
    return {scan["mask"]: scan["labels"]["foreground"]["expected_dice"] for scan in scans}


def test_the_model_file_holds_what_validation_showed(run: Path) -> None:
    plan = read_description(run / "model.safetensors").plan
    assert plan is not None and plan.calibration is not None and plan.scans is not None
    assert plan.calibration.source == "validation"
    (background, of) = plan.calibration.labels
    assert background is None and of is not None and of.people == 5
    assert plan.scans.labels[1] is not None and plan.scans.labels[1].cases == 5


def test_fewer_than_five_people_are_no_measure(data: Path, tmp_path: Path) -> None:
    call("train", data, "-o", tmp_path / "run", "--validation", "30%", *QUICK)
    plan = read_description(tmp_path / "run" / "model.safetensors").plan
    assert plan is not None and plan.calibration is None


def test_an_exported_file_expects_the_same(run: Path, data: Path, tmp_path: Path) -> None:
    call("export", run, "-o", tmp_path / "model.onnx")
    images = data / "images"
    call("predict", run, images, "-o", tmp_path / "own", "--confidence")
    call("predict", tmp_path / "model.onnx", images, "-o", tmp_path / "other", "--confidence")
    own, other = expected(tmp_path / "own"), expected(tmp_path / "other")
    assert own.keys() == other.keys() and len(own) == 10
    assert all(other[name] == pytest.approx(value, abs=1e-3) for name, value in own.items())


def test_a_least_dice_for_pipelines(run: Path, data: Path, tmp_path: Path) -> None:
    said = call("predict", run, data / "images", "-o", tmp_path / "out", "--fail-below", "1", code=4).output
    assert "below the 1 of --fail-below" in said
    assert len(list((tmp_path / "out").glob("*_uncertainty.png"))) == 10
    assert (
        "--fail-below" in call("predict", run, data, "-o", tmp_path / "x", "--fail-below", "2", code=2).output
    )


def test_folds_leave_everybody_out_once(data: Path, tmp_path: Path) -> None:
    call("train", data, "-o", tmp_path / "run", "--folds", "2", *QUICK, *FINDING)
    known = json.loads((tmp_path / "run" / "folds.json").read_text())["calibration"]
    assert known["source"] == "folds" and known["labels"][1]["people"] == 10
    for model in (tmp_path / "run", *(tmp_path / "run" / "folds" / number for number in "01")):
        plan = read_description(model / "model.safetensors").plan
        assert plan is not None and plan.calibration is not None
        assert plan.calibration.model_dump(mode="json") == known
    said = call("predict", tmp_path / "run", data / "images", "-o", tmp_path / "out", "--confidence").output
    assert "intervals of 90%, by 10 people of the folds" in said
