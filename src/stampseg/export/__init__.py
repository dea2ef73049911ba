"""Networks as files that run without stampseg: ONNX, OpenVINO, PyTorch's exported programs."""

from .building import export_model
from .forms import Format, Precision

__all__ = ["Format", "Precision", "export_model"]
