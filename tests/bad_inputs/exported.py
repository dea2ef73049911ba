"""Exported files that are damaged, foreign, or say what is not so."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from typing import Any

import onnx
from onnx import TensorProto, helper

from .bench import Bench
from .entry import Refused, bad
from .volumes import Commands

ONNX = r"m\.onnx: "


def _enter(name: str, pattern: str, change: Callable[[Any], object]) -> None:
    @bad(f"onnx: {name}", Refused(3, ONNX + pattern))
    def made(bench: Bench) -> Commands:
        model = onnx.load(bench.clean.exported())
        changed = change(model)
        path = bench.folder / "m.onnx"
        path.write_bytes(changed if isinstance(changed, bytes) else model.SerializeToString())
        return bench.load(path)


def described(**changes: Any) -> Callable[[Any], object]:
    """Its description changed."""

    def change(model: Any) -> None:
        entry = next(prop for prop in model.metadata_props if prop.key == "stampseg")
        entry.value = json.dumps({**json.loads(entry.value), **changes})

    return change


def planned(**changes: Any) -> Callable[[Any], object]:
    """Its plan changed."""

    def change(model: Any) -> None:
        entry = next(prop for prop in model.metadata_props if prop.key == "stampseg")
        values = json.loads(entry.value)
        values["plan"].update(changes)
        entry.value = json.dumps(values)

    return change


def _text(text: str) -> Callable[[Any], object]:
    def change(model: Any) -> None:
        next(prop for prop in model.metadata_props if prop.key == "stampseg").value = text

    return change


def _foreign(model: Any) -> bytes:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    return helper.make_model(graph).SerializeToString()


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _huge_weight(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 2**40


ROWS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "empty": ("not an ONNX file, or empty; copy the file again", lambda model: b""),
    "text in its place": ("not a", lambda model: b"hello, this is a text and no network at all"),
    "cut short": ("not a readable ONNX file", lambda model: model.SerializeToString()[:-500]),
    "of another program": ("holds no description of how images are prepared; expected a file", _foreign),
    "weights in another file": ("its weights lie in another file, and only whole files are opened", _external),
    "a weight larger than the file": ("ONNX Runtime refuses the file", _huge_weight),
    "description that is no JSON": (r"its description is damaged \(Expecting .*\); export the model again", _text("{")),
    "description that is a list": (r"its description is damaged \(all of it: no JSON object\); export", _text("[]")),
    "description of 17 million letters": ("its description has 17,000,000 bytes; expected", _text(" " * 17_000_000)),
    "of a format to come": ("its description is written in format 99; this version reads format 1; update", described(format=99)),
    "of a precision that is none": (r"its description is damaged \(precision: Input should be", described(precision="f8")),
    "a plan of enormous windows": (r"its description is damaged \(plan: patch_size", planned(patch_size=[10**6, 10**6])),
    "a plan of other axes": (r"its description is damaged \(plan: ", planned(spatial_dims=3)),
    "a plan of other channels": ("its network has .*, its description asks for 'image' of 3", planned(in_channels=3)),
    "a plan of labels beyond all types": (
        r"its description is damaged \(plan: label_values", planned(label_values=[0, 1, 2**80]),
    ),
}  # fmt: skip

for _name, (_pattern, _change) in ROWS.items():
    _enter(_name, _pattern, _change)


@bad(
    "openvino: a compressed zip",
    Refused(3, r"m\.openvino: is compressed; expected a zip without compression"),
)
def compressed(bench: Bench) -> Commands:
    path = bench.folder / "m.openvino"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.xml", b"<net/>")
        archive.writestr("model.bin", b"\0" * 10**6)
    return bench.load(path)


@bad(
    "openvino: a zip of something else",
    Refused(3, r"m\.openvino: holds no model\.xml; expected a file written by"),
)
def other_zip(bench: Bench) -> Commands:
    path = bench.folder / "m.openvino"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.txt", b"x")
    return bench.load(path)


@bad(
    "openvino: no zip", Refused(3, r"m\.openvino: not a readable \.openvino file \(.*\); copy the file again")
)
def no_zip(bench: Bench) -> Commands:
    (bench.folder / "m.openvino").write_bytes(b"PK\3\4 not really")
    return bench.load(bench.folder / "m.openvino")
