"""Layers of napari as images of stampseg, and back: which axis is which, and where the voxels lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stampseg.core.errors import DataError

KEY = "stampseg"  # of a layer's metadata: what a reader of ours knows of it
ORDERS = {
    "Z, Y, X": True,
    "X, Y, Z": False,
}  # name -> whether the layer's axes are those of nibabel turned over


@dataclass(frozen=True)
class Image:
    """What a model is given.

    Attributes:
        array: (C, X, Y, Z), or (C, rows, columns).
        affine: 4 x 4, voxel to RAS+ mm; None where nobody knows, and for pictures.
        spacing: mm, of a volume that has no affine; None otherwise.
        turned: whether the layers hold its axes turned over (Z, Y, X).
    """

    array: np.ndarray
    affine: np.ndarray | None
    spacing: tuple[float, ...] | None
    turned: bool

    @property
    def geometry(self) -> dict[str, Any]:
        """As `Segmenter.segment` is told."""
        return {"affine": self.affine, "spacing": self.spacing}

    def layer_of(self, array: np.ndarray) -> np.ndarray:
        """An array on the image's grid with the axes of its layers."""
        return np.ascontiguousarray(array.T) if self.turned else array


def metadata_of(affine: np.ndarray | None) -> dict[str, Any]:
    """Of a layer whose axes are those of nibabel turned over, or of a picture."""
    return {KEY: {"affine": None if affine is None else affine.tolist()}}


def image_of(layers: Sequence[Any], dims: int, order: str) -> Image:
    """The channels that layers hold, one a layer, or a colour picture.

    Args:
        layers: napari image layers, in the order of training.
        dims: 2 for a model of pictures, 3 of volumes.
        order: of `ORDERS`, of volumes that no reader of ours opened.

    Raises:
        DataError: no layer, or layers that are no such image, or are not on one grid.
    """
    if not layers:
        raise DataError("no image layer is chosen; choose one for each channel of the model")
    first = layers[0]
    channels = [channel for layer in layers for channel in _channels(layer, dims)]
    for layer in layers[1:]:
        if layer.data.shape != first.data.shape or not _alike(layer, first):
            raise DataError(f"{layer.name}: not on the grid of {first.name}; resample it first")
    if dims == 2:
        return Image(np.stack(channels), None, None, turned=False)
    known: Mapping[str, Any] = first.metadata.get(KEY, {})
    if known.get("affine") is not None:
        return Image(np.stack([c.T for c in channels]), np.asarray(known["affine"]), None, turned=True)
    turned = ORDERS[order]
    arrays = [channel.T if turned else channel for channel in channels]
    spacing = tuple(float(size) for size in (first.scale[::-1] if turned else first.scale))
    return Image(np.stack(arrays), None, spacing, turned)


def _alike(layer: Any, first: Any) -> bool:
    """Whether two layers of one shape lie alike in space: by what the reader knew, and in the viewer."""
    ours, theirs = (each.metadata.get(KEY, {}).get("affine") for each in (layer, first))
    if (ours is None) != (theirs is None):
        return False
    if ours is not None and not np.allclose(ours, theirs, atol=1e-3):
        return False
    dims = layer.data.ndim - bool(layer.rgb)
    corners = [np.zeros(dims), *np.eye(dims)]
    return all(np.allclose(layer.data_to_world(c), first.data_to_world(c), atol=1e-3) for c in corners)


def _channels(layer: Any, dims: int) -> list[np.ndarray]:
    data = np.asarray(layer.data)
    colours = data.shape[-1] if layer.rgb else 0
    if data.ndim - bool(colours) != dims:
        what = "pictures (2 axes)" if dims == 2 else "volumes (3 axes)"
        raise DataError(f"{layer.name}: {data.ndim - bool(colours)} axes; this model is for {what}")
    if colours == 4 and (data[..., 3] == (255 if data.dtype == np.uint8 else 1)).all():
        colours = 3  # nothing shines through
    return [data[..., channel] for channel in range(colours)] if colours else [data]
