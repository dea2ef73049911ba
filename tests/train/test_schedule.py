"""Steps add up exactly, whatever their number; the path of sizes ends at the target."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stampseg.channels.choice import Limit
from stampseg.core.errors import ConfigError
from stampseg.core.prune_options import PruneOptions
from stampseg.train.schedule import make_schedule

STEPS = [1, 2, 3, 7, 19, 20, 21, 100, 999, 1000]
SHARES = [(0.15, 0.40), (0.0, 0.0), (0.5, 0.49), (0.9, 0.05), (0.0, 0.99)]
DENSE, CHANNELS = 350_000, 400


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("shares", SHARES)
def test_steps_add_up(steps: int, shares: tuple[float, float]) -> None:
    options = PruneOptions(warmup_share=shares[0], final_share=shares[1], rounds=20)
    schedule = make_schedule(options, steps, DENSE, 50_000, CHANNELS)
    rounds = [schedule.recovery(number) for number in range(schedule.rounds)]
    assert schedule.warmup + sum(rounds) + schedule.finish == steps
    assert min(rounds) >= 1 and max(rounds) - min(rounds) <= 1
    assert schedule.rounds == min(20, schedule.between)


@pytest.mark.parametrize("asked", [1, 3, 10])
def test_recovery_is_exactly_what_was_asked_for(asked: int) -> None:
    """Defect 3: r recovery epochs ran r - 1."""
    schedule = make_schedule(
        PruneOptions(recovery_steps=asked, rounds=20, warmup_share=0.15), 100, DENSE, 50_000, CHANNELS
    )
    assert {schedule.recovery(number) for number in range(50)} == {asked}
    assert schedule.rounds == min(20, 45 // asked)


def test_the_path_falls_by_an_equal_share_and_ends_at_the_target() -> None:
    target = Limit("parameters", 50_000)
    schedule = make_schedule(PruneOptions(rounds=10), 1000, DENSE, target.amount, CHANNELS)
    amounts = [schedule.amount(number, 100, target) for number in range(12)]
    sizes = [DENSE, *(limit.amount for _, limit in amounts)]
    assert all(most is None for most, _ in amounts)
    assert sizes[10:] == [50_000] * 3
    ratios = [after / before for before, after in pairwise(sizes[:11])]
    assert ratios == pytest.approx([(50_000 / DENSE) ** 0.1] * 10, rel=1e-4)


@pytest.mark.parametrize(("per_round", "left", "most"), [(4, 300, 4), (0.1, 300, 30), (0.1, 3, 1)])
def test_a_count_or_a_share_per_round(per_round: float, left: int, most: int) -> None:
    target = Limit("flops", 50_000)
    schedule = make_schedule(PruneOptions(per_round=per_round), 1000, DENSE, target.amount, CHANNELS)
    assert schedule.amount(0, left, target) == (most, target)
    assert 1 <= schedule.rounds <= schedule.between


def test_a_target_that_is_met_already_needs_one_round() -> None:
    for per_round in (None, 4, 0.1):
        assert make_schedule(PruneOptions(per_round=per_round, rounds=1), 9, 10, 10, 5).rounds == 1


def test_a_share_too_small_for_any_number_of_rounds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prune\.per_round 1e-18 needs about"):
        make_schedule(PruneOptions(per_round=1e-18), 1000, DENSE, 50_000, CHANNELS)
