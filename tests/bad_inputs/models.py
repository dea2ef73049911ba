"""Model files that are damaged, or say what is not so."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from stampseg.networks.model_file import read_description

from .bench import Bench
from .entry import Refused, bad
from .volumes import Commands

MODEL = r"m\.safetensors: "


def _enter(name: str, pattern: str, make: Callable[[Bench, Path], object]) -> None:
    @bad(f"model: {name}", Refused(3, pattern if pattern.startswith("the ") else MODEL + pattern))
    def made(bench: Bench) -> Commands:
        path = bench.folder / "m.safetensors"
        make(bench, path)
        return bench.load(path)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Bench, Path], object]:
    """The file's bytes changed."""
    return lambda bench, path: path.write_bytes(change(bench.clean.model(2).read_bytes()))


def weights(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Bench, Path], object]:
    """The weights changed."""

    def make(bench: Bench, path: Path) -> None:
        held = load_file(bench.clean.model(2))
        change(held)
        save_file(held, path, {"stampseg": read_description(bench.clean.model(2)).model_dump_json()})

    return make


def said(change: Callable[[dict[str, Any]], object]) -> Callable[[Bench, Path], object]:
    """The description changed; what is returned as text stands for it."""

    def make(bench: Bench, path: Path) -> None:
        values = json.loads(read_description(bench.clean.model(2)).model_dump_json())
        result = change(values)
        text = result if isinstance(result, str) else json.dumps(values)
        save_file(load_file(bench.clean.model(2)), path, {"stampseg": text})

    return make


def planned(**changes: Any) -> Callable[[Bench, Path], object]:
    """The plan changed."""
    return said(lambda values: values["plan"].update(changes))


def arguments(**changes: Any) -> Callable[[Bench, Path], object]:
    """The network's arguments changed."""
    return said(lambda values: values["network"]["arguments"].update(changes))


def network(name: str, **given: Any) -> Callable[[Bench, Path], object]:
    """Another network."""
    return said(
        lambda values: values.update(
            network={"name": name, "arguments": given, "example_shape": [1, 1, 16, 16]}, kept={}
        )
    )


def _kept_beyond(values: dict[str, Any]) -> None:
    values["kept"]["encoder.0.0"] = [0, 1, 99]


