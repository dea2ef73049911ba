"""Steps in a model file are done by every runtime, alike, and can be left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stampseg.core.errors import ModelFileError
from stampseg.data.io.readers import read_label
from stampseg.data.labels.postprocess import LabelSteps, postprocessed
from stampseg.export import export_model
from stampseg.networks.model_file import load_model, read_description, save_model, store_steps
from stampseg.runtime import Predictor, open_session
from stampseg.runtime.segment_options import SegmentOptions
from stampseg.runtime.segmentation import segment
from tests.cli.command import call
from tests.networks.small_model import make_model

STEPS = (LabelSteps(label=1, fill_holes=True, least=9.0),)
WORDS = "post-processing (kidney: holes filled, pieces below 9 px dropped): changed 1 of 1 mask"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with steps, its exports, and a picture in which it finds pieces and holes."""
    folder = tmp_path_factory.mktemp("models")
    noise = np.random.default_rng(5).normal(size=(32, 40))
    smooth = noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)
    network, _, description = make_model()
    with torch.no_grad():  # half of the voxels are foreground
        scores = network(torch.tensor(smooth / smooth.std(), dtype=torch.float32)[None, None])[0]
        name, bias = list(network.named_parameters())[-1]
        assert name.endswith("bias") and len(bias) == 2
        bias[1] += (scores[0] - scores[1]).median()
    save_model(folder / "model.safetensors", network, description)
    store_steps(folder / "model.safetensors", STEPS)
    for suffix, form in ((".onnx", "onnx"), (".openvino", "openvino"), (".pt2", "torch-export")):
        if suffix == ".onnx":
            pytest.importorskip("onnxruntime")
        if suffix == ".openvino":
            pytest.importorskip("openvino")
        export_model(load_model(folder / "model.safetensors"), folder / f"model{suffix}", format=form)  # type: ignore[arg-type]
    Image.fromarray((128 + 40 * smooth).clip(0, 255).astype(np.uint8)).save(folder / "image.png")
    return folder


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".openvino", ".pt2"])
def test_every_runtime_does_the_same(place: Path, suffix: str, tmp_path: Path) -> None:
    model, image = place / f"model{suffix}", place / "image.png"
    trust = ("--trust", model.name) if suffix == ".pt2" else ()
    said = call("predict", model, image, "-o", tmp_path / "with", *trust).output
    assert WORDS in said
    plainly = call("predict", model, image, "-o", tmp_path / "without", "--no-postprocess", *trust).output
    assert "post-processing" not in plainly
    found, raw = (read_label(tmp_path / name / "image.png").array for name in ("with", "without"))
    assert (found != raw).any()
    expected = postprocessed((raw > 0).astype(np.uint8), STEPS, (1.0, 1.0))
    np.testing.assert_array_equal(found > 0, expected > 0)
    if suffix in (".onnx", ".openvino"):
        np.testing.assert_array_equal(Predictor(model).predict(image), found)
        np.testing.assert_array_equal(Predictor(model, postprocess=False).predict(image), raw)
        assert open_session(model).details.postprocess == STEPS


def test_storing_steps_changes_nothing_else(place: Path, tmp_path: Path) -> None:
    network, _, description = make_model()
    path = tmp_path / "model.safetensors"
    save_model(path, network, description)
    before = path.read_bytes()
    store_steps(path, ())
    assert path.read_bytes() == before
    store_steps(path, STEPS)
    assert read_description(path) == description.model_copy(update={"postprocess": STEPS})
    store_steps(path, ())
    assert path.read_bytes() == before


def test_steps_of_labels_that_the_model_has_not_are_refused(place: Path, tmp_path: Path) -> None:
    tensors = load_file(place / "model.safetensors")
    with safe_open(place / "model.safetensors", framework="pt") as file:
        text = json.loads(file.metadata()["stampseg"])
    text["postprocess"] = [{"label": 7, "largest": True}]
    save_file(tensors, tmp_path / "m.safetensors", {"stampseg": json.dumps(text)})
    with pytest.raises(
        ModelFileError, match=r"postprocess is of the labels \[7\]; expected each once, below 2"
    ):
        read_description(tmp_path / "m.safetensors")


def test_from_python_it_is_left_out_too(place: Path, tmp_path: Path) -> None:
    said: list[str] = []
    segment(
        place / "model.safetensors",
        [place / "image.png"],
        tmp_path,
        SegmentOptions(postprocess=False),
        echo=said.append,
    )
    assert not any("post-processing" in line for line in said)
