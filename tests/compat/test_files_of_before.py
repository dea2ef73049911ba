"""Files that version 0.1.0 wrote before its modules moved: opened, resumed, and pruned further."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stampseg.data.plan import Plan
from stampseg.data.transforms import TrainingTransform
from stampseg.networks.model_file import load_model
from stampseg.networks.pretrained.nnunet_architecture import PRUNED
from stampseg.networks.pretrained.source import fill, open_source
from stampseg.networks.skeleton import skeleton
from tests.cli.command import call

FILES = Path(__file__).parent / "files"
PLACEHOLDER = "@DATA@"
# A bias before a batch norm changes nothing: its gradient is rounding, of which Adam makes whole steps. It
# goes another way on another processor, and the norm's mean with it, a little late; a Dice moves by a voxel.
ROUNDING = (".conv.bias", ".norm.running_mean")
DICE = 5e-3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files whose paths lead into the copy; tests may add files, and change none."""
    root = tmp_path_factory.mktemp("before") / "files"
    shutil.copytree(FILES, root)
    for path in root.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".yaml", ".txt", ".csv"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(PLACEHOLDER, root.as_posix()), encoding="utf-8")
    return root


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def same_masks(one: Path, other: Path) -> bool:
    """A voxel may tip over where another machine rounds otherwise."""
    found, expected = masks(one), masks(other)
    assert found.keys() == expected.keys() and all(mask.any() for mask in expected.values())
    return all((found[name] != expected[name]).mean() < 0.005 for name in found)


@pytest.mark.parametrize("model", ["finished", "finished/model.safetensors", "model.onnx"])
def test_models_predict_what_they_predicted(files: Path, model: str, tmp_path: Path) -> None:
    call("predict", files / model, files / "pictures" / "images", "-o", tmp_path / "masks")
    assert same_masks(tmp_path / "masks", files / "predicted")


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predictions_score_what_they_scored(files: Path, tmp_path: Path) -> None:
    table = tmp_path / "metrics.csv"
    call("evaluate", files / "predicted", files / "pictures" / "masks", "-o", table)
    found, expected = rows(table), rows(files / "metrics.csv")
    assert len(found) == len(expected) == 18
    for row, old in zip(found, expected, strict=True):
        now = {name.replace("hd95_mm", "hd95"): value for name, value in old.items()}
        assert {name: row[name] for name in now} == now  # new columns may have come


def test_the_report_of_a_run_that_has_ended(files: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    call("report", files / "finished", "-o", page)
    text = page.read_text(encoding="utf-8")
    assert f"{result(files / 'finished')['parameters_after']:,}" in text
    assert "label_2" in text
    gaps = re.findall(r"Missing or damaged files.*?</section>", text, re.DOTALL)
    said = [path.name for path in (files / "finished").iterdir() if any(path.name in gap for gap in gaps)]
    assert not set(said) - {"log.txt"}, gaps  # which may be named as the place of what newer files hold


def test_a_run_is_exported(files: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    call(
        "export", files / "finished", "-o", tmp_path / "model.onnx"
    )  # on the run's own cases, by splits.json
    assert (tmp_path / "model.onnx").is_file()


def test_a_run_is_looked_into(files: Path) -> None:
    found = call("inspect", files / "finished", "--json").stdout
    assert str(result(files / "finished")["parameters_after"]) in found


@pytest.mark.slow
def test_a_run_is_timed(files: Path) -> None:
    found = call("bench", files / "finished", "--runtimes", "eager", "--seconds", "0.01", "--json").stdout
    assert str(result(files / "finished")["parameters_after"]) in found


def test_a_run_is_pruned_further(files: Path, tmp_path: Path) -> None:
    call(
        "prune", files / "finished", files / "pictures", "-o", tmp_path / "run", "--steps", "4",
        "--target", "80%", "--validation", "none", "--set", "prune.rounds=1",
        "--set", "train.missed_label=warn", "--set", "prune.ready_dice=0",
    )  # fmt: skip
    before = load_model(files / "finished" / "model.safetensors").network
    after = load_model(tmp_path / "run" / "model.safetensors").network
    assert sum(p.numel() for p in after.parameters()) <= 0.8 * sum(p.numel() for p in before.parameters())


def rounds(run: Path) -> dict[int, Any]:
    return dict(enumerate(map(json.loads, (run / "rounds.jsonl").read_text().splitlines())))


def result(run: Path) -> dict[str, Any]:
    """Without what is of the machine, and the remarks, of which there are more now."""
    values = json.loads((run / "result.json").read_text())
    return {n: value for n, value in values.items() if n not in ("machine", "remarks", "seconds")}


def shared(found: Any, expected: Any) -> None:
    """All that was recorded then is so now; what is recorded beside it now is new."""
    if isinstance(expected, dict):
        assert found.keys() >= expected.keys()
        for name in expected.keys() - {"seconds"}:
            shared(found[name], expected[name])
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=DICE)
    else:
        assert found == expected


@pytest.mark.parametrize("name", ["training", "pruning"])
def test_a_stopped_run_ends_as_it_would_have_ended(
    files: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cuts, models and Dice, although defaults have changed since: the run keeps those it began with.

    But for what lies beyond a scan, which was background then, and is left out of the loss now.
    """
    make = TrainingTransform.__init__

    def as_then(self: TrainingTransform, plan: Plan, **options: Any) -> None:
        make(self, plan, **options)
        self._beyond = 0

    monkeypatch.setattr(TrainingTransform, "__init__", as_then)
    run, then = Path(shutil.copytree(files / name, tmp_path / name)), files / f"{name}-resumed"
    call("train", "--resume", run)
    found, expected = load_model(run / "model.safetensors"), load_model(then / "model.safetensors")
    assert found.description.kept == expected.description.kept
    tensors = expected.network.state_dict()
    assert found.network.state_dict().keys() == tensors.keys()
    for key, tensor in found.network.state_dict().items():
        if not key.endswith(ROUNDING):
            assert torch.allclose(tensor, tensors[key], atol=1e-4), key
    shared(rounds(run), rounds(then))
    shared(result(run), result(then))
    assert not (run / "checkpoint").exists()


@pytest.mark.parametrize("name", ["training", "pruning"])
def test_a_stopped_run_ends_by_the_loss_of_now(files: Path, name: str, tmp_path: Path) -> None:
    """The same steps and a network within the same target."""
    run = Path(shutil.copytree(files / name, tmp_path / name))
    call("train", "--resume", run)
    found, expected = result(run), result(files / f"{name}-resumed")
    assert (found["steps"], found["target"]) == (expected["steps"], expected["target"])
    assert found["target_reached"] == expected["target_reached"]
    assert (run / "model.safetensors").is_file() and not (run / "checkpoint").exists()


def test_an_nnunet_export_that_names_the_old_module(files: Path, tmp_path: Path) -> None:
    pytest.importorskip("dynamic_network_architectures")
    folder = files / "nnunet"
    plans = json.loads((folder / "plans.json").read_text())
    old = plans["configurations"]["2d"]["architecture"]["network_class_name"]
    assert old == "stampseg.pretrained.nnunet_network.pruned_network" != PRUNED
    source = open_source(folder)
    assert source.spec is not None and source.kept is not None
    network, _ = skeleton(source.spec, source.kept)
    fill(network, source)
    ramp = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
    with torch.no_grad():
        found = network.eval()(ramp)[0]
    assert np.allclose(found.numpy(), np.load(files / "nnunet-output.npy"), atol=1e-5)
