"""Exported files: whatever runs them, the scores are those of the network."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stampseg.channels.trace import trace
from stampseg.core.errors import ConfigError, ExportError
from stampseg.data.plan import Plan
from stampseg.export import export_model
from stampseg.export.forms import choose_format
from stampseg.networks.model_file import Description, Model
from stampseg.networks.outputs import main_map
from stampseg.runtime.session import open_session
from stampseg.runtime.torch_program import open_program
from tests.networks.small_model import make_model
from tests.networks.zoo import SUBJECTS, Subject

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

QUICK = (
    "unet 2D", "unet (instance norm) 3D", "monai.UNet (residual) 3D", "monai.BasicUNet 2D",
    "monai.DynUNet (deep supervision) 3D", "monai.SegResNet 2D", "nnunet.ResidualEncoderUNet 3D",
    "tests.networks.zoo:Siamese (a shared weight) 2D",
)  # fmt: skip
NOT_EXPORTED = ("monai.FlexibleUNet (resnet18) 2D", "monai.FlexibleUNet (resnet18) 3D")


def model_of(subject: Subject) -> Model:
    """A network of the zoo as a model file would hold it."""
    network = subject.build(torch.float32)
    side = 4 if subject.size[0] == 8 and "SegResNet" not in subject.name else subject.size[0]
    strides = ((2,) * subject.dims,) * int(math.log2(side))
    plan = Plan(
        spatial_dims=subject.dims, in_channels=1, label_values=(0, 1, 2), label_names=("", "a", "b"),
        orientation=None, spacing=(1.0,) * subject.dims, crop="none", patch_size=subject.size,
        normalization="zscore", ct=None, strides=strides,
    )  # fmt: skip
    graph = trace(network, subject.example(torch.float32, 1))
    return Model(network, graph, Description(network=subject.spec, kept=dict(graph.kept), plan=plan))


def images(model: Model, batch: int, more: int = 0) -> Tensor:
    plan = model.plan
    multiple = math.prod(step[0] for step in plan.strides)
    size = [plan.patch_size[0] + more * multiple, *plan.patch_size[1:]]
    return torch.randn(batch, 1, *size, generator=torch.Generator().manual_seed(5))


def assert_same(model: Model, path: Path, tolerance: float = 1e-4) -> None:
    """Scores of the file against those of the network, at two batches and two sizes."""
    run = open_program(path) if path.suffix == ".pt2" else open_session(path)
    for batch, more in ((1, 0), (3, 0), (2, 1)):
        x = images(model, batch, more)
        with torch.no_grad():
            expected = main_map(model.network(x), model.plan.spatial_dims).numpy()
        found = run(x.numpy())
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def subject_of(label: str) -> Subject:
    return next(subject for subject in SUBJECTS if subject.label == label)


@pytest.mark.parametrize("label", QUICK)
def test_onnx_gives_the_scores_of_the_network(label: str, tmp_path: Path) -> None:
    model = model_of(subject_of(label))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    export_model(model, tmp_path / "m.onnx", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert_same(model, tmp_path / "m.onnx")
    after = model.network.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.label for subject in SUBJECTS])
def test_every_network_of_the_zoo_is_exported_or_refused_with_a_reason(
    subject: Subject, tmp_path: Path
) -> None:
    model = model_of(subject)
    if subject.label in NOT_EXPORTED:
        with pytest.raises(ExportError, match="for a batch of 1 the exported network fails"):
            export_model(model, tmp_path / "m.onnx", format="onnx")
        assert not list(tmp_path.iterdir())
        return
    export_model(model, tmp_path / "m.onnx", format="onnx")
    session = open_session(tmp_path / "m.onnx")
    fixed = subject.name == "monai.UNETR" or subject.label == "monai.SwinUNETR 3D"
    assert session.details.any_size != fixed
    x = images(model, 3)
    with torch.no_grad():
        expected = main_map(model.network(x), subject.dims).numpy()
    assert np.abs(session(x.numpy()) - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "label", ["unet 3D", "unet (instance norm) 2D", "nnunet.PlainConvUNet (deep supervision) 3D"]
)
def test_openvino_gives_the_scores_of_the_network(label: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = model_of(subject_of(label))
    export_model(model, tmp_path / "m.openvino", format="openvino")
    assert_same(model, tmp_path / "m.openvino")


@pytest.mark.parametrize("label", ["unet 3D", "unet (instance norm) 2D"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("f32", 1e-4), pytest.param("bf16", 0.1, marks=pytest.mark.slow)]
)
def test_an_exported_program_gives_the_scores_of_the_network(
    label: str, precision: str, tolerance: float, tmp_path: Path
) -> None:
    model = model_of(subject_of(label))
    export_model(model, tmp_path / "m.pt2", format="torch-export", precision=precision)  # type: ignore[arg-type]
    assert_same(model, tmp_path / "m.pt2", tolerance)
    other = "m.f32.pt2" if precision == "bf16" else "m.bf16.pt2"
    wanted = "f32" if precision == "bf16" else "bf16"
    export_model(model, tmp_path / other, format="torch-export", precision=wanted)  # type: ignore[arg-type]
    x = images(model, 1).numpy()
    assert not np.array_equal(open_program(tmp_path / "m.pt2")(x), open_program(tmp_path / other)(x))


def small() -> Model:
    network, graph, description = make_model(3, "batch")  # pruned
    return Model(network, graph, description)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_int8_is_smaller_and_near(kind: str, tmp_path: Path) -> None:
    if kind == "openvino":
        pytest.importorskip("openvino")
        pytest.importorskip("nncf")
    model = model_of(subject_of("monai.UNet 3D"))
    windows = [images(model, 1).numpy() * scale for scale in (1.0, 0.5, 1.5)]
    sizes, scores = [], []
    for precision in ("f32", "int8"):
        path = tmp_path / f"{precision}.{kind}"
        export_model(model, path, format=kind, precision=precision, calibration=windows)  # type: ignore[arg-type]
        session = open_session(path)
        assert session.details.precision == precision
        # the first convolution has one channel on one side, the last three classes
        assert session.details.in_8_bits == ((3, 5) if (kind, precision) == ("onnx", "int8") else None)
        sizes.append(path.stat().st_size)
        scores.append(session(windows[0]))
    assert sizes[1] < 0.6 * sizes[0]
    off = np.abs(scores[0] - scores[1]).max() / np.abs(scores[0]).max()
    assert 0 < off < 0.2


def test_the_files_say_what_they_are(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    import onnx

    model = small()
    for name, kind in (("m.onnx", "onnx"), ("m.openvino", "openvino"), ("m.pt2", "torch-export")):
        export_model(model, tmp_path / name, format=kind)  # type: ignore[arg-type]
    proto = onnx.load(tmp_path / "m.onnx")
    extra = {"stampseg.json": ""}
    torch.export.load(tmp_path / "m.pt2", extra_files=extra)
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:  # no line of code with a folder of this machine
        assert not any(b"score_network.py" in archive.read(name) for name in archive.namelist())
    with zipfile.ZipFile(tmp_path / "m.openvino") as archive:
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_STORED] * 3
        assert archive.namelist() == ["model.xml", "model.bin", "stampseg.json"]
        texts = [archive.read("stampseg.json"), extra["stampseg.json"]]
    texts.append(next(prop.value for prop in proto.metadata_props if prop.key == "stampseg"))
    first, *others = (json.loads(text) for text in texts)
    assert others == [first, first]
    assert Plan.model_validate(first["plan"]) == model.plan and first["multiple"] == [4, 4, 4]
    assert first["network"]["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert (first["format"], first["precision"], first["provenance"]) == (1, "f32", {"seed": 3, "dice": None})
    kinds = {node.op_type for node in proto.graph.node}
    assert "BatchNormalization" not in kinds and "Dropout" not in kinds
    assert [one.name for one in proto.graph.input] == ["image"]
    assert [one.name for one in proto.graph.output] == ["scores"]
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [0, 1, 0, 0, 0] and all(dims[i].dim_param for i in (0, 2, 3, 4))


class BatchOfItsOwn(nn.Module):
    """Holds on to the batch it was recorded with."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.zeros(int(x.shape[0]), 2, 1, 1)


