"""Networks as files that run without stampseg: ONNX, OpenVINO, PyTorch's exported programs."""

from ..runtime.details import Precision
from .building import export_model
from .forms import Format

__all__ = ["Format", "Precision", "export_model"]
