"""Which round's network becomes the model: one stated rule for each kind of run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..core.prune_options import PruneOptions
from .round import Round


@dataclass(frozen=True)
class Choice:
    """The chosen round, the rule in words, and whether the target was reached."""

    number: int
    rule: str
    target_reached: bool


def select(rounds: Sequence[Round], options: PruneOptions, dense: Round, pruned: bool) -> Choice:
    """Choose among the rounds of a run.

    - `choose: smallest`: the smallest network within `tolerance` of the best validation Dice of
      all rounds.
    - never pruned: the best validation Dice; without validation the last.
    - pruned to a size: among the networks that meet the target, the best validation Dice of
      those trained to the end (the finish); without validation the last. If none meets the
      target, the smallest.
    - pruned to a Dice floor: the smallest network at or above the floor; if none, the best.
    In every case a later round wins over an equal earlier one, and a cut that was rolled back is out. The
    best Dice is that in which a false positive case counts as 0 (`Validation.judged`).
    """
    rounds = standing(rounds)
    if not pruned:
        return Choice(_best(rounds).number, _how("the network", rounds), True)
    target = options.target
    smallest = smallest_within(rounds, options.tolerance)
    if options.choose == "smallest" and smallest is not None:
        rule = f"the smallest network within {options.tolerance:g} of the best validation Dice"
        return Choice(smallest.number, rule, _meets(smallest, options, dense))
    if target.floor is not None:
        above = [r for r in rounds if r.validation is not None and r.validation.dice >= target.floor]
        if not above:
            return Choice(_best(rounds).number, f"no round reached {target}; the best one", False)
        least = min(above, key=lambda r: (r.parameters, -r.number))
        return Choice(least.number, f"the smallest network with a {target}", True)
    meeting = [r for r in rounds if _meets(r, options, dense)]
    if not meeting:
        fewest = min(_cost(r, options) for r in rounds)
        meeting = [r for r in rounds if _cost(r, options) == fewest]
        return Choice(_best(meeting).number, _how("the smallest network", meeting), False)
    finished = [r for r in meeting if r.event == "finish"] or meeting
    return Choice(_best(finished).number, _how(f"within the target ({target})", finished), True)


def standing(rounds: Sequence[Round]) -> list[Round]:
    """Rounds but the cuts that the next round undid."""
    undone = {
        before.number
        for before, after in pairwise(rounds)
        if after.event == "rolled back" and before.event == "cut" and before.parameters < after.parameters
    }
    return [turn for turn in rounds if turn.number not in undone]


def _meets(turn: Round, options: PruneOptions, dense: Round) -> bool:
    target = options.target
    if target.floor is not None:
        return turn.validation is not None and turn.validation.dice >= target.floor
    return _cost(turn, options) <= target.limit(_cost(dense, options))


def _cost(turn: Round, options: PruneOptions) -> float:
    """Of the kind that the target names."""
    value = getattr(turn, options.target.kind)
    return math.inf if value is None else float(value)


def smallest_within(rounds: Sequence[Round], tolerance: float) -> Round | None:
    """The smallest network whose validation Dice is within `tolerance` of the best of all rounds."""
    known = [r for r in rounds if r.validation is not None and r.event != "rolled back"]
    if not known:
        return None
    best = max(r.validation.judged for r in known if r.validation is not None)
    good = [r for r in known if r.validation is not None and r.validation.judged >= best - tolerance]
    return min(good, key=lambda r: (r.parameters, -r.validation.judged if r.validation else 0, -r.number))


def _best(rounds: Sequence[Round]) -> Round:
    return max(rounds, key=lambda r: (r.validation.judged if r.validation else -1.0, r.number))


def _how(what: str, rounds: Sequence[Round]) -> str:
    by = "the best validation Dice" if any(r.validation for r in rounds) else "the last round (no validation)"
    return f"{what}: {by}"