class Fickle(nn.Module):
    """Takes another way for small images: a recording knows only one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (2 if x.shape[0] > 2 else 1)


@pytest.mark.parametrize("network", [BatchOfItsOwn(), Fickle()])
def test_a_recording_that_is_not_the_network_is_refused(network: nn.Module, tmp_path: Path) -> None:
    _, _, description = make_model(2)
    model = Model(network.eval(), trace(network, torch.zeros(1, 1, 8, 8)), description)
    with pytest.raises(ExportError, match=r"for a batch of \d the exported network"):
        export_model(model, tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_not_possible_is_refused_with_what_is(tmp_path: Path) -> None:
    model = small()
    for kind, precision, message in (
        ("onnx", "bf16", "has no bfloat16 convolutions on the CPU; use `format` openvino"),
        ("torch-export", "int8", "use `format` openvino or onnx for int8"),
        ("onnx", "f16", "`precision` 'f16' is not known; expected one of f32, bf16, int8"),
    ):
        with pytest.raises(ConfigError, match=message):
            export_model(model, tmp_path / "m", format=kind, precision=precision)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="int8 needs windows"):
        export_model(model, tmp_path / "m.onnx", format="onnx", precision="int8")
    assert not list(tmp_path.iterdir())


def test_the_format_is_told_by_the_name() -> None:
    assert choose_format(Path("a/liver.v1.onnx"), None) == "onnx"
    assert choose_format(Path("liver.pt2"), "torch-export") == "torch-export"
    for path, named, message in (
        ("m.bin", None, r"expected one of \.onnx \(onnx\), \.openvino \(openvino\), \.pt2"),
        ("m.bin", "onnx", r"name it m\.bin\.onnx"),
        ("m.onnx", "openvino", r"is the name of a file for onnx, and `format` says openvino"),
        ("m.onnx", "tflite", r"`format` 'tflite' is not known; expected one of onnx, openvino, torch-export"),
    ):
        with pytest.raises(ConfigError, match=message):
            choose_format(Path(path), named)


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    """A fresh process with a home of its own: no identity is left there, the reporter is not imported."""
    pytest.importorskip("openvino")
    code = (
        "import sys; from stampseg.core.packages import import_quietly; import_quietly('openvino');"
        "print(sorted(name for name in sys.modules if 'openvino_telemetry' in name))"
    )
    source = str(Path(__file__).resolve().parents[2] / "src")
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": source},
    )  # fmt: skip
    assert told.stdout.strip() == "[]" and not list(tmp_path.iterdir())
