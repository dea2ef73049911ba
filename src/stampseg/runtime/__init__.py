"""Predicts from an exported file with numpy, nibabel or Pillow, and ONNX Runtime or OpenVINO; no PyTorch.

from stampseg.runtime import Predictor

Predictor("model.onnx").predict_file("scan.nii.gz", "mask.nii.gz")
"""

from .predictor import Predictor
from .session import SUFFIXES, Session, open_session

__all__ = ["SUFFIXES", "Predictor", "Session", "open_session"]
