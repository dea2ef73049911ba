"""What the loop of STAMP is given: a network, and functions that train, score, look and validate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from ..channels.choice import choose
from ..channels.cost import LayerTimes, Tally
from ..channels.graph import ChannelGraph, Cut, Scores
from ..channels.surgery import Copy
from .round import Fit, Round, Validation


@dataclass
class Learner:
    """What the loop needs of the outside world.

    Attributes:
        network, optimizer: cut and carried in place.
        train: trains for exactly that many optimiser steps and returns the mean loss.
        score: importance of every channel of the graph, on the training set.
        validate: Dice on validation cases, or None when there are none.
        fit: loss and Dice of each label on training windows. The first cut waits until all are found, and
            no cut may lose one; None: neither.
        foresee: the same with the channels of a cut silenced, before anything is removed; None: cuts are
            made unseen.
        copies: averages of the weights (EMA), cut and rolled back like the network.
        before_first_cut: called once, while the network is whole.
        end_if_done: called when a cut has been undone: what belongs to the end of the run is made once more.
        end: called when the run ends before its last step, for what belongs to the end of a run; None
            where that changes nothing.
        times: how long layers take, where latency is pruned for.
        latency: milliseconds of the network as it is now, measured; None: not of interest.
        choose: picks the channels of a cut, as `channels.choice.choose`; here, so that a run that is resumed,
            or another process, is given the answer that was given: measured times differ.
    """

    network: nn.Module
    optimizer: Optimizer
    train: Callable[[int], float]
    score: Callable[[ChannelGraph], Scores]
    validate: Callable[[], Validation | None]
    fit: Callable[[], Fit] | None = None
    foresee: Callable[[ChannelGraph, Cut], Fit] | None = None
    copies: Sequence[Copy] = ()
    before_first_cut: Callable[[], None] | None = None
    end_if_done: Callable[[], None] | None = None
    end: Callable[[], None] | None = None
    times: LayerTimes | None = None
    latency: Callable[[], float] | None = None
    choose: Callable[..., Cut] = choose


def as_given(learner: Learner, graph: ChannelGraph, validation: Validation | None = None) -> Round:
    """The network before the first step and the first cut, as round -1; its latency is measured.

    Args:
        learner: see `Learner`.
        graph: the network's channels.
        validation: Dice of a network that is already trained.
    """
    tally, start = Tally(learner.network, graph, learner.times), time.perf_counter()
    latency = learner.latency() if learner.latency is not None else None
    seconds = {} if latency is None else {"measure": time.perf_counter() - start}
    return Round(
        -1, "train", graph.widths(), tally.parameters, tally.flops, tally.memory, 0, 0.0, validation,
        seconds=seconds, latency=latency, graph=graph,
    )  # fmt: skip
