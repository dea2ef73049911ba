"""`stampseg export`, as a user types it: the file is proved on real inputs, or is not there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stampseg.cli.commands import app
from stampseg.core.run_folder import MODEL_FILE
from stampseg.export import export as exporting
from stampseg.export.parity import Parity, Structure
from stampseg.export.trial import calibration_windows, trial_of_run
from stampseg.networks.model_file import load_model
from stampseg.runtime.session import open_session
from tests.cli.command import QUICK, train_quickly
from tests.data.scans import disc
from tests.export.pages import need_vendor

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def call(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["export", *(str(a) for a in arguments)])
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small pruned run."""
    return train_quickly(pictures, tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("suffix", [".onnx", ".openvino", ".pt2", ".html"])
def test_the_file_is_proved_on_the_runs_own_cases(suffix: str, run: Path, tmp_path: Path) -> None:
    if suffix == ".openvino":
        pytest.importorskip("openvino")
    if suffix == ".html":
        need_vendor()
    told = call(run, "-o", tmp_path / f"m{suffix}").output
    assert [path.name for path in tmp_path.iterdir()] == [f"m{suffix}"]
    assert "3 of the run's validation and training cases (p" in told
    assert "largest difference of scores" in told and "Dice against the labels" in told
    if suffix in (".onnx", ".openvino"):
        parity = open_session(tmp_path / f"m{suffix}").details.parity
        assert (parity["cases"], parity["tolerance"]) == (3, 0.001)
        assert parity["largest_difference"] < 1e-4 and parity["label_share"] == 0 and parity["dice"] == 1
        assert parity["dice_network"] == pytest.approx(parity["dice_exported"])
        assert parity["structures"] and all(one["dice"] == 1 for one in parity["structures"])


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_full_disk_is_said_with_the_file(
    suffix: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: object) -> int:
        raise OSError(28, "No space left on device")  # without a name, as of a write

    monkeypatch.setattr(Path, "write_bytes", full)
    told = call(run, "-o", tmp_path / f"m{suffix}", code=3).output
    assert f"/m{suffix}: cannot be written (No space left on device), where the file is tried" in told
    assert "variable TMPDIR" in told and not list(tmp_path.iterdir())


def test_volumes_of_two_classes_with_the_cases_named_otherwise(volumes: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["train", str(volumes), "-o", str(tmp_path / "run"), *QUICK])
    assert made.exit_code == 0, made.output
    lone = tmp_path / "lone.safetensors"
    shutil.copyfile(tmp_path / "run" / "model.safetensors", lone)
    told = call(lone, "-o", tmp_path / "a.onnx", code=2).output
    assert "lies in no run folder" in told and "name images with --input, or the data set with --data" in told
    told = call(lone, "-o", tmp_path / "a.onnx", "--data", volumes, "--cases", 2).output
    assert "2 of the data set's cases (v0, v1)" in told and "against the labels" in told
    one = volumes / "images" / "v3.nii.gz"
    told = call(lone, "-o", tmp_path / "b.onnx", "--input", one, "--format", "onnx").output
    assert "1 of named images (v3)" in told and "against the labels" not in told
    pytest.importorskip("nncf")
    told = call(
        tmp_path / "run", "-o", tmp_path / "c.openvino", "--precision", "int8", "--tolerance", 1
    ).output
    assert "ranges taken from" in told and "training cases" in told


def test_int8_takes_its_ranges_from_training_cases_only(run: Path) -> None:
    splits = json.loads((run / "splits.json").read_text())
    trial = trial_of_run(run / "model.safetensors", 3)
    training = {case["id"] for case in splits["training"]}
    assert {case.id for case in trial.training} == training
    assert [case.id for case in trial.checked][:2] == [case["id"] for case in splits["validation"]]
    plan = load_model(run / "model.safetensors").plan
    windows = calibration_windows(trial.training, plan)
    assert {w.shape for w in windows} == {(1, plan.in_channels, *plan.patch_size)}
    assert {w.dtype for w in windows} == {np.dtype(np.float32)}
    again = calibration_windows(trial.training, plan)
    assert all(np.array_equal(a, b) for a, b in zip(windows, again, strict=True))


def test_a_file_that_predicts_something_else_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = exporting.open_session

    def wrong(path: Path) -> Any:
        session = opened(path)
        return lambda windows: session(windows)[:, ::-1]

    monkeypatch.setattr(exporting, "open_session", wrong)
    told = call(run, "-o", tmp_path / "m.onnx", code=4).output
    assert "m.onnx: not written: Dice between the two is 0." in told
    assert "of the voxels differ; expected at most 0.0100%" in told
    assert "try another --format, or allow more with --tolerance" in told
    told = call(run, "-o", tmp_path / "m.onnx", "--precision", "int8", code=4).output
    assert "int8 would change nothing: every convolution has fewer than 16 channels" in told
    assert not list(tmp_path.iterdir())
    for package in ("openvino", "nncf"):
        pytest.importorskip(package)
    told = call(run, "-o", tmp_path / "m.openvino", "--precision", "int8", code=4).output
    assert "Dice falls from" in told and "by more than 0.01; use --precision bf16 or f32" in told
    assert not list(tmp_path.iterdir())
    call(run, "-o", tmp_path / "m.openvino", "--precision", "int8", "--tolerance", 1)
    assert open_session(tmp_path / "m.openvino").details.parity["tolerance"] == 1


@pytest.mark.parametrize(
    ("precision", "values", "message"),
    [
        ("f32", {}, None),
        ("f32", {"dice": 0.998}, "Dice between the two is 0.9980; expected at least 0.999"),
        ("f32", {"label_share": 2e-4}, "0.0200% of the voxels differ; expected at most 0.0100%"),
        ("f32", {"largest_difference": 0.02}, "scores differ by up to 0.02; expected at most 0.01"),
        ("bf16", {"largest_difference": 0.1, "label_share": 2e-4, "dice": 0.981, "tolerance": 0.02}, None),
        ("bf16", {"dice": 0.97, "tolerance": 0.02}, "Dice between the two is 0.9700; expected at least 0.98"),
        ("int8", {"dice": 0.9, "dice_network": 0.8, "dice_exported": 0.795, "tolerance": 0.01}, None),
        (
            "int8",
            {"dice_network": 0.8, "dice_exported": 0.78, "tolerance": 0.01},
            "Dice falls from 0.8000 to",
        ),
        ("int8", {"dice": 0.98, "tolerance": 0.01}, "Dice between the two is 0.9800; expected at least 0.99"),
        ("int8", {"largest_difference": float("inf"), "tolerance": 1.0}, "its scores are not all finite"),
    ],
)
def test_what_each_precision_may_lose(precision: Any, values: dict[str, Any], message: str | None) -> None:
    best: dict[str, Any] = {
        "cases": 1, "largest_difference": 0.0, "label_share": 0.0, "dice": 1.0, "dice_network": None,
        "dice_exported": None, "tolerance": 0.001,
    }  # fmt: skip
    failures = Parity(**{**best, **values}).failures(precision)
    assert (not failures) if message is None else (len(failures) == 1 and message in failures[0])


@pytest.mark.parametrize(
    ("precision", "tumour", "message"),
    [
        ("int8", (0.9, 0.6, 0.57), None),
        ("int8", (0.9, 0.6, 0.4), "Dice of tumour falls from 0.6000 to 0.4000, by more than 0.05"),
        ("int8", (0.9, None, None), "Dice of tumour between the two is 0.9000; expected at least 0.95"),
        ("bf16", (0.96, 0.6, 0.1), None),
        ("bf16", (0.9, 0.6, 0.6), "Dice of tumour between the two is 0.9000; expected at least 0.95"),
        ("f32", (0.9, 0.6, 0.1), None),
    ],
)
def test_no_structure_is_lost_behind_the_mean(precision: Any, tumour: tuple, message: str | None) -> None:
    structures = (Structure("liver", 0.99, 0.8, 0.99), Structure("tumour", *tumour))
    parity = Parity(
        cases=1, largest_difference=0.0, label_share=0.0, dice=1.0, dice_network=0.8, dice_exported=0.8,
        tolerance=0.01, structures=structures,
    )  # fmt: skip
    assert parity.failures(precision) == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-o", "m.bin"), 2, "-o m.bin: the name does not end as an exported file does"),
        (("-o", "m.onnx", "--format", "openvino"), 2, "let the name end in .openvino"),
        (("-o", "m.onnx", "--precision", "bf16"), 2, "ONNX Runtime has no bfloat16 convolutions"),
        (("-o", "m.pt2", "--precision", "int8"), 2, "use --format openvino or onnx for int8"),
        (("-o", "m.onnx", "--precision", "half"), 2, "--precision 'half' is not known"),
        (("-o", "m.onnx", "--cases", "0"), 2, "--cases 0: expected at least 1 case"),
        (("-o", "m.onnx", "--tolerance", "2"), 2, "--tolerance 2: expected the Dice that may be lost"),
        (("-o", "m.onnx", "--data", ".", "--input", "."), 2, "give one of them"),
        (("-o", "m.onnx", "--data", "nowhere"), 3, "nowhere: no such file or folder"),
        (("-o", "m.onnx", "--input", "nowhere.png"), 3, "nowhere.png"),
    ],
)
def test_wrong_options_end_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(run, *arguments, code=code)
    assert message in result.output and result.output.count("stampseg:") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays_unless_asked(run: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"mine")
    told = call(run, "-o", tmp_path / "m.onnx", code=3).output
    assert "exists already; choose another file with -o, or say --overwrite" in told
    assert (tmp_path / "m.onnx").read_bytes() == b"mine"
    call(run, "-o", tmp_path / "m.onnx", "--overwrite", "--cases", 1)
    assert open_session(tmp_path / "m.onnx").details.parity["cases"] == 1