UNREADABLE = r"not a readable \.safetensors file \("
DAMAGED = r"its description is damaged \("
REBUILT = "its network cannot be rebuilt: "
ROWS: dict[str, tuple[str, Callable[[Bench, Path], object]]] = {
    "empty": (UNREADABLE, raw(lambda content: b"")),
    "cut short in the weights": (UNREADABLE, raw(lambda content: content[:-100])),
    "cut short in the header": (UNREADABLE, raw(lambda content: content[:100])),
    "a header of an absurd length": (
        UNREADABLE + "a header of 4,611,686,018,427,387,904 bytes in a file of",
        raw(lambda content: struct.pack("<Q", 2**62) + content[8:]),
    ),
    "a header longer than are read": (
        UNREADABLE + "a header of 17,000,000 bytes",
        raw(lambda content: struct.pack("<Q", 17_000_000) + b" " * 17_000_000),
    ),
    "a header that is no JSON": (UNREADABLE, raw(lambda content: struct.pack("<Q", 20) + b"{" * 20 + content[28:])),
    "bytes after the weights": (UNREADABLE, raw(lambda content: content + b"\0" * 64)),
    "weights that promise more than the file has": (
        UNREADABLE,
        raw(lambda content: _header({"a": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}})),
    ),
    "weights that lie over each other": (
        UNREADABLE,
        raw(
            lambda content: _header(
                {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"}, b"\0" * 16
            )
        ),
    ),
    "a pickle": (UNREADABLE, raw(lambda content: pickle.dumps({"weights": [1.0]}))),
    "of another program": (
        "holds no stampseg description; expected a file written by",
        lambda bench, path: save_file({"a": np.zeros(3)}, path),
    ),
    "a weight is missing": ("holds no weight head.bias, which", weights(lambda held: held.pop("head.bias"))),
    "a weight too many": ("holds extra, which is no weight", weights(lambda held: held.update(extra=np.zeros(1)))),
    "a weight of another shape": (
        r"weight head\.bias has shape \(7,\); the dense network has", weights(lambda h: h.update({"head.bias": np.zeros(7)})),
    ),
    "description that is no JSON": (DAMAGED, said(lambda values: "{")),
    "description that is a list": (DAMAGED, said(lambda values: "[]")),
    "description nested without end": (DAMAGED, said(lambda values: "[" * 100_000)),
    "of a format to come": (r"its description is written in format 99; this version reads", said(lambda v: v.update(format=99))),
    "with a name that is unknown": (DAMAGED, said(lambda values: values.update(surprise=1))),
    "without a plan": ("the model file does not say how images are prepared", said(lambda v: v.update(plan=None))),
    "channels kept beyond the width": (REBUILT, said(_kept_beyond)),
    "channels kept of a group that is none": (REBUILT, said(lambda values: values["kept"].update(ghost=[0]))),
    "channels kept below 0": (REBUILT, said(lambda v: v["kept"].update({"encoder.0.0": [-1]}))),
    "no channel kept": (REBUILT, said(lambda values: values["kept"].update({"encoder.0.0": []}))),
    "a network that is unknown": (REBUILT + "network 'nope' is not known", network("nope")),
    "a network of one's own, not trusted": (REBUILT + ".*--trust", network("os:system")),
    "a network of 10,000 levels": (
        REBUILT + ".*10000 levels of strides; expected at most 16", arguments(strides=[[2, 2]] * 10_000, widths=8),
    ),
    "a network of enormous widths": (REBUILT + ".*does not take 1000000000000 in", arguments(widths=10**12)),
    "a network of a million blocks": (
        REBUILT + ".*more than [0-9,]+ layers",
        network(
            "monai.UNet", spatial_dims=2, in_channels=1, out_channels=2, channels=[2, 2], strides=[2],
            num_res_units=10**6,
        ),
    ),
    "constants of an enormous size": (
        REBUILT,
        network("monai.UNETR", in_channels=1, out_channels=2, img_size=[2**19, 2**19], spatial_dims=2),
    ),
    "an example of an enormous shape": (
        REBUILT, said(lambda values: values["network"].update(example_shape=[1, 1, 10**6, 10**6])),
    ),
    "a plan of enormous windows": (DAMAGED + "plan: patch_size", planned(patch_size=[10**6, 10**6])),
    "a plan of windows of 0": (DAMAGED + "plan: patch_size", planned(patch_size=[0, 16])),
    "a plan of negative voxels": (DAMAGED + "plan: spacing", planned(spacing=[-1, 1])),
    "a plan of endlessly small voxels": (DAMAGED + "plan: spacing", planned(spacing=[1e-300, 1])),
    "a plan of NaN": (DAMAGED, planned(spacing=[float("nan"), 1])),
    "a plan of three axes for a picture's network": (DAMAGED + "plan: ", planned(spatial_dims=3)),
    "a plan of a million channels": (DAMAGED + "plan: in_channels", planned(in_channels=10**6)),
    "a plan of other channels than the network": (r"its plan gives 2D images of 2 channel\(s\), its network takes the shape \[1, 1, ", planned(in_channels=2)),
    "a plan of two thousand classes": (
        DAMAGED + "plan: 2000 label_values", planned(label_values=list(range(2000)), label_names=["x"] * 2000),
    ),
    "a plan of other classes than the network": (
        "the network gives scores of shape .*, its plan needs", planned(label_values=list(range(5)), label_names=list("abcde"), scans=None),
    ),
    "a plan of negative labels": (DAMAGED + "plan: label_values", planned(label_values=[0, -1, 2])),
    "a plan of labels beyond all types": (DAMAGED + "plan: label_values", planned(label_values=[0, 1, 2**80])),
    "a plan of equal labels": (DAMAGED + "plan: 3 label_values", planned(label_values=[0, 1, 1])),
    "a plan of names of a megabyte": (DAMAGED + "plan: ", planned(label_names=["a", "b", "x" * 10**6])),
    "a plan of a thousand levels": (DAMAGED + "plan: strides", planned(strides=[[2, 2]] * 1000)),
    "a plan of no windows, found by damaging": (DAMAGED + "plan: 0 ct windows for 1", planned(ct=[])),
    "a plan of axes that are none": (DAMAGED + "plan.orientation", planned(orientation="XYZ")),
}  # fmt: skip


def _header(tensors: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + data


for _name, (_pattern, _make) in ROWS.items():
    _enter(_name, _pattern, _make)


@bad(
    "model: a run folder without a model",
    Refused(3, r"run: holds no model\.safetensors: it is no run folder"),
)
def unfinished(bench: Bench) -> Commands:
    (bench.folder / "run").mkdir()
    return bench.load(bench.folder / "run")


@bad("model: not there", Refused(3, r"nowhere: no such file or run folder"))
def nowhere(bench: Bench) -> Commands:
    return bench.load(bench.folder / "nowhere")


@bad("model: a scan in its place", Refused(3, r"v0\.nii\.gz: is no model file; expected a run folder"))
def a_scan(bench: Bench) -> Commands:
    return bench.load(bench.clean.image(3))
