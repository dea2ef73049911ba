"""One layer in ONNX Runtime or OpenVINO, to be timed there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..channels.graph import LayerCall
from ..core.packages import require
from ..export.onnx_form import OPSET
from ..runtime.engines import onnx_run, openvino_run

NAME = Path("a layer or network to be timed")  # in the errors of the engines


def layer_model(call: LayerCall, kernel: Sequence[int], in_channels: int, out_channels: int) -> bytes:
    """An ONNX model of the convolution with a ReLU behind it; its weights are noise."""
    onnx = require("onnx", "timing layers in ONNX Runtime or OpenVINO")
    helper, kinds = onnx.helper, onnx.TensorProto
    stride, padding, dilation = call.options
    widths = (in_channels, out_channels) if call.transposed else (out_channels, in_channels)
    weight = np.random.default_rng(0).standard_normal((*widths, *kernel)).astype(np.float32)
    node = helper.make_node(
        "ConvTranspose" if call.transposed else "Conv", ["image", "weight"], ["map"],
        kernel_shape=list(kernel), strides=list(stride), pads=[*padding, *padding], dilations=list(dilation),
    )  # fmt: skip
    unknown: list[Any] = [1, out_channels, *[None] * len(kernel)]
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["map"], ["scores"])],
        "layer",
        [helper.make_tensor_value_info("image", kinds.FLOAT, [1, in_channels, *call.size])],
        [helper.make_tensor_value_info("scores", kinds.FLOAT, unknown)],
        [require("onnx.numpy_helper", "timing layers").from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString())


def runner(model: bytes, runtime: str, threads: int) -> Callable[[np.ndarray], object]:
    """The ONNX model, ready to run in float32 with so many threads, as `stampseg.runtime` runs it."""
    if runtime == "openvino":
        return openvino_run((model, b""), NAME, "f32", threads)[0]
    return onnx_run(model, NAME, threads)[0]