def test_labels_that_changed_since_the_run_measure_nothing(run: Path, tmp_path: Path) -> None:
    assert all(case.label is not None for case in trial_of_run(run / MODEL_FILE, 3).checked)
    splits = json.loads((run / "splits.json").read_text())
    for entry in (*splits["training"], *splits["validation"]):
        entry["digest"] = "0" * 32
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    checked = trial_of_run(tmp_path / MODEL_FILE, 3).checked
    assert len(checked) == 3 and all(case.label is None for case in checked)


def test_masks_of_nothing_prove_little(run: Path) -> None:
    blind = Parity(
        cases=2, largest_difference=0.0, label_share=0.0, dice=1.0, dice_network=None, dice_exported=None,
        tolerance=0.01, found=0,
    )  # fmt: skip
    told: list[str] = []
    exporting._say(blind, trial_of_run(run / MODEL_FILE, 2), told.append)
    assert "WARNING" in told[-1] and "finds nothing in these cases" in told[-1]
    exporting._say(replace(blind, found=5), trial_of_run(run / MODEL_FILE, 2), told.append)
    assert "finds nothing" not in told[-1]


def test_cases_to_check_on_are_of_as_many_people_as_there_are(run: Path, tmp_path: Path) -> None:
    splits = json.loads((run / "splits.json").read_text())
    entries = [*splits["validation"], *splits["training"]]
    for number, entry in enumerate(entries):
        entry["group"] = "a" if number < 3 else f"b{number}"
    splits["validation"], splits["training"] = entries, []
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    checked = trial_of_run(tmp_path / MODEL_FILE, 3).checked
    assert len({case.group for case in checked}) == 3


