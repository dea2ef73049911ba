"""ONNX Runtime and OpenVINO behind one call: windows in, class scores out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelFileError
from ..core.packages import require
from .details import KEY
from .onnx_file import look_into

Run = Callable[[np.ndarray], np.ndarray]
MEMBERS = ("model.xml", "model.bin", f"{KEY}.json")  # of an .openvino file
MOST_BYTES = 2**31  # of a file: what a protocol buffer can hold
AGAIN = "copy the file again, or export the model again"


def read_onnx(path: Path) -> tuple[bytes, bytes | None]:
    """The file, and its description.

    Raises:
        ModelFileError: missing, cut short, not ONNX, or with weights in another file.
    """
    data = _bytes_of(path)
    try:
        content = look_into(data)
    except ValueError as error:
        raise ModelFileError(f"{path}: not a readable ONNX file ({error}); {AGAIN}") from None
    if not content.has_graph:
        raise ModelFileError(f"{path}: not an ONNX file, or empty; {AGAIN}")
    if content.external:
        raise ModelFileError(
            f"{path}: its weights lie in another file, and only whole files are opened; export the model "
            "again with `stampseg export`, which writes one file"
        )
    return data, content.metadata.get(KEY)


def onnx_run(data: bytes, path: Path, threads: int | None) -> tuple[Run, list[Any], list[Any]]:
    """A session of ONNX Runtime: how to call it, and the shapes of its inputs and outputs.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        ModelFileError: ONNX Runtime refuses the file.
    """
    ort = require("onnxruntime", f"{path}: predicting from .onnx")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is said in our words
    options.intra_op_num_threads = threads or 0
    # Networks on the CPU are slowed down several times by numbers next to zero.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own, in a dozen classes
        raise ModelFileError(f"{path}: ONNX Runtime refuses the file ({_line(error)}); {AGAIN}") from None
    inputs = [(one.name, one.shape) for one in session.get_inputs()]
    outputs = [(one.name, one.shape) for one in session.get_outputs()]
    return lambda windows: session.run(["scores"], {"image": windows})[0], inputs, outputs


def read_openvino(path: Path) -> tuple[tuple[bytes, bytes], bytes | None]:
    """Structure and weights, and the description, from the zip; nothing is unpacked to the disk.

    Raises:
        ModelFileError: missing, cut short, no zip, compressed, or without one of its parts.
    """
    _check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            for name in MEMBERS[:2]:
                if name not in members:
                    raise ModelFileError(
                        f"{path}: holds no {name}; expected a file written by `stampseg export`; {AGAIN}"
                    )
            if any(members[name].compress_type != zipfile.ZIP_STORED for name in MEMBERS if name in members):
                raise ModelFileError(
                    f"{path}: is compressed; expected a zip without compression, as `stampseg export` "
                    "writes it"
                )
            if any(members[name].file_size > path.stat().st_size for name in MEMBERS if name in members):
                raise ModelFileError(f"{path}: promises more bytes than it has; {AGAIN}")
            parts = [archive.read(name) if name in members else None for name in MEMBERS]
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(f"{path}: not a readable .openvino file ({_line(error)}); {AGAIN}") from None
    return (parts[0] or b"", parts[1] or b""), parts[2]


def openvino_run(
    parts: tuple[bytes, bytes], path: Path, precision: str, threads: int | None
) -> tuple[Run, list[Any], list[Any]]:
    """A network compiled by OpenVINO: how to call it, and the shapes of its inputs and outputs.

    Raises:
        MissingPackageError: openvino is not installed.
        ModelFileError: OpenVINO refuses the file.
    """
    ov = require("openvino", f"{path}: predicting from .openvino", quiet=True)
    settings: dict[str, Any] = {
        # On many processors OpenVINO computes in half precision unless told otherwise.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        core = ov.Core()
        model = core.read_model(parts[0], parts[1])
        inputs = [(one.any_name, _sizes(one)) for one in model.inputs]
        outputs = [(one.any_name, _sizes(one)) for one in model.outputs]
        compiled = core.compile_model(model, "CPU", settings)
    except Exception as error:  # RuntimeError mostly; its bindings raise others
        raise ModelFileError(f"{path}: OpenVINO refuses the file ({_line(error)}); {AGAIN}") from None
    request = compiled.create_infer_request()
    return lambda windows: request.infer({"image": windows})[0].copy(), inputs, outputs


def _sizes(port: Any) -> list[int | None]:
    return [int(size.get_length()) if size.is_static else None for size in port.get_partial_shape()]


def _check_file(path: Path) -> None:
    """Refuse what cannot be read into memory: nothing there, a pipe, or more bytes than a network has."""
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; check the path")
    if path.stat().st_size > MOST_BYTES:
        raise ModelFileError(
            f"{path}: {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read; is it a model?"
        )


def _bytes_of(path: Path) -> bytes:
    _check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
