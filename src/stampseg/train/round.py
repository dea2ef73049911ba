"""What the loop says of each of its turns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..channels.graph import ChannelGraph
from ..evaluation.false_positives import FalsePositives

Event = Literal["train", "warm-up", "cut", "recover", "rolled back", "finish"]


@dataclass(frozen=True)
class Validation:
    """Dice over validation cases: the mean of the labels' means, and each label's.

    A label's mean is over the cases that hold it, `cases` of them; labels that none holds have no mean. What
    is found of it in the others is its `false_positives`.
    """

    dice: float
    per_label: Mapping[str, float]
    cases: Mapping[str, int] = field(default_factory=dict)
    false_positives: Mapping[str, FalsePositives] = field(default_factory=dict)

    @property
    def judged(self) -> float:
        """The Dice by which rounds are chosen: a false positive case counts as 0, as nnU-Net counts it.

        Else the network that paints a lesion in every healthy scan would be as good as one that does not.
        """
        found = {name: each.found_in for name, each in self.false_positives.items() if each.found_in}
        if not found:
            return self.dice
        counted = {
            name: (self.cases.get(name, 0), found.get(name, 0)) for name in {**self.per_label, **found}
        }
        means = [
            self.per_label.get(name, 0.0) * held / (held + wrong) for name, (held, wrong) in counted.items()
        ]
        return sum(means) / len(means)


@dataclass(frozen=True)
class Fit:
    """How well the training set is learnt: loss, and Dice of each label over windows without augmentation.

    Labels that no window holds are left out. Where an average of the network teaches it, these are the
    average's figures, with those of the network itself beside them.
    """

    loss: float
    per_label: Mapping[str, float]
    student: Mapping[str, float] = field(default_factory=dict)  # of the network that is taught
    agreement: float | None = None  # Dice between both on windows of scans without labels

    @property
    def lowest(self) -> float:
        """Dice of the label that is found worst; not a number where no window holds a label."""
        return min(self.per_label.values(), default=math.nan)


@dataclass(frozen=True)
class Round:
    """One turn of the loop."""

    number: int
    event: Event
    widths: Mapping[str, int]
    parameters: int
    flops: int
    memory: int  # bytes of the convolutions' maps of one example
    steps: int  # optimiser steps of the run so far
    loss: float  # mean over this round's steps
    validation: Validation | None
    removed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropout: Mapping[str, float] = field(default_factory=dict)  # mean rate per group
    scores: Mapping[str, float] = field(default_factory=dict)  # mean score per group, before the cut
    seconds: Mapping[str, float] = field(default_factory=dict)  # score, look, cut, train, validate, measure
    latency: float | None = None  # measured milliseconds of one example
    fit: Fit | None = None  # after this round's training
    foreseen: Fit | None = None  # of the network before this cut, with its channels silenced
    spared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # ranked for the cut, found to hurt
    graph: ChannelGraph | None = field(default=None, repr=False, compare=False)  # the network's channels now
