"""When to cut and how much: the rounds of a run with a fixed number of optimiser steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from ..channels.choice import Limit, rankable_groups, reachable_limit
from ..channels.graph import ChannelGraph
from ..core.errors import ConfigError
from ..core.prune_options import PruneOptions


@dataclass(frozen=True)
class Schedule:
    """Warm-up, rounds of recovery, finish; their steps add up to the run's."""

    warmup: int
    rounds: int
    between: int  # steps shared by the rounds
    finish: int
    recovery_steps: int | None
    per_round: int | float | None
    dense: float  # cost of the network before the first cut, in the target's kind

    def recovery(self, number: int) -> int:
        """Steps after cut `number` (from 0): the rounds' steps, shared out evenly."""
        if self.recovery_steps is not None:
            return self.recovery_steps
        position = min(number, self.rounds - 1)
        return max(1, self.between * (position + 1) // self.rounds - self.between * position // self.rounds)

    def amount(self, number: int, left: int, target: Limit) -> tuple[int | None, Limit]:
        """Channels to remove at most, and the size to stop at, in cut `number` (from 0)."""
        if isinstance(self.per_round, float):
            return max(1, round(left * self.per_round)), target
        if self.per_round is not None:
            return self.per_round, target
        share = min(1.0, (number + 1) / self.rounds)
        size = self.dense * (target.amount / self.dense) ** share
        return None, target if share == 1 else Limit(target.kind, max(target.amount, size))


def make_schedule(
    options: PruneOptions, steps: int, dense: float, target: float, channels: int, spent: int | None = None
) -> Schedule:
    """Lay out the rounds; what the warm-up leaves is shared between rounds and finish as the options say.

    With `per_round` the number of rounds is estimated from the channels: parameters fall with
    the square of the width, so a share s of the parameters leaves about sqrt(s) of the channels.

    Args:
        options: of pruning.
        steps: of the whole run.
        dense, target: sizes before the first cut and after the last, in what the target counts.
        channels: that compete for being cut.
        spent: steps that the warm-up took, where it took longer than planned.
    """
    warmup_share, final_share = options.shares
    warmup = int(steps * warmup_share)
    left = steps - (warmup if spent is None else spent)
    finish = int(left * final_share / (1 - warmup_share))
    between = max(1, left - finish)
    goal = math.sqrt(min(1.0, target / max(dense, 1e-9)))
    if options.per_round is None:
        rounds = options.rounds
    elif isinstance(options.per_round, float):
        rounds = math.ceil(math.log(max(goal, 1e-3)) / math.log1p(-options.per_round))
    else:
        rounds = math.ceil(channels * (1 - goal) / options.per_round)
    if options.recovery_steps is not None and options.per_round is None:
        rounds = min(rounds, between // options.recovery_steps)
    if spent is None and options.per_round is not None and rounds * (options.recovery_steps or 1) > between:
        each = options.recovery_steps or 1
        raise ConfigError(
            f"prune.per_round {options.per_round:g} needs about {rounds} rounds of {each} step(s) to reach "
            f"{target:,.6g} of {dense:,.6g}; warm-up and finish leave {between} steps: raise "
            "train.steps or prune.per_round, or lower prune.recovery_steps"
        )
    rounds = max(1, min(rounds, between))
    return Schedule(warmup, rounds, between, finish, options.recovery_steps, options.per_round, dense)


def reachable_target(network: nn.Module, graph: ChannelGraph, options: PruneOptions) -> Limit | None:
    """The cost of the options' target; one that no cut can reach is refused (`reachable_limit`)."""
    groups = rankable_groups(graph, options.scope)
    return reachable_limit(
        network, graph, options.target, groups, minimum_width=options.minimum_width, evenness=options.evenness
    )
