"""An exported file, opened: what it says of itself, and its network as a function of windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import ModelFileError
from ..data.plan import Plan
from .details import Details, read_details
from .engines import Run, onnx_run, openvino_run, read_onnx, read_openvino

Engine = Literal["onnxruntime", "openvino"]
SUFFIXES = (".onnx", ".openvino")


@dataclass(frozen=True, eq=False)
class Session:
    """A network ready to be called.

    Attributes:
        details: the description in the file: plan, precision, network, provenance, parity.
        engine: what computes.
        path: the file.
    """

    details: Details
    engine: Engine
    path: Path
    _run: Run

    @property
    def plan(self) -> Plan:
        """How images are prepared for it."""
        return self.details.plan

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Windows (B, C, *S) float32 -> class scores (B, K, *S) float32, logits.

        Raises:
            ModelFileError: the network fails, or gives something else than scores.
        """
        try:
            scores = self._run(windows)
        except Exception as error:  # of the engines, in many classes
            text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ModelFileError(
                f"{self.path}: {self.engine} fails on windows of shape {windows.shape} ({text[:200]}); "
                "export the model again"
            ) from None
        expected = (len(windows), self.plan.out_channels, *windows.shape[2:])
        if scores.shape != expected:
            raise ModelFileError(
                f"{self.path}: gives scores of shape {scores.shape}, expected {expected}; "
                "export the model again"
            )
        return scores


def open_session(path: Path, *, threads: int | None = None) -> Session:
    """Open an exported file.

    Args:
        path: `.onnx`, or `.openvino`.
        threads: to compute with; None leaves it to the engine.

    Raises:
        ModelFileError: the file is missing, damaged, of another format, or no network for its own plan.
        MissingPackageError: the engine is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ModelFileError(
            f"{path}: not an exported file; expected {' or '.join(SUFFIXES)}, as `stampseg export` writes "
            "them"
        )
    if suffix == ".onnx":
        data, text = read_onnx(path)
        details = read_details(text, path)
        run, inputs, outputs = onnx_run(data, path, threads)
    else:
        parts, text = read_openvino(path)
        details = read_details(text, path)
        run, inputs, outputs = openvino_run(parts, path, details.precision, threads)
    _check_ports(path, details.plan, inputs, outputs)
    engine: Engine = "onnxruntime" if suffix == ".onnx" else "openvino"
    return Session(details, engine, path, run)


def _check_ports(path: Path, plan: Plan, inputs: list[Any], outputs: list[Any]) -> None:
    """One input and one output, by their names, with the plan's axes and channels."""
    wanted = (("image", plan.in_channels, inputs), ("scores", plan.out_channels, outputs))
    for name, channels, found in wanted:
        shapes = [shape for given, shape in found if given == name]
        fits = len(found) == len(shapes) == 1 and len(shapes[0]) == plan.spatial_dims + 2
        if not fits or (isinstance(shapes[0][1], int) and shapes[0][1] != channels):
            raise ModelFileError(
                f"{path}: its network has {_told(found)}, its description asks for {name!r} of {channels} "
                f"channel(s) and {plan.spatial_dims} axes; export the model again"
            )


def _told(ports: list[Any]) -> str:
    return ", ".join(f"{name!r} {list(shape)}" for name, shape in ports) or "nothing there"
