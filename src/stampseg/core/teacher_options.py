"""Options of learning from scans without labels, by a teacher that is the average of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .options import Options


class TeacherOptions(Options):
    """Learning from scans without labels: the average of the network teaches it."""

    weight: float = Field(1.0, ge=0, description="Of the loss on scans without labels; 0: they are not used.")
    start: float = Field(
        0.10, ge=0, lt=1, description="Share of the steps at which its weight begins to rise."
    )
    full: float = Field(0.40, gt=0, le=1, description="Share of the steps from which its weight is whole.")
    decay: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="Of the average of the weights, per step: 0.98 remembers some 50 steps.",
    )
    statistics: Literal["batch", "running"] = Field(
        "batch", description="By which batch norms the teacher sees: those of its windows (where a step has "
        "two or more), or its average of the network's, which lags behind its weights.",
    )  # fmt: skip
    sharpening: float = Field(
        1.0, ge=1, description="Power of the teacher's probabilities before they are targets; 1: as they are."
    )
    threshold: float = Field(
        0.0, ge=0, lt=1, description="Voxels where the teacher's best class is less probable are left out."
    )
    mixing: Literal["box", "none"] = Field(
        "box", description="box: a box of each image comes from another one, with its target, as in CutMix."
    )
    labelled_share: float = Field(
        0.5, ge=0, le=1, description="Share of the mixed images whose box comes from a labelled image."
    )
    strong_view: Literal["noise", "full"] = Field(
        "full",
        description="What the network sees of a scan without label, beyond what its teacher sees: noise and "
        "contrast; or also gamma, brightness and blur.",
    )
    batch_size: int | None = Field(
        None, ge=1, description="Windows without label per step; None: as many as labelled ones."
    )
    veto: float = Field(
        3.0, gt=1,
        description="Where one or two scans are labelled: how many times more or less foreground the teacher "
        "may find in scans without labels than the labelled ones hold, before it is silenced.",
    )  # fmt: skip
    dense_self: float = Field(
        0.0, ge=0, le=1,
        description="Share of the targets that come from the average as it was before the first cut.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check_ramp(self) -> TeacherOptions:
        if self.start >= self.full:
            raise ValueError(f"start must lie below full; they are {self.start:g} and {self.full:g}")
        return self
