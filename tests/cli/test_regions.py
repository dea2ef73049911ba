"""nnU-Net's regions from the command line: trained, pruned, predicted, measured and exported as regions."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from stampseg.networks.model_file import load_model
from tests.cli.command import call
from tests.data.scans import disc

TINY = (
    "--steps", "12", "--set", "prune.rounds=1", "--validation", "25%", "--set", "prune.ready_dice=0",
    "--set", "train.missed_label=warn", "--set", "network.width=4", "--set", "network.poolings=1",
    "--set", "train.augment=false",
)  # fmt: skip
LABELS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3]}


def tumours(folder: Path, order: list[int] | None = None, labels: dict | None = None) -> Path:
    """nnU-Net raw: four volumes of a core of two values within a whole."""
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for i in range(4):
        image, mask = disc(rng, (16, 20, 12))
        label = mask.astype(np.uint8)
        label[mask & (np.indices(mask.shape)[1] > 9)] = 2
        label[mask & (np.indices(mask.shape)[1] > 12)] = 3
        image[label > 1] += 60
        for path, array in ((f"imagesTr/v{i}_0000", image.astype(np.float32)), (f"labelsTr/v{i}", label)):
            nib.Nifti1Image(array, np.eye(4)).to_filename(folder / f"{path}.nii.gz")
    said = {"channel_names": {"0": "T1"}, "labels": labels or LABELS, "file_ending": ".nii.gz"}
    if order is not None or labels is None:
        said["regions_class_order"] = order or [1, 2]
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


def test_a_run_of_regions_is_of_them_from_check_to_pruning(tmp_path: Path) -> None:
    data, run, out = tumours(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    said = "regions: whole: 1, 2, 3; core: 2, 3; loss, Dice and masks are of these"
    assert said in " ".join(call("train", data, "-o", run, *TINY).output.split())
    result = json.loads((run / "result.json").read_text())
    assert set(result["validation_dice_per_label"]) == {"whole", "core"}
    assert set(result["training_dice_per_label"]) == {"whole", "core"}
    plan = load_model(run / "model.safetensors").plan
    assert plan.label_values == (0, 1, 2)  # 2 and 3 are in the same regions: nnU-Net's masks hold no 3
    assert [(r.name, r.classes, r.written) for r in plan.regions] == [("whole", (1, 2), 1), ("core", (2,), 2)]
    call("predict", run, data / "imagesTr", "-o", out)
    assert set(np.unique(nib.load(out / "v0.nii.gz").dataobj)) <= {0, 1, 2}
    found = json.loads(call("evaluate", out, data / "labelsTr", "--json").stdout)
    assert list(found["summary"]) == ["whole", "core"]
    assert "whole" in (run / "report.html").read_text()
    pruned = tmp_path / "pruned"
    call("prune", run, data, "-o", pruned, "--target", "70%", *TINY[:10])
    assert load_model(pruned / "model.safetensors").plan.regions == plan.regions
    pytest.importorskip("onnxruntime")
    call("export", pruned, "-o", pruned / "model.onnx")
    call("predict", pruned / "model.onnx", data / "imagesTr", "-o", tmp_path / "onnx")
    call("predict", pruned, data / "imagesTr", "-o", tmp_path / "torch")
    pair = [nib.load(tmp_path / kind / "v1.nii.gz").get_fdata() for kind in ("onnx", "torch")]
    assert (pair[0] != pair[1]).mean() < 1e-3


def test_evaluate_measures_regions(tmp_path: Path) -> None:
    """A core mistaken for its surroundings: the whole is right."""
    data, out = tumours(tmp_path / "data"), tmp_path / "out"
    out.mkdir()
    for path in (data / "labelsTr").iterdir():
        label = nib.load(path)
        array = np.asarray(label.dataobj)
        nib.Nifti1Image(np.where(array == 2, 1, array), label.affine).to_filename(out / path.name)
    found = json.loads(call("evaluate", out, data / "labelsTr", "--json").stdout)
    assert found["summary"]["whole"]["dice"]["mean"] == 1
    labels = [np.asarray(nib.load(path).dataobj) for path in sorted((data / "labelsTr").iterdir())]
    expected = [2 * (a == 3).sum() / ((a == 3).sum() + (a >= 2).sum()) for a in labels]
    assert found["summary"]["core"]["dice"]["mean"] == pytest.approx(np.mean(expected))
    assert [row["value"] for row in found["rows"][:2]] == [1, 2]
    classes = json.loads(call("evaluate", out, data / "labelsTr", "--only", "1,2,3", "--json").stdout)
    assert "whole" not in classes["summary"] and classes["summary"]["union"]["dice"]["mean"] == 1
    assert any("the regions of dataset.json are not used" in note for note in classes["notes"])


def test_values_and_names_that_are_no_region_are_told(tmp_path: Path) -> None:
    data = tumours(tmp_path / "data", labels={"background": 0, "whole": [1, 2], "core": [2]}, order=[1, 2])
    found = json.loads(call("check", data, "--no-timing", "--json").stdout)
    assert any("label 3 in no region of dataset.json" in one["found"] for one in found["findings"])
    said = " ".join(call("check", data, "--no-timing", "--only", "whole", code=2).output.split())
    assert "whole is a region of the values 1,2; name these, as in --merge whole=1,2" in said


@pytest.mark.parametrize("command", ["check", "train", "evaluate"])
def test_regions_that_no_mask_holds_are_refused(command: str, tmp_path: Path) -> None:
    data = tumours(tmp_path / "data", labels={"background": 0, "a": [1, 2], "b": [2, 3]}, order=[1, 3])
    arguments = {
        "check": ("check", data, "--no-timing"),
        "train": ("train", data, "-o", tmp_path / "run", *TINY),
        "evaluate": ("evaluate", data / "labelsTr", data / "labelsTr"),
    }[command]
    said = " ".join(call(*arguments, code=3).output.split())
    assert "a voxel of 2 is of a and b" in said and "--only" in said


def test_folds_are_averaged_and_measured_by_regions(tmp_path: Path) -> None:
    data, run, out = tumours(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    call("train", data, "-o", run, "--folds", "2", *(o for o in TINY if o not in ("--validation", "25%")))
    folds = json.loads((run / "folds.json").read_text())
    assert [label["label"] for label in folds["labels"]] == ["whole", "core", "mean"]
    call("predict", run / "folds", data / "imagesTr" / "v0_0000.nii.gz", "-o", out)
    assert set(np.unique(nib.load(next(out.glob("*.nii.gz"))).dataobj)) <= {0, 1, 2}


def test_a_study_and_confidence_are_of_the_regions(tmp_path: Path) -> None:
    """They took the values for classes that exclude each other."""
    tumours(tmp_path / "data", order=[1, 3])
    options = {
        "network": {"width": 4, "poolings": 1},
        "train": {"steps": 2, "missed_label": "warn", "augment": False},
    }
    study = {
        "tasks": {"tumours": {"data": "data", "labelled_people": [2], "test": 1}}, "draws": [1],
        "methods": {"dense": {"method": "dense"}}, "claims": [], "options": options,
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    call("study", tmp_path / "study.yaml", "-o", tmp_path / "out", "--cell", "tumours/dense/2-1")
    place = tmp_path / "out" / "cells" / "tumours" / "dense" / "2-1"
    rows = json.loads((place / "metrics.json").read_text())["rows"]
    assert {row["label"] for row in rows} == {"whole", "core"}
    plan = load_model(place / "run" / "model.safetensors").plan
    assert [(r.name, r.written) for r in plan.regions] == [("whole", 1), ("core", 2)]
    assert plan.label_values == (0, 1, 3)  # the value that regions_class_order writes the core as
    out = tmp_path / "masks"
    call("predict", place / "run", tmp_path / "data" / "imagesTr", "-o", out, "--confidence")
    scans = json.loads((out / "confidence.json").read_text())["scans"]
    assert all(set(scan["labels"]) == {"whole", "core"} for scan in scans)
