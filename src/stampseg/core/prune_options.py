"""Options of pruning: what is removed, how much of it, when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .options import Options
from .target import COSTS, Cost, Target

CriterionName = Literal[
    "taylor",
    "taylor-abs",
    "l1",
    "l2",
    "l1-std",
    "random",
    "weight-l1",
    "norm-scale",
    "noise",
    "largest-layer",
]


Scope = Literal["all", "published"]
Normalizer = Literal["l2", "mean", "none", "parameters", "flops", "memory", "latency"]


class PruneOptions(Options):
    """STAMP: what is removed, how much of it, when."""

    target: Target = Field(
        Target(share=0.15),
        description="Cost to come down to, or Dice to keep: 15%, 50k, flops:25%, flops:2G, memory:200MB, "
        "latency:50ms, dice:0.85.",
    )
    criterion: CriterionName = Field(
        "taylor-abs",
        description="How a channel's importance is measured. taylor is the published one: its signed terms "
        "cancel, so that a vital channel can rank low; taylor-abs takes the absolute value per example.",
    )
    normalizer: Normalizer | None = Field(
        None,
        description="Scaling before layers compete: l2 per layer as published, mean, none, or the score "
        "divided by the parameters, flops, memory or latency that go with the channel. None: the kind of "
        "the target, and parameters for a Dice floor.",
    )
    rankable: Scope | None = Field(
        None,
        description="Layers that may be cut. published: neither up-convolutions nor the last layer before "
        "the classes, found by following any network, whatever its names; all: these too, and a class can "
        "be lost for good with a channel. None: published, but all where the scores are divided by flops, "
        "memory or latency, which lie in those layers: there `even` keeps them from starving.",
    )
    dropout: Literal["layer", "channel"] = Field(
        "layer", description="STAMP+: one rate per layer as published, or one per channel."
    )
    dropout_base: float = Field(0.10, ge=0, lt=1, description="Rate of the least important layer.")
    dropout_initial: float = Field(0.005, ge=0, lt=1, description="Rate before the first cut.")
    dropout_in_finish: bool = Field(
        False, description="Keep the last round's dropout after the last cut, as published."
    )
    per_round: int | float | None = Field(
        None,
        description="Channels removed per round: a count (4), a share of those left (0.1), or "
        "None: as many as a geometric path to the target asks for in `rounds` rounds.",
    )
    rounds: int = Field(8, ge=1, description="Rounds of the path when per_round is None.")
    warmup_share: float | None = Field(
        None, ge=0, lt=1,
        description="Share of the steps before the first cut, at least; see ready_dice. None: 0.35, or 0.10 "
        "where the scores are divided by flops, memory or latency: an early cut is what saves time.",
    )  # fmt: skip
    ready_dice: float = Field(
        0.5, ge=0, le=1,
        description="Dice on the training set that the first cut waits for, until half of the steps at "
        "most. Where next to nothing of a label is found by then it waits until three quarters, and if that "
        "has not changed nothing is cut.",
    )  # fmt: skip
    final_share: float | None = Field(
        None, ge=0, lt=1,
        description="Share of the steps after the last cut; less where warm-up or recovery took longer. "
        "None: 0.40, or 0.65 where the scores are divided by flops, memory or latency.",
    )  # fmt: skip
    recovery_steps: int | None = Field(
        None, ge=1, description="Optimiser steps after each cut; None: what the shares leave."
    )
    minimum_width: int = Field(1, ge=1, description="Channels every layer keeps.")
    even: float | None = Field(
        None,
        ge=0,
        le=1,
        description="No layer keeps less than this times what an even cut of all layers to the target would "
        "leave it, rounded down. None: 0.75 where the scores are divided by flops, memory or latency, which "
        "would starve the layers at full resolution; else 0.",
    )
    max_drop: float = Field(
        0.20, ge=0, description="A cut that stays this far below the best Dice is rolled back."
    )
    guard: bool = Field(
        True,
        description="Look at every label's Dice on training windows: before a cut, with its channels "
        "silenced, so that those a label lives on are spared; after it, so that it is rolled back where a "
        "label does not come back to within `max_drop`.",
    )
    choose: Literal["target", "smallest"] = Field(
        "target",
        description="Which round becomes the model. target: the best that meets the target; smallest: "
        "the smallest of all rounds within `tolerance` of the best.",
    )
    rollbacks: int = Field(
        3,
        ge=0,
        description="Cuts that may be rolled back after a first one, the channels of each spared, before a "
        "round goes without a cut; then all channels are ranked anew.",
    )
    tolerance: float = Field(0.01, ge=0, description="Validation Dice that `smallest` may give away.")
    score_batches: int | None = Field(
        None, ge=1, description="Batches used for ranking; None: the whole training set."
    )
    score_round: bool = Field(
        True,
        description="Rank by all batches of the last stretch of training, unless `score_batches` says how "
        "many; where training steps are what ranks (`scoring`). False: by as many as there are cases.",
    )
    scoring: Literal["training", "pass"] = Field(
        "training",
        description="training: the last batches trained on before a cut rank the channels, at no extra pass "
        "(l1-std takes one all the same); pass: a pass over the training set without augmentation and "
        "dropout, as published.",
    )
    runtime: Literal["eager", "onnxruntime", "openvino"] = Field(
        "eager", description="What latency is measured with, on this machine, one image at a time."
    )

    @property
    def scaling(self) -> Normalizer:
        """The normalizer, settled."""
        if self.normalizer is not None:
            return self.normalizer
        kind = self.target.kind
        return "parameters" if kind == "dice" else kind

    @property
    def cost(self) -> Cost | None:
        """What a channel's score is divided by, or None."""
        return self.scaling if self.scaling in COSTS else None

    @property
    def evenness(self) -> float:
        """`even`, settled."""
        if self.even is not None:
            return self.even
        return 0.75 if self.for_time else 0.0

    @property
    def scope(self) -> Scope:
        """`rankable`, settled."""
        return self.rankable or ("all" if self.for_time else "published")

    @property
    def for_time(self) -> bool:
        """Whether channels are ranked by what they cost to run."""
        return self.scaling in ("flops", "memory", "latency")

    @property
    def shares(self) -> tuple[float, float]:
        """`warmup_share` and `final_share`, settled."""
        warmup, final = (0.10, 0.65) if self.for_time else (0.35, 0.40)
        return (
            warmup if self.warmup_share is None else self.warmup_share,
            final if self.final_share is None else self.final_share,
        )

    @model_validator(mode="after")
    def _check_amounts(self) -> PruneOptions:
        if self.per_round is not None and self.per_round <= 0:
            raise ValueError("per_round must be a count of at least 1 or a share between 0 and 1")
        if isinstance(self.per_round, float) and self.per_round >= 1:
            raise ValueError("per_round as a share must lie below 1; write a count without a point")
        if sum(self.shares) >= 1:
            raise ValueError(
                "warmup_share + final_share must leave room for the rounds (below 1); "
                f"they are {self.shares[0]:g} + {self.shares[1]:g}"
            )
        return self
