"""How images are prepared, and which of their labels are learnt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .options import Options


class DataOptions(Options):
    """Overrides of the preprocessing plan; what is None is planned from the data."""

    spacing: tuple[float, ...] | None = Field(
        None,
        description="Working voxel size in mm (pixels for pictures), one value per axis, or one for all.",
    )
    grid: Literal["auto", "native"] = Field(
        "auto",
        description="auto: a grid on which the whole picture fits the window, if no class loses detail by "
        "it; native: the median grid of the files. `spacing` overrules it.",
    )
    patch_size: tuple[int, ...] | None = Field(
        None, description="Training window in voxels, one value per axis."
    )
    normalization: Literal["zscore", "ct"] | None = Field(
        None, description="zscore: each case by its own mean and deviation; ct: fixed Hounsfield window."
    )
    crop: Literal["none", "nonzero"] | None = Field(
        None, description="nonzero: cut away the empty border of each case before training."
    )
    ignore_label: int | None = Field(
        None,
        description="Value in the label files of voxels of which nobody said what they are: left out of the "
        "loss, of scores and of every Dice. None: what dataset.json calls ignore, if anything.",
    )
    pieces: Literal["auto", "all"] = Field(
        "auto",
        description="auto: of a label that is one piece in every training case (four or more, of three "
        "people) and not thin, as vessels and walls are, masks keep the piece that the network is surest of, "
        "and any that comes near it; all: they keep all pieces.",
    )
    names: dict[int, str] = Field(
        default_factory=dict,
        description="Names of label values, {1: liver, 2: spleen}; they go before those of dataset.json.",
    )
    merge: dict[str, tuple[int | str, ...]] = Field(
        default_factory=dict,
        description="Labels that become one as they are read, {cord: [1, 2]}, by value or name; it has the "
        "first one's value.",
    )
    only: tuple[int | str, ...] = Field(
        (),
        description="Labels that are learnt, by value or name, after merging; all others become background. "
        "Empty: all.",
    )
    cache_megabytes: int = Field(
        1024, ge=0, description="Memory for prepared cases; above it they are read again."
    )
