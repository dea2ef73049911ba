"""Packages that not every installation has, and what to say where one is missing."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from .errors import MissingPackageError

# The extra of stampseg that brings a package; what only some files need is also installed alone.
EXTRAS = {
    "torch": "train",
    "monai": "train",
    "safetensors": "train",
    "scipy": "train",
    "SimpleITK": "train",
    "tifffile": "train",
    "pydicom": "train",
    "highdicom": "dicom",
    "jinja2": "train",
    "vl_convert": "train",
    "nilearn": "demo",
    "onnxruntime": "runtime",
    "openvino": "openvino",
    "onnx": "export",
    "onnxscript": "export",
    "nncf": "int8",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "sqlalchemy": "mlflow",
}


def require(module: str, purpose: str, install: str = "", *, extra: str = "", quiet: bool = False) -> Any:
    """Import a module that a file or a plan turns out to need.

    Args:
        module: dotted name.
        purpose: what needs it, the subject of a sentence.
        install: the package as pip calls it, where that is another name than the module's.
        extra: of stampseg, where what needs the module needs more of it.
        quiet: import it by `import_quietly`.

    Raises:
        MissingPackageError: its package is not installed; says what to install.
    """
    package = module.split(".")[0]
    install = install or package
    try:
        return import_quietly(module) if quiet else importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        brought = f'"stampseg[{extra}]"' if extra else install
        raise MissingPackageError(
            f"{purpose} needs {install}, which is not installed; pip install {brought}"
        ) from None


def missing(error: ModuleNotFoundError, purpose: str) -> MissingPackageError | None:
    """What to say of an import that failed in the middle of a command; None if the package is not known."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    return MissingPackageError(
        f'{purpose} needs {package}, which is not installed; pip install "stampseg[{EXTRAS[package]}]"'
    )


REPORTER = "openvino_telemetry"


def import_quietly(name: str) -> ModuleType:
    """Import a module; while it is imported, `openvino_telemetry` counts as not installed.

    Raises:
        ImportError: the module is not installed.
    """
    hidden = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] == REPORTER}
    sys.modules[REPORTER] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    finally:
        del sys.modules[REPORTER]
        sys.modules.update(hidden)
