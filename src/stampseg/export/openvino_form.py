"""OpenVINO: model.xml, model.bin and stampseg.json in a zip without compression.

Unzipped, it is what OpenVINO writes and reads.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ExportError
from ..core.packages import require
from ..runtime.details import DETAILS, Details
from .onnx_form import OnnxForm


class OpenvinoForm:
    """A network as OpenVINO has it, in memory."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def write(self, path: Path, details: Details) -> None:
        """One zip; weights as they are, and not the half precision that OpenVINO saves by default."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                openvino().save_model(self.model, Path(folder) / "model.xml", compress_to_fp16=False)
            except RuntimeError as error:  # of a full disk too
                raise OSError(f"OpenVINO, in {folder}: {error}") from None
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
                for name in ("model.xml", "model.bin"):
                    archive.write(Path(folder) / name, name)
                archive.writestr(DETAILS.name, DETAILS.line(details))


def openvino() -> Any:
    """The package, imported without its usage reports.

    Raises:
        MissingPackageError: it is not installed.
    """
    return require("openvino", "`format` openvino", extra="openvino", quiet=True)


def openvino_of(form: OnnxForm) -> OpenvinoForm:
    """Convert by OpenVINO's own reader of ONNX.

    Not by its `convert_model`, which does the same and reports it.

    Raises:
        ExportError: OpenVINO cannot read it.
    """
    package = openvino()
    try:
        return OpenvinoForm(package.Core().read_model(form.proto.SerializeToString(), b""))
    except RuntimeError as error:
        text = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise ExportError(f"OpenVINO cannot read the network: {text}; try `format` onnx") from error


def quantised_openvino(form: OpenvinoForm, windows: Sequence[np.ndarray]) -> OpenvinoForm:
    """The same with 8-bit weights and activations, ranges taken from the windows, by NNCF.

    Raises:
        MissingPackageError: NNCF is not installed.
    """
    openvino()
    nncf = require("nncf", "`precision` int8 with `format` openvino", extra="int8", quiet=True)
    nncf.set_log_level(40)  # errors
    with redirect_stdout(io.StringIO()):  # its bars of progress
        model = nncf.quantize(
            form.model,
            nncf.Dataset(list(windows)),
            subset_size=len(windows),
            target_device=nncf.TargetDevice.CPU,
        )
    return OpenvinoForm(model)
