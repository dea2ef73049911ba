"""ONNX: one file, its description in the metadata."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import DataError, ExportError
from ..core.packages import require
from ..runtime.details import DETAILS, KEY, Details
from ..runtime.engines import onnx_run
from ..runtime.sliding import Scorer
from .score_network import ScoreNetwork

WIDE = 16  # channels on both sides; narrower convolutions are three times slower in 8 bits (measured, 3D)
OPSET = 17  # the newest that both engines have had for years; nothing here needs a later one


class OnnxForm:
    """A network as ONNX, in memory."""

    def __init__(self, proto: Any) -> None:
        self.proto = proto

    def write(self, path: Path, details: Details) -> None:
        """One file, the details under the key "stampseg" of its metadata."""
        onnx = require("onnx", "exporting", extra="export")
        whole = onnx.ModelProto()
        whole.CopyFrom(self.proto)
        onnx.helper.set_model_props(whole, {KEY: DETAILS.line(details)})
        path.write_bytes(whole.SerializeToString())

    def run(self) -> Scorer:
        """Image (B, C, *S) -> scores, by ONNX Runtime."""
        return onnx_run(self.proto.SerializeToString(), Path("the exported network"), None)[0]


def onnx_of(scorer: ScoreNetwork, example: torch.Tensor) -> OnnxForm:
    """Export with free batch and spatial sizes.

    By the exporter that records one pass (dynamo=False): of the 56 networks of tests/networks/zoo.py it
    exports 54, 51 of them with free sizes, equal to rounding in 2D and 3D, in 0.1 to 6 s. The one that
    first makes a program (dynamo=True) takes 4 to 72 s and refuses free sizes or fails where a network
    compares sizes, as MONAI's BasicUNet does when it pads what it upsamples; what this one cannot export,
    it cannot either.

    Args:
        scorer: in evaluation mode, float32.
        example: (B, C, *S) float32.

    Raises:
        ExportError: the network holds something that ONNX has no operation for.
    """
    onnx = require("onnx", "exporting", extra="export")
    axes = {0: "batch"} | {axis: f"size_{axis - 2}" for axis in range(2, example.ndim)}
    place = io.BytesIO()
    try:
        with _quiet():
            torch.onnx.export(
                scorer, (example,), place, dynamo=False, opset_version=OPSET,  # type: ignore[arg-type]
                input_names=["image"], output_names=["scores"], dynamic_axes={"image": axes, "scores": axes},
            )  # fmt: skip
        proto = onnx.load_from_string(place.getvalue())
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # of the exporter, in many classes
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"{type(scorer.network).__name__} cannot be exported to ONNX: {text}; try `format` torch-export"
        ) from error
    return OnnxForm(proto)


def quantised_onnx(form: OnnxForm, windows: Sequence[np.ndarray]) -> tuple[OnnxForm, tuple[int, int]]:
    """The same with 8-bit weights (per channel) and activations of wide convolutions.

    Args:
        form: in f32.
        windows: (1, C, *patch) float32, to take ranges from.

    Returns:
        The network, and how many of how many convolutions are in 8 bits.

    Raises:
        ExportError: it has no wide convolution.
        DataError: the folder of temporary files cannot be written to.
    """
    onnx = require("onnx", "exporting", extra="export")
    tools = require("onnxruntime.quantization", "int8")
    prepare = require("onnxruntime.quantization.shape_inference", "int8").quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        ready, done = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        try:
            prepare(form.proto, ready, skip_symbolic_shape=True)
            wide, narrow = _convolutions(onnx.load(ready).graph)
            if not wide:
                raise ExportError(
                    f"int8 would change nothing: every convolution has fewer than {WIDE} channels on a side, "
                    "which ONNX Runtime computes slower in 8 bits; use `precision` f32, or `format` openvino"
                )
            tools.quantize_static(
                ready, done, _Windows(windows), quant_format=tools.QuantFormat.QDQ, per_channel=True,
                activation_type=tools.QuantType.QUInt8, weight_type=tools.QuantType.QInt8,
                op_types_to_quantize=["Conv", "ConvTranspose"], nodes_to_exclude=narrow,
            )  # fmt: skip
            return OnnxForm(onnx.load(done)), (len(wide), len(wide) + len(narrow))
        except OSError as error:  # of a full disk, which names no file
            raise DataError(
                f"{folder}: int8 cannot be computed in it ({error.strerror or error}); check the disk, or "
                "name a folder on another one in the variable TMPDIR"
            ) from None


def _convolutions(graph: Any) -> tuple[list[str], list[str]]:
    """Names of the wide ones, and of the others, depthwise ones among them."""
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    wide: list[str] = []
    narrow: list[str] = []
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            few = min(shapes.get(node.input[1], (0, 0))[:2]) < WIDE
            (narrow if few else wide).append(node.name)
    return wide, narrow


class _Windows:
    """What ONNX Runtime calls a CalibrationDataReader: whatever has `get_next`."""

    def __init__(self, windows: Sequence[np.ndarray]) -> None:
        self.rest = iter(windows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        window = next(self.rest, None)
        return None if window is None else {"image": window}


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the libraries: what they mean for the result is measured afterwards."""
    logger = logging.getLogger()
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
