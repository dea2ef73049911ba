"""Cases drawn by a seed, person by person."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from ...core.errors import ConfigError
from ..cases import Case


def draw_cases(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Draw `count` cases, one of each group while groups last, then a second of each, and so on.

    The draw depends on ids, groups and seed, not on the order of `cases`. A smaller draw with the same
    seed is the beginning of a larger one.

    Raises:
        ConfigError: `count` is below 1 or more than there are.
    """
    if not 1 <= count <= len(cases):
        raise ConfigError(
            f"`labels` {count}: {len(cases)} labelled cases are there; expected 1 to {len(cases)}"
        )
    rounds: list[list[Case]] = []
    for members in shuffled_groups(cases, seed):
        for turn, case in enumerate(members):
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(case)
    return [case for turn in rounds for case in turn][:count]


def hold_out(cases: Sequence[Case], share: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Split into (training, held out), whole groups, as near to `share` of the cases as groups allow.

    At least one group is held out and at least one is left; with a single group, or a share of 0,
    nothing is held out.

    Raises:
        ConfigError: a share below 0 or not below 1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"`train.validation` {share:g}: expected a share from 0 to below 1, such as 0.2")
    groups = shuffled_groups(cases, seed)
    if share == 0 or len(groups) < 2:
        return sorted(cases, key=by_id), []
    wanted, held_out = share * len(cases), list[list[Case]]()
    for members in groups:
        count = sum(map(len, held_out))
        if len(held_out) < len(groups) - 1 and abs(count + len(members) - wanted) < abs(count - wanted):
            held_out.append(members)
    held_out = held_out or [min(groups, key=len)]
    names = {members[0].group for members in held_out}
    ordered = sorted(cases, key=by_id)
    return [c for c in ordered if c.group not in names], [c for c in ordered if c.group in names]


def by_id(case: Case) -> str:
    """The order in which cases are listed."""
    return case.id


def shuffled_groups(cases: Sequence[Case], seed: int) -> list[list[Case]]:
    """Groups in random order, their cases in random order."""
    members: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=by_id):
        members[case.group].append(case)
    generator = random.Random(seed)
    groups = [members[group] for group in sorted(members)]
    for group in groups:
        generator.shuffle(group)
    generator.shuffle(groups)
    return groups