def test_a_run_whose_images_are_gone_asks_for_others(run: Path, tmp_path: Path) -> None:
    shutil.copyfile(run / "model.safetensors", tmp_path / "model.safetensors")
    splits = json.loads((run / "splits.json").read_text())
    for change, message in (
        ({"images": ["/nowhere/a.png"]}, "the images it names are not there any more"),
        ({"images": []}, "does not say where the images are"),
        (None, "does not say where the images are"),
    ):
        for part in ("training", "validation"):
            for entry in splits[part]:
                entry.pop("images", None) if change is None else entry.update(change)
        (tmp_path / "splits.json").write_text(json.dumps(splits))
        told = call(tmp_path, "-o", tmp_path / "m.onnx", code=2).output
        assert message in told and "name images with --input, or the data set with --data" in told
    (tmp_path / "splits.json").write_text("[")
    assert "splits.json: is damaged" in call(tmp_path, "-o", tmp_path / "m.onnx", code=3).output


def test_splits_name_images_that_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set that was named by a relative path."""
    from PIL import Image

    rng = np.random.default_rng(3)
    for part in ("images", "masks"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for index in range(4):
        image, mask = disc(rng, (32, 32))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            tmp_path / "data" / "images" / f"{index}.png"
        )
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "data" / "masks" / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(app, ["train", "data", "-o", "run", *QUICK])
    assert made.exit_code == 0, made.output
    monkeypatch.chdir(tmp_path / "data")
    call(tmp_path / "run", "-o", tmp_path / "m.onnx")


@pytest.fixture(scope="module")
def hippocampus(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for a moment: its scores are near each other everywhere, which is harder to keep."""
    output = tmp_path_factory.mktemp("real") / "run"
    quick = ("--steps", "30", "--set", "network.width=8", "--set", "train.batch_size=2", "--labels", "6")
    data = shared_data / "hippocampus_mri"
    made = CliRunner().invoke(app, ["train", str(data), "-o", str(output), *quick, "--method", "dense"])
    assert made.exit_code == 0, made.output
    return output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "precision"),
    [("onnx", "f32"), ("onnx", "int8"), ("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8")],
)
def test_a_real_hippocampus(suffix: str, precision: str, hippocampus: Path, tmp_path: Path) -> None:
    for package in ("openvino", "nncf"):
        pytest.importorskip(package)
    path = tmp_path / f"m.{suffix}"
    call(hippocampus, "-o", path, "--precision", precision, "--tolerance", 0.1)
    parity = open_session(path).details.parity
    assert parity["dice"] > {"f32": 0.9999, "bf16": 0.98, "int8": 0.9}[precision]
    if precision == "f32":
        assert parity["largest_difference"] < 1e-4
