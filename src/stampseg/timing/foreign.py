"""One layer in ONNX Runtime or OpenVINO, to be timed there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..channels.graph import LayerCall
from ..packages import require
from ..telemetry import import_quietly

OPSET = 17


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
    """The ONNX model, ready to run in float32 with so many threads."""
    if runtime == "openvino":
        openvino = import_quietly("openvino")
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", settings)
        request = compiled.create_infer_request()
        return lambda image: request.infer([image], share_inputs=True, share_outputs=True)
    onnxruntime = require("onnxruntime", "timing layers in ONNX Runtime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})
