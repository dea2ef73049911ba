"""All bad inputs by name."""

from __future__ import annotations

from . import (
    descriptions,
    dicom,
    exported,
    folders,
    geometry,
    headers,
    labels,
    links,
    models,
    pictures,
    segments,
    settings,
    tables,
    volumes,
)
from .entry import INPUTS

__all__ = [
    "INPUTS", "descriptions", "dicom", "exported", "folders", "geometry", "headers", "labels", "links", "models", "pictures",
    "segments", "settings", "tables", "volumes",
]  # fmt: skip
