"""How a network is trained: steps, rate, loss, who validates, folds and search."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from .options import Options

_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class TrainOptions(Options):
    """Optimisation."""

    steps: int = Field(1000, ge=1, description="Optimiser steps of the whole run, all rounds included.")
    batch_size: int = Field(4, ge=1, description="Windows per optimiser step.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd has Nesterov momentum.")
    learning_rate: float = Field(3e-3, gt=0, description="Highest rate, after a short linear rise.")
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled for adamw.")
    momentum: float = Field(0.9, ge=0, lt=1, description="For sgd.")
    schedule: Literal["auto", "cosine", "hold", "constant"] = Field(
        "auto",
        description="Of the rate, over the whole run: cosine to zero; hold: the highest rate until "
        "`hold_share` of the steps, then cosine to zero; constant; auto: hold where scans without labels are "
        "learnt from, else cosine.",
    )
    hold_share: float = Field(
        0.6, ge=0, lt=1, description="Share of the steps at the highest rate, where the schedule is hold."
    )
    loss: Literal["dice-ce", "dice"] = Field(
        "dice-ce", description="Soft Dice of all classes over the batch, with or without cross-entropy."
    )
    class_weights: Literal["none", "auto"] | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        "none",
        description="Of the classes in both parts of the loss. auto: by the root of how much rarer a class "
        "is in the training masks, at most ten times the least, 1 on average; or one number for each class, "
        "background first.",
    )
    precision: Literal["f32", "bf16"] = Field(
        "f32",
        description="bf16: forward passes under autocast, weights stay float32. Gains on GPUs and on "
        "processors with matrix units for it, not on others.",
    )
    compile: bool = Field(
        False,
        description="Compile the network with torch.compile, anew after every cut; needs a C++ compiler. "
        "Pays where the stretches between cuts are long.",
    )
    mixing: float = Field(
        0.0, ge=0, le=1,
        description="Share of the labelled windows of which a box comes from another one, as in CutMix; "
        "where no scans without labels are learnt from.",
    )  # fmt: skip
    channel_dropout: float = Field(
        0.0, ge=0, lt=1,
        description="Rate at which whole channels are dropped, the same in every layer, but for the last 40% "
        "of the steps: for methods that do not target it.",
    )  # fmt: skip
    augment: bool = Field(True, description="Turn, scale, shift, gamma, brightness and noise.")
    foreground_share: float = Field(
        0.5, ge=0, le=1,
        description="Windows centred on a labelled voxel, where windows are smaller than the image.",
    )  # fmt: skip
    validation: str = Field("auto", description="A CSV of cases, a share (0.2 or 20%), none, or auto.")
    test: str = Field(
        "none",
        description="People kept aside from training, validation and scans without labels, and predicted "
        "once, when the run has ended: a CSV of cases, a share of all (0.2 or 20%), or none.",
    )
    folds: int | None = Field(
        None, ge=2,
        description="Cross-validation before the network of the run: the labelled people are held out in so "
        "many folds, each predicted by a network that has not seen them. `validation` auto is none then.",
    )  # fmt: skip
    fold_column: str | None = Field(
        None,
        description="The same with a fold for each value of this column of the data's CSV, such as the site.",
    )
    distil: bool = Field(
        False,
        description="With folds: the network of the run also learns from the mean of the folds' networks, on "
        "scans with and without labels, so that one file has the gain of all. All then prepare images alike.",
    )
    search: bool = Field(
        False,
        description="Before the network of the run, try other settings by folds (working grid, size, width, "
        "steps, no teacher) and take the best, if choosing it is worth more than the default on people who "
        "had no part in the choice.",
    )
    budget: str | None = Field(
        None, description="With search: time after which no further fold is begun, such as 2h or 45m."
    )
    validate_every: int | None = Field(
        None, ge=1, description="Steps between validations: all along, or after the last cut of a run that "
        "prunes. None: a tenth of the run, or a fifth of what is left then.",
    )  # fmt: skip
    missed_label: Literal["fail", "warn"] = Field(
        "fail",
        description="A label that the network does not find in its own training cases at the end. fail: the "
        "run has no model and ends with exit status 4; warn: it is only said.",
    )
    patience: int | None = Field(
        None, ge=1, description="Validations without a better Dice after which a stage ends early."
    )
    checkpoint_minutes: float = Field(
        10, ge=0, description="Minutes of training between checkpoints within a round; one ends each round."
    )

    @field_validator("budget")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        if value is not None and not _TIME.fullmatch(value):
            raise ValueError("expected a time with its unit, such as 2h, 45m or 90s")
        return value

    @property
    def budget_seconds(self) -> float | None:
        """The budget; None: as long as it takes."""
        found = _TIME.fullmatch(self.budget) if self.budget is not None else None
        return None if found is None else float(found[1]) * _SECONDS[found[2]]
