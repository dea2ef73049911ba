"""All bad inputs by name."""

from __future__ import annotations

from . import (
    descriptions,
    exported,
    folders,
    geometry,
    labels,
    links,
    models,
    pictures,
    settings,
    tables,
    volumes,
)
from .entry import INPUTS

__all__ = [
    "INPUTS", "descriptions", "exported", "folders", "geometry", "labels", "links", "models", "pictures",
    "settings", "tables", "volumes",
]  # fmt: skip
