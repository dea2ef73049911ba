"""Imports OpenVINO and NNCF without the usage reports that they send.

`import openvino` reports to its maker, and leaves an identity in the home directory, where the package
openvino_telemetry, on which it depends, can be imported and nobody has opted out. Both packages go
on without it where it is missing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

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
