"""Laws of drawing and splitting: groups stay together, seeds decide, order does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stampseg.core.errors import ConfigError
from stampseg.data.cases import Case
from stampseg.data.splits import draw_cases, hold_out


def make_cases(groups: list[int]) -> list[Case]:
    """One case per entry, of that group."""
    return [Case(f"c{n:02d}", f"g{g}", (Path(f"c{n:02d}.png"),), None) for n, g in enumerate(groups)]


some_cases = st.lists(st.integers(0, 6), min_size=1, max_size=25).map(make_cases)
seeds = st.integers(0, 1000)


@settings(max_examples=60, deadline=None)
@given(some_cases, seeds, st.data())
def test_draw_takes_new_groups_while_they_last(cases: list[Case], seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cases)))
    drawn = draw_cases(cases, count, seed)
    groups = len({case.group for case in cases})
    assert len(drawn) == len({case.id for case in drawn}) == count
    assert len({case.group for case in drawn}) == min(count, groups)


@settings(max_examples=60, deadline=None)
@given(some_cases, seeds)
def test_draw_depends_on_seed_alone_and_is_nested(cases: list[Case], seed: int) -> None:
    shuffled = random.Random(seed + 1).sample(cases, len(cases))
    full = draw_cases(cases, len(cases), seed)
    assert draw_cases(shuffled, len(cases), seed) == full
    for count in range(1, len(cases)):
        assert draw_cases(shuffled, count, seed) == full[:count]


def test_another_seed_draws_others() -> None:
    cases = make_cases(list(range(20)))
    assert len({tuple(draw_cases(cases, 5, seed)) for seed in range(8)}) > 4


@pytest.mark.parametrize("count", [0, -1, 4])
def test_draw_of_more_than_there_are_says_how_many(count: int) -> None:
    with pytest.raises(ConfigError, match=rf"`labels` {count}: 3 labelled cases are there; expected 1 to 3"):
        draw_cases(make_cases([0, 1, 2]), count, 0)


@settings(max_examples=100, deadline=None)
@given(some_cases, seeds, st.floats(0, 0.99))
def test_hold_out_separates_no_group(cases: list[Case], seed: int, share: float) -> None:
    training, held = hold_out(cases, share, seed)
    assert sorted(training + held, key=lambda case: case.id) == cases
    assert not {case.group for case in training} & {case.group for case in held}
    several = len({case.group for case in cases}) > 1
    assert bool(held) == (several and share > 0)
    assert training
    assert hold_out(cases[::-1], share, seed) == (training, held)


@pytest.mark.parametrize("seed", range(5))
def test_hold_out_is_near_its_share(seed: int) -> None:
    training, held = hold_out(make_cases([n // 2 for n in range(50)]), 0.2, seed)
    assert (len(training), len(held)) == (40, 10)


def test_hold_out_takes_the_smallest_group_when_all_are_too_large() -> None:
    training, held = hold_out(make_cases([0] * 20 + [1] * 9), 0.1, 0)
    assert {case.group for case in held} == {"g1"}
    assert len(training) == 20


@pytest.mark.parametrize("share", [-0.1, 1.0, 3])
def test_hold_out_of_a_wrong_share(share: float) -> None:
    with pytest.raises(ConfigError, match="expected a share from 0 to below 1"):
        hold_out(make_cases([0, 1]), share, 0)
