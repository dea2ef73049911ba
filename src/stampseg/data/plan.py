"""The preprocessing plan: what every case becomes before the network sees it."""

from __future__ import annotations

from typing import Literal

from ..config import Options


class Intensity(Options):
    """Fixed intensity window for CT, from foreground voxels of the training cases."""

    low: float
    high: float
    mean: float
    std: float


class Plan(Options):
    """How a case is prepared, and how deep the network is. Saved in the model file."""

    spatial_dims: Literal[2, 3]
    in_channels: int
    label_values: tuple[int, ...]  # value in the files of class 0, 1, 2, ...; class 0 is background
    label_names: tuple[str, ...]  # one per class, "background" first
    orientation: Literal["RAS"] | None  # None for pictures
    spacing: tuple[float, ...]  # mm, or pixels for pictures; along the oriented axes
    crop: Literal["none", "nonzero"]
    patch_size: tuple[int, ...]
    normalization: Literal["zscore", "ct"]
    ct: tuple[Intensity, ...] | None  # one per channel when normalization is "ct"
    strides: tuple[tuple[int, ...], ...]  # pooling per level and axis, ((2, 2, 2), ...)
    notes: tuple[str, ...] = ()  # why, one line each, printed to the user

    @property
    def out_channels(self) -> int:
        """Classes, background included."""
        return len(self.label_values)
